"""Looking inside a model: what each part did with a text."""

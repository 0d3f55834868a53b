"""Writing text with a trained model, and measuring how well it expects a text."""

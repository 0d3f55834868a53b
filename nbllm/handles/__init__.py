"""What a script holds in its hand: Run and Model, and the calls that make them."""

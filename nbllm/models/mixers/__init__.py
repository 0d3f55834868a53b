"""Mixers: the parts of a block that carry information from one token to another."""

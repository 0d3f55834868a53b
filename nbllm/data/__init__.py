"""Text in, windows of tokens out: sources, cleaning, tokenizers, token files. Nothing here needs torch."""

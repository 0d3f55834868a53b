"""nbllm in a terminal: the same commands as the magics, and demo, lab and tour for the notebooks.

nbllm train shakespeare --data input.txt --minutes 3
nbllm generate shakespeare "To be, or"
nbllm lab
"""

from nbllm.cli.entry import main

__all__ = ["main"]

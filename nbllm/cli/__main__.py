"""`python -m nbllm.cli` is `nbllm`."""

import sys

from nbllm.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())

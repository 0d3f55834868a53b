"""The magics of nbllm: `%load_ext nbllm` brings them, `%unload_ext nbllm` takes them away.

command     what a command takes; tables/ the commands, a file a subject; commands all of them
parse       a line to names, flags and settings
expand      {{name}}: notebook variables in lines and bodies
settings    %config NbLLM
complete    what Tab offers
layers      line and body to the layers of a configuration
requests    what a parsed line asks for; shared with the command line
streaming   generation handed over as it is written
live_text   text that grows in a cell
preview     the look of %llm_data
errors      one line in place of a traceback
base        what all magics share; runs and models the magics of runs and of models
extension   loading and unloading
"""

from __future__ import annotations

from typing import Any


def load(shell: Any) -> None:
    """What `%load_ext nbllm` does."""
    from nbllm.magics import extension

    extension.load(shell)


def unload(shell: Any) -> None:
    """What `%unload_ext nbllm` does. Running runs go on."""
    from nbllm.magics import extension

    extension.unload(shell)

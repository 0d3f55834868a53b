"""What is done when a cell ends, and when this process does: the saved pictures are brought up to date.

nbclient, papermill and nbconvert take the updates of a display only while a cell runs, and end the kernel right after
the last one: a thread that looks now and then comes too late for them.
"""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Callable
from functools import cache

_log = logging.getLogger(__name__)
_settlers: list[Callable[[bool], None]] = []


def at_ends(settle: Callable[[bool], None]) -> None:
    """From now on call `settle(last)` at the end of each cell, and with `last` at the end of the process."""
    if settle not in _settlers:
        _settlers.append(settle)
    _listen()


@cache
def _listen() -> None:
    atexit.register(_settle, last=True)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        shell.events.register("post_run_cell", lambda _result: _settle())


def _settle(last: bool = False) -> None:
    for settle in _settlers:
        try:
            settle(last)
        except Exception:  # no reason to spoil a cell that went well
            _log.exception("The saved pictures could not be brought up to date.")

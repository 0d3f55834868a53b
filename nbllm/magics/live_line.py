"""A line that says what goes on while a cell works; in its place comes the result."""

from __future__ import annotations

import time
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

_SECONDS = 0.25  # between updates of the page


class LiveLine:
    """`say` while the cell works, `finish` with its result. An error leaves an empty place.

    In a shell without a page nothing is shown, and `showed` is False: the cell's value is shown as ever.
    """

    def __init__(self, shell: InteractiveShell, what: str):
        self._what = what
        self._page = getattr(shell, "kernel", None) is not None
        self._handle: Any = None
        self._told = 0.0
        self.showed = False

    def __enter__(self) -> LiveLine:
        if self._page:
            self._handle = display(self._bundle("beginning"), raw=True, display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None and not self.showed:
            self._handle.update({"text/plain": ""}, raw=True)

    def say(self, line: str) -> None:
        """What goes on now; the page hears of it at most four times a second."""
        if self._handle is not None and time.monotonic() - self._told >= _SECONDS:
            self._told = time.monotonic()
            self._handle.update(self._bundle(line), raw=True)

    def finish(self, result: Any) -> None:
        """The result in place of the line."""
        if self._handle is not None:
            self._handle.update(result)
            self.showed = True

    def _bundle(self, line: str) -> dict[str, str]:
        return {"text/plain": f"{self._what}: {line}"}

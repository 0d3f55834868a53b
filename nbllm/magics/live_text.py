"""Text that streams into a cell: a display updated by its id in a kernel, plain printing in a terminal."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

_SECONDS = 0.1  # between updates of the page


class LiveText:
    """One text that grows. `add` as it is written, `finish` with what it became."""

    def __init__(self, shell: InteractiveShell, prompt: str):
        self.prompt = prompt
        self.text = ""
        self._sent = 0.0
        self._handle = None
        self._begun = False
        self._in_page = getattr(shell, "kernel", None) is not None

    def _begin(self) -> None:
        """Show the prompt, with the first of the text: a mistake in the settings is then said alone."""
        if self._begun:
            return
        self._begun = True
        if self._in_page:
            self._handle = display(self._bundle(), raw=True, display_id=True)
        else:
            print(self.prompt, end="", flush=True)

    def add(self, text: str) -> None:
        """More of the text; the page hears of it at most ten times a second."""
        self._begin()
        self.text += text
        if self._handle is None:
            print(text, end="", flush=True)
        elif time.monotonic() - self._sent >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Show all there is."""
        if self._handle is not None:
            self._handle.update(self._bundle(), raw=True)
            self._sent = time.monotonic()

    def finish(self, result: Any) -> None:
        """Show the result in place of the growing text."""
        self._begin()
        if self._handle is not None:
            self._handle.update(result)
        else:
            print()

    def _bundle(self) -> dict[str, str]:
        return {
            "text/plain": self.prompt + self.text,
            "text/html": (
                '<div style="white-space:pre-wrap;overflow-wrap:anywhere;'
                'font-family:var(--jp-code-font-family,monospace)">'
                f'<span style="opacity:.6">{escape(self.prompt)}</span>{escape(self.text)}</div>'
            ),
        }


class Texts(list[Any]):
    """Several generations, shown one below the other."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("\n".join(f"--- {text.numbered(number)}" for number, text in enumerate(self, 1)))

    def _repr_html_(self) -> str:
        return "<hr>".join(text._repr_html_() for text in self)

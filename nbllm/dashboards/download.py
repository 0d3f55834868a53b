"""A run as one file for the page to keep: packed here, and sent piece by piece as the page asks for each.

It needs no server of its own and no file browser, so that it is there on a Binder and under Voila too.
"""

from __future__ import annotations

import math
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.errors import RunError
from nbllm.store.archive import size
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from nbllm.handles.run import Run

PIECE = 1 << 20  # bytes of a message
MOST = 500e6  # bytes of a run that a page is burdened with: all of it stands in the page's memory


class Download:
    """The packed file of one run, made when piece 0 is asked for and gone when the last one was given."""

    def __init__(self, run: Run):
        self._run = run
        self._lock = threading.Lock()
        self._place: tempfile.TemporaryDirectory[str] | None = None

    def piece(self, part: int) -> tuple[dict[str, Any], list[bytes]]:
        """What to send: content with the file's name, the piece's number and how many there are; and its bytes.

        Raises RunError while the run is at work, and where it is too large for a page.
        """
        with self._lock:
            file = self._pack() if part == 0 else self._file()
            if file is None:
                raise RunError("The packed run is gone.", "Press Download again.")
            parts = max(1, math.ceil(file.stat().st_size / PIECE))
            with file.open("rb") as source:
                source.seek(part * PIECE)
                content = source.read(PIECE)
            if part >= parts - 1:
                self._clear()
        return {"kind": "piece", "name": file.name, "part": part, "parts": parts}, [content]

    def _pack(self) -> Path:
        large = size(RunFolder(self._run.folder))
        if large > MOST:
            raise RunError(
                f"Run '{self._run.name}' has {large / 1e6:,.0f} MB, too much for a page.",
                f"Pack it to a file: %llm_runs --pack {self._run.name} {self._run.name}.zip",
            )
        self._clear()
        self._place = tempfile.TemporaryDirectory(prefix="nbllm-")
        return self._run.pack(Path(self._place.name) / f"{self._run.name}.zip")

    def _file(self) -> Path | None:
        return next(Path(self._place.name).glob("*.zip"), None) if self._place is not None else None

    def _clear(self) -> None:
        if self._place is not None:
            self._place.cleanup()
            self._place = None

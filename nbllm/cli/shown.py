"""What a terminal is shown while a run goes on, and the notebook's words as they are typed here."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbllm.errors import RunError

_POLL = 0.2
_QUIET_SECONDS = 10.0  # between lines where the output is no terminal


def in_terminal(text: str) -> str:
    """What a notebook is told to type, as it is typed in a terminal."""
    return text.replace("%%llm_", "nbllm ").replace("%llm_", "nbllm ")


def say(line: str) -> None:
    """What goes on, on one line of a terminal that is written over."""
    if sys.stdout.isatty():
        print(f"\r{line:<60}\r", end="", flush=True)


def follow(run: Any, afterwards: str = "") -> int:
    """Show how the run goes on one line until it ends, then what to do with it; an interrupt ends the looking, not the
    run."""
    from nbllm.runners.inline import progress_line
    from nbllm.store.folder import RunFolder
    from nbllm.store.status import LIVE

    folder = RunFolder(run.folder)
    live = sys.stdout.isatty()
    shown, state, told = 0, "", 0.0
    with _interrupts() as asked:
        while True:
            now = folder.status().state
            line = progress_line(folder)
            if live:
                print(f"\r{line:<{shown}}", end="", flush=True)
                shown = len(line)
            elif now != state or time.monotonic() - told > _QUIET_SECONDS:
                print(line, flush=True)
                told = time.monotonic()
            state = now
            if state not in LIVE:
                break
            if asked.wait(_POLL):
                print(f"\n{run.name} goes on. Watch it: nbllm attach {run.name}; stop it: nbllm stop {run.name}")
                return 0
    print(end="\n" if live else "")
    if state in ("failed", "lost"):
        raise RunError(f"Run '{run.name}' {state}: {run.error}")
    print(afterwards or f'Write with it: nbllm generate {run.name} "PROMPT"')
    return 0


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """What Ctrl-C sets: an exception could come up where it is not passed on, in a callback of the interpreter."""
    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def follow_all(series: Any) -> int:
    """Show how each of the runs goes, one after another, and their tables at the end."""
    for run in series:
        follow(run)
    print(series)
    return 0

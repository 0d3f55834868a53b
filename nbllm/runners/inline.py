"""The inline runner: works in this very process and blocks, with a line of progress; for scripts and papermill."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from nbllm.config import RunConfig
from nbllm.errors import RunError
from nbllm.runners.claim import claim
from nbllm.runners.machine import share_cores
from nbllm.store.folder import RunFolder
from nbllm.store.status import read_status


def check(config: RunConfig) -> None:
    """RunError for what cannot be done inline."""
    if config.train.gpus != 1:
        raise RunError(
            f"An inline run trains in this very process, and train.gpus is {config.train.gpus}.",
            "Leave out runner=inline, or gpus.",
        )


def run_inline(folder: RunFolder) -> None:
    """Work on the run here. The first interrupt stops it after the step, with a checkpoint; the second at once."""
    share_cores()
    from nbllm.runners.work import work

    done = threading.Event()
    bar = threading.Thread(target=_bar, args=(folder, done), daemon=True)
    with _interrupts() as asked:
        bar.start()
        try:
            with claim(folder) as status:
                work(folder, status, stop_asked=lambda: bool(asked))
        finally:
            done.set()
            bar.join()
    print(progress_line(folder))


def progress_line(folder: RunFolder) -> str:
    """One line on how the run stands: a bar, the steps, the pace."""
    status = read_status(folder.status_file)
    total = status.steps or 0
    share = min(1.0, status.step / total) if total else 0.0
    bar = "#" * round(30 * share) + "." * (30 - round(30 * share))
    pace = f"  {status.tokens_per_second / 1000:.1f}k tokens/s" if status.tokens_per_second else ""
    said = status.error.get("message") or status.message
    return f"{folder.name} [{bar}] {status.step:,} / {total:,} {status.state}{pace}{'  ' + said if said else ''}"


def _bar(folder: RunFolder, done: threading.Event) -> None:
    """Rewrite the line in a terminal; in a notebook's saved output one line every ten seconds is enough."""
    live = sys.stdout.isatty()
    while not done.wait(0.5 if live else 10):
        print(progress_line(folder), end="\r" if live else "\n", flush=True)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Turn the first interrupt into a wish to stop. Outside the main thread there are no signals to be had."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("\nStopping after this step; interrupt again to stop at once.", flush=True)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)

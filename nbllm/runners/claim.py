"""Claiming a run: the writer's lock taken and the worker entered in status.json, before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nbllm.runners.machine import identity
from nbllm.store.folder import RunFolder
from nbllm.store.status import Status, read_status, write_status


@contextmanager
def claim(folder: RunFolder) -> Iterator[Status]:
    """Hold the run's lock; the status, state `starting`, already says who holds it. RunError where another does."""
    with folder.writing():
        before = read_status(folder.status_file)
        status = Status("starting", step=before.step, steps=before.steps, worker=identity(), seconds=before.seconds)
        write_status(folder.status_file, status, durable=True)
        yield status

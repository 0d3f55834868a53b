"""Claiming a run: the writer's lock taken and the worker entered in status.json, before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbllm.errors import RunError
from nbllm.runners.machine import identity
from nbllm.store.folder import RunFolder
from nbllm.store.status import Status, read_status, write_status


@contextmanager
def claim(folder: RunFolder, last_worker: dict[str, Any] | None = None) -> Iterator[Status]:
    """Hold the run's lock; the status, state `starting`, already says who holds it.

    RunError where another worker holds it, or has held it since `last_worker`.
    """
    with folder.writing():
        before = read_status(folder.status_file)
        if last_worker is not None and before.worker != last_worker:
            raise RunError(f"Another worker has taken up run '{folder.name}' meanwhile.", "Look at it: %llm_attach")
        status = Status("starting", step=before.step, steps=before.steps, worker=identity(), seconds=before.seconds)
        write_status(folder.status_file, status, durable=True)
        yield status

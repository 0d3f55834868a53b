"""How many cores the notebook's own work takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nbllm.runners.machine import cores
from nbllm.store.folder import list_runs
from nbllm.store.status import read_status


@contextmanager
def shared_threads() -> Iterator[None]:
    """All cores, or half of them while a run trains beside."""
    import torch

    before = torch.get_num_threads()
    busy = any(read_status(run.status_file).live and run.alive() for run in list_runs())
    torch.set_num_threads(max(1, cores() // 2) if busy else cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)

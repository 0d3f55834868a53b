"""trackio, in its own folder on this machine unless TRACKIO_SPACE_ID or TRACKIO_SERVER_URL names another place.

To look at it: trackio show --project nbllm
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbllm.config import RunConfig
from nbllm.errors import require
from nbllm.runners.loggers.base import Logger, settings
from nbllm.training.events import Ended, Started


class Trackio(Logger):
    """A trackio run for each stretch of work, all in a group of the run's name.

    trackio cannot take steps back, so a run that goes on from step N begins a new trackio run there.
    """

    def __init__(self, folder: Path, config: RunConfig, started: Started):
        trackio = require("trackio", extra="trackio")
        with _hub_closed():
            self._run = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", "nbllm"),
                name=folder.name + (f" from {started.step}" if started.resumed else ""),
                group=folder.name,
                config=settings(config),
                embed=False,  # no server of its own in a notebook
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def numbers(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def text(self, step: int, prompt: str, text: str) -> None:
        self._run.log({"sample": prompt + text}, step=step)

    def close(self, end: Ended | None) -> None:
        self._run.finish()


@contextmanager
def _hub_closed() -> Iterator[None]:
    """trackio asks the hub who a stored token belongs to, for a label: not where the runs stay on this machine."""
    constants: Any = require("huggingface_hub.constants", extra="trackio")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not (
        os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL")
    )
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before

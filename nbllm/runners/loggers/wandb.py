"""Weights & Biases, offline unless WANDB_MODE says otherwise.

To send a run later: wandb sync runs/NAME/wandb/offline-run-*
"""

from __future__ import annotations

import html
import os
from pathlib import Path

from nbllm.config import RunConfig
from nbllm.errors import require
from nbllm.runners.loggers.base import Logger
from nbllm.training.events import Ended, Started


class WeightsAndBiases(Logger):
    """A W&B run in RUN/wandb for each stretch of work, all in a group of the run's name.

    W&B cannot take steps back, so a run that goes on from step N begins a new W&B run there.
    """

    def __init__(self, folder: Path, config: RunConfig, started: Started):
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._wandb = require("wandb", extra="wandb")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "nbllm"),
            name=folder.name + (f" from {started.step}" if started.resumed else ""),
            group=folder.name,
            dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config=config.model_dump(mode="json"),
            settings=self._wandb.Settings(console="off", silent=True),
        )

    def numbers(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def text(self, step: int, prompt: str, text: str) -> None:
        shown = f"<pre><b>{html.escape(prompt)}</b>{html.escape(text)}</pre>"
        self._run.log({"sample": self._wandb.Html(shown, inject=False)}, step=step)

    def close(self, end: Ended | None) -> None:
        self._run.finish(exit_code=0 if end else 1)

"""TensorBoard: event files in the run folder. To look at them: tensorboard --logdir runs"""

from __future__ import annotations

from pathlib import Path

from nbllm.config import RunConfig
from nbllm.errors import require
from nbllm.runners.loggers.base import Logger, settings
from nbllm.training.events import Ended, Started


class TensorBoard(Logger):
    """Scalars, samples as text and the configuration as hyper-parameters, in RUN/tensorboard.

    A run that goes on from step N writes a mark that voids what TensorBoard holds beyond N, so no step stands twice.
    """

    def __init__(self, folder: Path, config: RunConfig, started: Started):
        require("tensorboard", extra="tensorboard")
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # `purge_step` voids that step and those after it
        self._writer = SummaryWriter(
            str(folder / "tensorboard"), purge_step=started.step + 1 if started.resumed else None, flush_secs=10
        )
        if not started.resumed and self._writer.file_writer is not None:
            for summary in hparams(settings(config), {"loss": 0.0, "val_loss": 0.0}):
                self._writer.file_writer.add_summary(summary)

    def numbers(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def text(self, step: int, prompt: str, text: str) -> None:
        indented = "\n".join(f"    {line}" for line in f"{prompt}{text}".splitlines())  # as code: no markup is read
        self._writer.add_text("sample", indented, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self, end: Ended | None) -> None:
        self._writer.close()

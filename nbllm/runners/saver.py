"""Saver: writes checkpoints, keeps the last few and the best, and bears a full disk."""

from __future__ import annotations

import shutil
import time

from nbllm.config import RunConfig
from nbllm.runners import hub
from nbllm.store.events import EventWriter
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder
from nbllm.training import checkpoint
from nbllm.training.loop import Training

_SPARE_BYTES = 64e6  # left free on the disk beside a checkpoint


class Saver:
    """Saves when told, and once `checkpoint_minutes` have passed since the last (asked through control)."""

    def __init__(self, folder: RunFolder, training: Training, config: RunConfig, logs: tuple[EventWriter, ...]):
        self._folder = folder
        self._training = training
        self._config = config.train
        self._logs = logs
        self._held_out: dict[int, float] = {}
        self._saved = time.monotonic()
        self._size = 0
        self._step = -1

    def measured(self, step: int, val_loss: float) -> None:
        """Remember a held-out loss, which decides the best checkpoint."""
        self._held_out[step] = val_loss

    def save(self, step: int) -> str:
        """Write the checkpoint of this step. Returns a line of advice where the disk has no room, else nothing."""
        self._saved = time.monotonic()  # also of one that fails: the next try is not for the very next step
        free = shutil.disk_usage(self._folder.path).free
        if free < self._size + _SPARE_BYTES:
            return f"checkpoint of step {step} not saved: {free / 1e6:.0f} MB free on the disk"
        training = self._training
        state = {**training.progress.state(), "val_loss": self._held_out.get(step)}
        if training.data_state is not None and (place := training.data_state(step)):
            state["data"] = place
        beside = {
            "config.yaml": self._folder.config,
            "tokenizer.json": self._folder.tokenizer,
            "target_tokenizer.json": self._folder.path / "target_tokenizer.json",
            hub.SETTINGS: self._folder.path / hub.SETTINGS,
        }
        try:
            for log in self._logs:
                log.sync()  # what a checkpoint follows is on the disk before it
            self._size = checkpoint.save(
                self._folder.checkpoint(step), training.module, training.optimizers.state(), state, beside
            )
        except OSError as error:
            return f"checkpoint of step {step} not saved: {error.strerror or error}"
        self._step = step
        self._logs[0].append({"event": "checkpoint", "step": step, "path": f"checkpoints/step-{step}"})
        self._prune()
        if free < 10 * self._size + _SPARE_BYTES:
            return f"only {free / 1e6:.0f} MB free on the disk: room for {int(free / self._size)} more checkpoints"
        return ""

    def due(self) -> bool:
        """Whether the last checkpoint is `checkpoint_minutes` old and something was learned since."""
        return (
            self._step != self._training.progress.step
            and time.monotonic() - self._saved > self._config.checkpoint_minutes * 60
        )

    def _prune(self) -> None:
        """Keep the last K and the best; fewer where they take more than `disk_mb`, never less than one."""
        steps = self._folder.checkpoint_steps()
        keep = steps[-self._config.keep :]
        best = self._best(steps)
        if self._config.keep_best and best is not None and best not in keep:
            keep.insert(0, best)
        limit = (self._config.disk_mb or float("inf")) * 1e6
        while len(keep) > 1 and len(keep) * self._size > limit:
            keep.pop(0)
        for step in set(steps) - set(keep):
            shutil.rmtree(self._folder.checkpoint(step), ignore_errors=True)

    def _best(self, steps: list[int]) -> int | None:
        for step in steps:
            if step not in self._held_out:
                loss = read_json(self._folder.checkpoint(step) / "state.json", {}).get("val_loss")
                if loss is not None:
                    self._held_out[step] = loss
        known = [step for step in steps if step in self._held_out]
        return min(known, key=self._held_out.__getitem__) if known else None

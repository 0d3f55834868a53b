"""Record: what a run's folder says, for tables and curves. What is damaged is told in a line; the rest is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.config import RunConfig
from nbllm.errors import NbllmError, one_line
from nbllm.models import flops
from nbllm.store.events import Event, EventReader
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder
from nbllm.store.metrics import Metrics
from nbllm.store.status import Status

if TYPE_CHECKING:
    from nbllm.handles.run import Run


_NUMBERS = ("step", "loss", "val_loss", "bits_per_byte", "tokens", "seconds")


class Record:
    """One run as its folder tells it. `look` takes in what is new."""

    def __init__(self, run: Run):
        self.run = run
        self.metrics = Metrics()
        self.status = Status("starting")
        self.config: RunConfig | None = None
        self.fault = ""
        self.sample: Event | None = None
        self._folder = RunFolder(run.folder)
        self._unsound = 0
        self._events = EventReader(self._folder.metrics)
        self._samples = EventReader(self._folder.samples)
        self.look()

    def __repr__(self) -> str:
        return f"Record({self.name!r})"

    @property
    def name(self) -> str:
        """The run's name."""
        return self._folder.name

    def look(self) -> Record:
        """Read the status, and what the files have got since the last look."""
        self.status = self._folder.status()
        faults = [self._fault_of(part) for part in (self._look_config, self._look_metrics, self._look_samples)]
        self.fault = next(filter(None, faults), "")
        return self

    @property
    def parameters(self) -> int | None:
        """Trained numbers of the network; None before the worker has built it."""
        known = self.status.parameters or read_json(self._folder.environment, {}).get("parameters")
        return int(known) if isinstance(known, int | float) else None

    @property
    def step(self) -> int:
        """Steps done."""
        return max(self.status.step, self.metrics.train.steps[-1] if self.metrics.train.steps else 0)

    @property
    def tokens(self) -> float:
        """Tokens trained on; NaN before the first step."""
        return _last(self.metrics.train.array("tokens"))

    @property
    def seconds(self) -> float:
        """Seconds of the training loop with its measurements."""
        return max(self.status.seconds, np.nan_to_num(_last(self.metrics.train.array("seconds"))))

    @property
    def flops_per_token(self) -> float:
        """An estimate (see `nbllm.models.flops`); NaN where the network is not known yet."""
        if self.config is None or self.parameters is None:
            return np.nan
        return flops.per_token(self.config, self.parameters, int(self._report().get("vocab_size") or 0))

    @property
    def best(self) -> tuple[int, float, float] | None:
        """Step, held-out loss and bits per byte of the best measurement; None where there is none."""
        losses = self.metrics.evaluation.array("val_loss")
        if not np.isfinite(losses).any():
            return None
        row = int(np.nanargmin(losses))
        return self.metrics.evaluation.steps[row], float(losses[row]), float(self._bits()[row])

    @property
    def last_loss(self) -> float:
        """The last measurement of the held-out loss; NaN where there is none."""
        losses = self.metrics.evaluation.array("val_loss")
        return _last(losses[np.isfinite(losses)])

    @property
    def bits_per_nat(self) -> float:
        """What turns this run's losses (nats a token) into bits per byte; NaN where nothing was measured."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = self._bits() / self.metrics.evaluation.array("val_loss")
        ratios = ratios[np.isfinite(ratios)]
        return float(np.median(ratios)) if len(ratios) else np.nan

    @property
    def tokenizer(self) -> str | None:
        """A fingerprint of the tokenizer; None where there is none yet."""
        try:
            return hashlib.sha256(self._folder.tokenizer.read_bytes()).hexdigest()
        except OSError:
            return None

    @property
    def held_out(self) -> tuple[Any, ...] | None:
        """What tells one held-out text from another; None where it is not known yet."""
        report = self._report()
        if self.config is None or "bytes" not in report:
            return None
        data = self.config.data
        return data.source, data.split, data.held_out, report["bytes"], report.get("characters")

    @property
    def train_tokens(self) -> float:
        """Tokens of the training text that the run uses; NaN where they are not known yet."""
        known = self._report().get("train_tokens")
        share = 1.0 if self.config is None else self.config.data.use
        return float(known) * share if isinstance(known, int | float) else np.nan

    def row(self) -> dict[str, Any]:
        """The figures of a table."""
        best = self.best or (None, np.nan, np.nan)
        seconds = self.seconds
        return {
            "state": self.status.state,
            "parameters": self.parameters,
            "steps": self.step,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens / seconds if seconds else np.nan,
            "minutes": seconds / 60,
            "flops": self.tokens * self.flops_per_token,
            "best_val_loss": best[1],
            "best_step": best[0],
            "bits_per_byte": best[2],
        }

    def _report(self) -> dict[str, Any]:
        found = read_json(self._folder.data / "report.json", {})
        return found if isinstance(found, dict) else {}

    def _bits(self) -> np.ndarray:
        return self.metrics.evaluation.array("bits_per_byte")

    def _look_config(self) -> None:
        if self.config is None:
            self.config = self.run.config

    def _look_metrics(self) -> None:
        events = self._events.read()
        sound = [event for event in events if _is_sound(event)]
        self.metrics.update(sound)
        self._unsound += len(events) - len(sound)
        if self._unsound:
            raise ValueError(f"lines of metrics.jsonl that hold no numbers: {self._unsound}")

    def _look_samples(self) -> None:
        for event in self._samples.read():
            if event.get("event") == "resume" and self.sample and self.sample.get("step", 0) > event.get("step", 0):
                self.sample = None
            elif event.get("event") == "sample":
                self.sample = event

    def _fault_of(self, part: Callable[[], None]) -> str:
        """What is wrong with a part of the folder, in a line; empty where it was read."""
        try:
            part()
        except NbllmError as error:
            return str(error)
        except (OSError, ValueError, TypeError, LookupError) as error:
            return f"Run '{self.name}' is damaged: {one_line(error)}."
        return ""


def _is_sound(event: Event) -> bool:
    """Whether what tables and curves are made of is a number where it is there at all."""
    return all(isinstance(event.get(name, 0), int | float | None) for name in _NUMBERS)


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else np.nan

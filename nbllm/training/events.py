"""What the loop says: frozen events, each of which knows its line in metrics.jsonl."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Started:
    """The work begins: at step 0, or `resumed` at that of the checkpoint it goes on from. Said first of all."""

    step: int
    resumed: bool


@dataclass(frozen=True)
class Step:
    """A logged step; loss and gradient norm are means over the steps since the last one."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    tokens: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        numbers = {"loss": self.loss, "lr": self.lr, "grad_norm": self.grad_norm, **self.metrics}
        rounded = {name: _short(value) for name, value in numbers.items()}
        return {"event": "step", "step": self.step, **rounded, "tokens": self.tokens, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Evaluation:
    """The held-out loss in nats a token, and what was measured beside it."""

    step: int
    val_loss: float
    metrics: dict[str, float]
    seconds: float

    def line(self) -> dict[str, Any]:
        rounded = {name: _short(value) for name, value in {"val_loss": self.val_loss, **self.metrics}.items()}
        return {"event": "evaluation", "step": self.step, **rounded, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class SaveCheckpoint:
    """The state as it stands is to be saved before the loop is asked to go on."""

    step: int
    reason: str


@dataclass(frozen=True)
class Sampled:
    """Text written at this step."""

    step: int
    prompt: str
    text: str

    def line(self) -> dict[str, Any]:
        return {"event": "sample", "step": self.step, "prompt": self.prompt, "text": self.text}


@dataclass(frozen=True)
class Probed:
    """Maps of the probe text at this step, by name."""

    step: int
    arrays: dict[str, Any]


@dataclass(frozen=True)
class Applied:
    """A change of course from this step on, replayed on resume; kind is command, budget or batch."""

    step: int
    kind: str
    values: dict[str, Any]

    def line(self) -> dict[str, Any]:
        return {"event": self.kind, "step": self.step, **self.values}


@dataclass(frozen=True)
class Paused:
    """The loop stands still until it is told to go on."""

    step: int


@dataclass(frozen=True)
class Resumed:
    """The loop goes on."""

    step: int


@dataclass(frozen=True)
class Ended:
    """The last event: reason is finished, stopped, patience or time."""

    step: int
    reason: str


Event = Step | Evaluation | SaveCheckpoint | Sampled | Probed | Applied | Paused | Resumed | Ended


def _short(value: float) -> float:
    """Nine significant digits: every float32 exactly."""
    return float(f"{value:.9g}")

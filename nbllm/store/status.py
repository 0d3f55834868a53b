"""status.json: the one small file that says how a run stands now."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nbllm.store.files import read_json, write_json

FORMAT = 1

# What a worker is busy with; a run in one of these without a worker is lost.
LIVE = frozenset({"queued", "starting", "preparing", "training", "paused", "stopping"})
ENDED = frozenset({"stopped", "finished", "failed", "lost"})


@dataclass
class Status:
    """How a run stands. `worker` is {pid, started, host}; `error` is {message, advice}; `message` says what goes on."""

    state: str
    step: int = 0
    steps: int | None = None
    heartbeat: float = 0.0
    message: str = ""
    progress: float | None = None
    seconds: float = 0.0
    tokens_per_second: float | None = None
    memory_mb: float | None = None
    parameters: int | None = None
    trained: int | None = None  # those of them that learn, where not all do
    device: str = ""
    loss: float | None = None
    val_loss: float | None = None
    lr: float | None = None
    advice: str = ""
    worker: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def live(self) -> bool:
        """Whether the state is one that needs a worker."""
        return self.state in LIVE


_NAMES = {f.name for f in fields(Status)}


def write_status(path: Path, status: Status, *, durable: bool = False) -> None:
    """Replace status.json, stamped with the time. Durable where a state changes, quick for a heartbeat."""
    status.heartbeat = time.time()
    write_json(path, asdict(status), durable=durable)


def read_status(path: Path) -> Status:
    """The status; one of state `failed` with the reason where the file is missing or broken."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("state"), str):
        return Status(
            "failed",
            error={"message": "status.json is missing or damaged.", "advice": "Resume the run from its checkpoint."},
        )
    if content.get("format", FORMAT) != FORMAT:
        return Status(
            "failed",
            error={
                "message": f"This run has format {content['format']}; this nbllm reads format {FORMAT}.",
                "advice": "Type: pip install --upgrade nbllm",
            },
        )
    return Status(**{key: value for key, value in content.items() if key in _NAMES and _fits(key, value)})


def _fits(name: str, value: Any) -> bool:
    """Whether a value of the file is of its field's kind; another hand's is left out."""
    if name in ("step", "heartbeat", "seconds"):
        return isinstance(value, int | float)
    if name in ("worker", "error"):
        return isinstance(value, dict)
    return value is None or isinstance(value, str | int | float)

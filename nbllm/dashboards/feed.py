"""From what Watch knows to what the page draws: JSON values and packed numbers, each remade only when it changed."""

from __future__ import annotations

import bisect
import time
from typing import Any

import numpy as np

from nbllm.dashboards.run_words import data_rows, network, summary
from nbllm.dashboards.watch import Watch
from nbllm.plots.decimate import Thinned, decimate

_TAIL = 150  # rows sent again with every update, before they join the base
_HELD = 600
_MEASURES = 12
_NOT_TOLD = ("t", "val_loss", "seconds", "tokens")  # of an evaluation: what stands in the curves already
_TEXT = 4000  # characters of a sample that the page is given
_MAP_BYTES = 600_000  # of maps kept in the page; others are fetched when the slider asks
_GONE = "The folder of this run is gone, deleted or renamed. This is what was seen of it last."
_MAP_SECONDS = 3.0  # between two sendings of the maps, at the least
_MAP_RATE = 50_000  # bytes of maps a second, at the most: a page that leaves is noticed a minute later only


class Feed:
    """`values`: trait name to value; `refresh` remakes those whose source changed: what changed is a new object."""

    def __init__(self, watch: Watch):
        self.watch = watch
        self.values: dict[str, Any] = {
            "base": b"", "tail": b"", "held": b"", "maps": b"", "samples": [], "data": [], "log": [], "probe": {},
            "measured": [], "measures": b"",
        }  # fmt: skip
        self._thinned = Thinned(watch.metrics.train)
        self._base = (0, 0)  # bucket size and rows of the base that was sent
        self._held: list[tuple[float, ...]] = []  # step, tokens, seconds, val_loss
        self._resumes = 0
        self._maps_due = False
        self._maps_sent = 0.0
        self._maps_size = 0

    def refresh(self, changed: set[str]) -> None:
        """Bring `values` up to date."""
        watch = self.watch
        if "metrics" in changed:
            self._curves()
        if changed & {"status", "metrics", "facts", "config"}:
            self._set("status", page_status(watch))
        if changed & {"config", "status", "facts"}:
            self._set("summary", summary(watch.config, watch.status, watch.parent))
            self._set("network", network(watch.config, watch.status))
        if changed & {"config", "facts"}:
            self._set("data", data_rows(watch))
        if "samples" in changed:
            self._set("samples", [_sample(s) for s in reversed(watch.samples)])
        if "log" in changed:
            self._set("log", watch.log)
        if "probes" in changed:
            self._maps_due = True
        wait = max(_MAP_SECONDS, self._maps_size / _MAP_RATE)
        if self._maps_due and time.monotonic() - self._maps_sent > wait:
            self._maps_due, self._maps_sent = False, time.monotonic()
            self._maps()

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be made."""
        return not self._maps_due

    def _set(self, name: str, value: Any) -> None:
        if self.values.get(name) != value:
            self.values[name] = value

    def _curves(self) -> None:
        metrics = self.watch.metrics
        resumes = sum(mark.get("event") == "resume" for mark in metrics.marks)
        if resumes != self._resumes:
            self._resumes = resumes
            self._thinned.reset()
            self._base = (0, 0)
            self._held = []
        whole, rest = self._thinned.whole(), self._thinned.rest()
        size, rows = self._base
        if size != self._thinned.size or len(whole) < rows or len(whole) - rows > _TAIL:
            rows = len(whole)
            self._base = (self._thinned.size, rows)
            self._set("base", whole.tobytes())
        self._set("tail", np.concatenate([whole[rows:], rest]).tobytes())
        if len(metrics.evaluation) != len(self._held):
            self._measure()

    def _measure(self) -> None:
        """The held-out loss: each measurement stands where the train row of its step does."""
        table, held = self.watch.metrics.train, self.watch.metrics.evaluation
        tokens, seconds = table.columns.get("tokens"), table.columns.get("seconds")
        losses = held.columns.get("val_loss", [])
        del self._held[len(held) :]
        for step, loss in zip(held.steps[len(self._held) :], losses[len(self._held) :], strict=False):
            row = max(bisect.bisect_right(table.steps, step) - 1, 0)
            place = [column[row] if column and row < len(column) else float(step) for column in (tokens, seconds)]
            self._held.append((float(step), *place, loss))
        packed = np.array(self._held, dtype=np.float64).reshape(-1, 4)
        kept = np.arange(len(packed))
        if len(packed) > _HELD:
            kept = decimate(kept, packed[:, 3], _HELD)[0].astype(int)
        self._set("held", packed[kept].tobytes())
        told = [name for name in held.columns if name not in _NOT_TOLD and len(held.columns[name]) == len(packed)]
        self._set("measured", told[:_MEASURES])
        values = [held.array(name)[kept] for name in told[:_MEASURES]]
        self._set("measures", np.concatenate(values).tobytes() if values else b"")

    def _maps(self) -> None:
        """The probe, and as many of its maps as fit, evenly spaced with the newest, one byte a weight."""
        watch = self.watch
        newest = watch.map(watch.probes.steps[-1]) if watch.probes.steps else None
        if newest is None:
            return
        room = max(2, _MAP_BYTES // newest.size)
        steps = watch.probes.steps
        places = np.unique(np.linspace(0, len(steps) - 1, min(room, len(steps))).round().astype(int))
        packed, kept = [], []
        for place in places:
            found = watch.map(steps[place])
            if found is not None and found.shape == newest.shape:
                packed.append(pack(found, watch.probes.kind))
                kept.append(steps[place])
        about = watch.probes.about
        names = {
            name: [str(each) for each in found] if isinstance(found := about.get(name), list) else []
            for name in ("tokens", "keys", "gates")
        }
        maps = b"".join(packed)
        self._maps_size = len(maps)
        self._set("maps", maps)
        probe = {
            "kind": watch.probes.kind, **names, "units": _units(watch, newest.shape[-1]),
            "shape": list(newest.shape), "steps": steps, "kept": kept,
        }  # fmt: skip
        self._set("probe", probe)


def _units(watch: Watch, count: int) -> list[int]:
    """The numbers of the units whose gates were kept: spread evenly over the layer by nbllm/inspection/probe.py."""
    if watch.probes.kind != "gates":
        return []
    width = watch.config.model.width if watch.config is not None else count
    return [int(unit) for unit in np.linspace(0, max(width, count) - 1, count).round()]


def pack(values: np.ndarray, kind: str) -> bytes:
    """One byte a value: attention 0..1 to 0..255; gates -1..1 (the cell's may lie beyond and are cut) to 0..255."""
    scaled = values * 255 if kind == "attention" else (values + 1) * 127.5
    return np.nan_to_num(scaled).clip(0, 255).round().astype(np.uint8).tobytes()


def page_status(watch: Watch) -> dict[str, Any]:
    """The header's facts: state, step, steps, seconds left, tokens a second, memory, messages, last checkpoint."""
    status, table = watch.status, watch.metrics.train
    step = max(status.step, table.steps[-1] if table.steps else 0)
    per_step, per_second = _pace(watch)
    left = (
        (status.steps - step) * per_step
        if status.steps and per_step and status.state in ("training", "paused")
        else None
    )
    checkpoints = [m.get("step", 0) for m in watch.metrics.marks if m.get("event") == "checkpoint"]
    commands = sum(m.get("event") == "command" for m in watch.metrics.marks)
    held = watch.metrics.evaluation.columns.get("val_loss", [])
    losses = table.columns.get("loss", [])
    return {
        "state": status.state,
        "step": step,
        "steps": status.steps,
        "left": None if left is None else round(max(left, 0)),
        "rate": _figures(status.tokens_per_second or per_second),
        "memory": None if not status.memory_mb else round(status.memory_mb),
        "progress": None if status.progress is None else round(status.progress, 3),
        "message": status.message,
        "advice": _GONE if watch.gone else status.advice,
        "error": {"message": str(status.error.get("message", "")), "advice": str(status.error.get("advice", ""))},
        "lr": _peak_lr(watch),
        "loss": _finite(_last(losses)),
        "held": _finite(_last(held)),
        "checkpoint": checkpoints[-1] if checkpoints else None,
        "commands": commands,
        "seconds": round(status.seconds),
        "parent": _parent(watch),
    }


def _parent(watch: Watch) -> dict[str, Any] | None:
    """The run whose weights this one began with; its held-out loss where both learn the same."""
    parent, config = watch.parent, watch.config
    if not parent.get("name"):
        return None
    same = config is not None and parent.get("objective") == config.objective.kind
    loss = parent.get("val_loss")
    held = round(loss, 4) if same and isinstance(loss, int | float) and np.isfinite(loss) else None
    return {"name": str(parent["name"]), "step": parent.get("step"), "held": held}


def _peak_lr(watch: Watch) -> float | None:
    """The peak learning rate: as last set while the run went on, else as configured."""
    for mark in reversed(watch.metrics.marks):
        if mark.get("event") == "command" and isinstance(mark.get("lr"), int | float):
            return float(mark["lr"])
    return watch.config.train.lr if watch.config is not None else watch.status.lr


def _pace(watch: Watch) -> tuple[float | None, float | None]:
    """Seconds a step and tokens a second over the last 200 logged rows."""
    table = watch.metrics.train
    seconds, tokens = table.columns.get("seconds", []), table.columns.get("tokens", [])
    rows = min(200, len(table))
    if rows < 2 or len(seconds) < rows:
        return None, None
    passed = seconds[-1] - seconds[-rows]
    steps = table.steps[-1] - table.steps[-rows]
    if not passed > 0 or steps <= 0:
        return None, None
    return passed / steps, (tokens[-1] - tokens[-rows]) / passed if len(tokens) >= rows else None


def _sample(event: dict[str, Any]) -> dict[str, Any]:
    prompt, text = str(event.get("prompt", "")), str(event.get("text", ""))
    if prompt and text.startswith(prompt):
        text = text[len(prompt) :]
    return {"step": event.get("step", 0), "prompt": prompt[-_TEXT:], "text": text[:_TEXT]}


def _last(values: list[float]) -> float | None:
    return values[-1] if values else None


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 4)


def _figures(value: float | None) -> float | None:
    """Three significant figures: what is shown, so that nothing is sent that would not be seen."""
    return None if not value or not np.isfinite(value) else float(f"{value:.3g}")

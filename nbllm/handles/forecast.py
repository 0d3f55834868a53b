"""What a training will take, before it begins: parameters, memory, tokens and time, from the settings alone and from
what earlier runs on this machine have shown. Quick, and without torch."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

from nbllm.config import RunConfig, goal_of
from nbllm.errors import NbllmError
from nbllm.handles.rules import RULES
from nbllm.models import estimate, flops
from nbllm.runners import plan
from nbllm.runners.machine import cores, memory_free, memory_limit
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder, list_runs

FLOPS_A_CORE = 25e9  # a second, of small trainings: what is taken until a run has shown it
FLOPS_A_GPU = 5e12
_RUNS = 40  # newest, that are looked at
_ALIKE = 5  # times the arithmetic of a token, at most, by which a run may differ that shows the pace
RUNTIME = 0.3e9  # bytes of torch and its libraries


@dataclass(frozen=True)
class Forecast:
    """What the settings will take; None where it cannot be known before.

    parameters   of the network, by part in `parts`
    memory       bytes that training holds at its peak, without `RUNTIME`
    room         bytes that this machine can give
    vocabulary   entries, guessed where the text decides
    tokens       that are trained on; at most, where rows may be short (`at_most`)
    per_second   tokens a second, as in `like`: the earlier run that showed it, "" where none did and it is assumed
    seconds      of training
    passes       over the training text, where an earlier run has counted it
    """

    parameters: int | None
    memory: int | None
    room: int
    vocabulary: int
    device: str
    tokens: float | None
    at_most: bool
    per_second: float | None
    like: str
    seconds: float | None
    passes: float | None
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def a_parameter(self) -> float | None:
        """Tokens that are seen for each parameter."""
        return self.tokens / self.parameters if self.tokens and self.parameters else None

    @property
    def fits(self) -> bool:
        """Whether the memory suffices, as far as it is known."""
        return self.memory is None or self.memory + RUNTIME <= self.room

    @property
    def too_few(self) -> bool:
        """Whether a smaller network is likely to learn more in this time (see `rules`)."""
        return self.a_parameter is not None and self.a_parameter < RULES["tokens_per_parameter"].value


@dataclass(frozen=True)
class _Seen:
    """What an earlier run has shown: FLOPs a second, of so many FLOPs a token; and the length of its text."""

    name: str
    kind: str
    device: str
    a_token: float
    a_second: float
    source: tuple[str, str]
    train_tokens: float | None


_seen: dict[tuple[str, int], _Seen | None] = {}


def forecast(config: RunConfig) -> Forecast:
    """Of what the configuration would train."""
    vocabulary = plan.guessed_vocabulary(config)
    earlier = _earlier()
    device = _device(config, earlier)
    room = min(memory_free(), memory_limit())
    parts: dict[str, int] = {}
    count = memory = a_token = None
    if flops.counts(config):
        parts = estimate.parameters(config.model, estimate.Shape.of(config, vocabulary))
        count = parts.pop("total")
        memory = estimate.memory(config, vocabulary)["total"]
        a_token = flops.per_token(config, count, vocabulary)
    per_second, like = _pace(config.model.kind, a_token, device, earlier)
    corpus = _corpus(config, earlier)
    tokens = _tokens(config, per_second, corpus)
    seconds = None
    if config.train.minutes is not None:
        seconds = 60 * config.train.minutes
    elif tokens is not None and per_second:
        seconds = tokens / per_second
    return Forecast(
        count, memory, room, vocabulary, device, tokens, bool(goal_of(config.objective).columns), per_second, like,
        seconds, tokens / corpus if tokens and corpus else None, parts,
    )  # fmt: skip


def _tokens(config: RunConfig, per_second: float | None, corpus: float | None) -> float | None:
    """Tokens of the budget."""
    train = config.train
    if train.tokens is not None:
        return float(train.tokens)
    if train.minutes is not None:
        return per_second * 60 * train.minutes if per_second else None
    if train.epochs is not None:
        return train.epochs * corpus if corpus else None
    if train.steps is None:
        return None
    both = goal_of(config.objective).head == "target"
    row = train.context + (train.target_context or train.context if both else 0)
    return float(train.steps) * train.batch_size * row


def _corpus(config: RunConfig, earlier: list[_Seen]) -> float | None:
    """Tokens of the training text, where an earlier run of the same text and tokenizer has counted them."""
    source = (config.data.source, config.tokenizer.kind)
    known = next((run.train_tokens for run in earlier if run.source == source and run.train_tokens), None)
    return known * config.data.use if known else None


def _pace(kind: str, a_token: float | None, device: str, earlier: list[_Seen]) -> tuple[float | None, str]:
    """Tokens a second and the run that showed it: of this family, and of the size that is nearest."""
    if not a_token:
        return None, ""
    of_kind = [run for run in earlier if run.kind == kind and run.device == device]
    alike = [run for run in of_kind if 1 / _ALIKE <= run.a_token / a_token <= _ALIKE]  # far smaller ones mostly wait
    if alike:
        best = min(alike, key=lambda run: abs(math.log(run.a_token / a_token)))
        return best.a_second / a_token, best.name
    return (FLOPS_A_GPU if device != "cpu" else FLOPS_A_CORE * cores()) / a_token, ""


def _device(config: RunConfig, earlier: list[_Seen]) -> str:
    """cpu, cuda or mps: as is said, as it was, or as torch says where it is loaded."""
    said = config.train.device.partition(":")[0]
    if said != "auto":
        return said
    if earlier:
        return earlier[0].device
    if "torch" in sys.modules:
        from nbllm.runners.machine import pick_device

        return pick_device("auto").partition(":")[0]
    return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"


def _earlier() -> list[_Seen]:
    """What the newest runs have shown, newest first; each file is read once."""
    found = []
    for folder in reversed(list_runs()[-_RUNS:]):
        try:
            stamp = folder.status_file.stat().st_mtime_ns
        except OSError:
            continue
        key = (str(folder.path), stamp)
        if key not in _seen:
            if len(_seen) > 10 * _RUNS:
                _seen.clear()
            _seen[key] = _look(folder)
        if (run := _seen[key]) is not None:
            found.append(run)
    return found


def _look(folder: RunFolder) -> _Seen | None:
    status = folder.status()
    if not status.tokens_per_second or not status.parameters:
        return None
    try:
        config = RunConfig.from_yaml(folder.config.read_text(encoding="utf-8"), folder.name)
    except (OSError, UnicodeDecodeError, NbllmError):
        return None
    report = read_json(folder.data / "report.json", {})
    report = report if isinstance(report, dict) else {}
    vocabulary, tokens = report.get("vocab_size"), report.get("train_tokens")
    known = vocabulary if isinstance(vocabulary, int) else plan.guessed_vocabulary(config)
    a_token = flops.per_token(config, status.parameters, known)
    device = status.device.partition(":")[0] or "cpu"
    return _Seen(
        folder.name, config.model.kind, device, a_token, a_token * status.tokens_per_second,
        (config.data.source, config.tokenizer.kind), float(tokens) if isinstance(tokens, int | float) else None,
    )  # fmt: skip

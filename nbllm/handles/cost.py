"""What a model costs, as a call: before training, of a run, of a model; estimated, and measured where it is asked."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import Layers, RunConfig, goal_of
from nbllm.errors import RunError
from nbllm.handles.record import Record
from nbllm.handles.threads import shared_threads
from nbllm.handles.train import call_layers
from nbllm.models import flops
from nbllm.models.cost import Cost, Measured, estimated
from nbllm.models.estimate import Shape
from nbllm.runners import plan
from nbllm.runners.energy import Meter
from nbllm.runners.machine import share_cores
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder, find_run

if TYPE_CHECKING:
    from nbllm.handles.model import Model
    from nbllm.handles.run import Run

Say = Callable[[str], None]
_CEILING_SECONDS = 0.4
_MATRIX = {"cpu": 1024, "cuda": 8192, "mps": 2048}


def cost(
    run: str | Path | None = None,
    *,
    data: Any = None,
    model: str | Mapping[str, Any] | None = None,
    size: str | None = None,
    objective: str | None = None,
    config: Mapping[str, Any] | None = None,
    measure: bool = False,
    **overrides: Any,
) -> Cost:
    """Parameters by part, FLOPs a token and memory, by estimate and without torch: of a run by its name, or of what the
    other arguments, those of `train`, would train.

    With `measure` a few seconds of training are done in memory, and the same is told as it was, with the share of the
    device's speed that is used, and energy where the machine tells it.
    """
    given = {"model": model, "size": size, "objective": objective, **overrides}
    layers, data_object = call_layers(data, config, given)
    return cost_layers(run, layers, data_object=data_object, measure=measure)


def cost_layers(
    run: str | Path | None,
    layers: Layers,
    *,
    data_object: Any = None,
    measure: bool = False,
    say: Say = lambda line: None,
) -> Cost:
    """What `cost` and the magic share; `say` is told in a few words what goes on."""
    asked = any(layer for _, layer in layers) or data_object is not None
    if run is not None:
        if asked:
            raise RunError(
                "A run and settings are given.", f"Keep one: the cost of '{run}', or of what the settings make."
            )
        from nbllm.handles.run import Run

        return cost_of_run(Run(find_run(run).path), measure=measure, say=say)
    settings = plan.configure(layers)
    about = f"{settings.model.kind} {settings.size}"
    found = estimated(settings, plan.guessed_vocabulary(settings), about)
    if not measure:
        return found
    share_cores()
    from nbllm.runners.rehearsal import rehearse

    with shared_threads(), rehearse(settings, data_object, say) as training:
        vocabulary = training.objective.task.tokenizer.get_vocab_size()
        parameters = sum(p.numel() for p in training.module.parameters())
        found = estimated(training_config(settings, training), vocabulary, about, parameters)
        return replace(found, measured=_measured(training, found, vocabulary, say))


def cost_of_run(run: Run, *, measure: bool = False, say: Say = lambda line: None) -> Cost:
    """Of a run: its own vocabulary and pace, and measured from its last checkpoint where that is asked."""
    record = Record(run)
    settings = run.config
    vocabulary = _vocabulary(run.folder, settings)
    found = estimated(settings, vocabulary, run.name, record.parameters)
    if record.seconds:
        found = replace(found, per_second=record.tokens / record.seconds)
    if not measure:
        return found
    share_cores()
    from nbllm.runners.rehearsal import rehearse_run

    with shared_threads(), rehearse_run(RunFolder(run.folder), settings, say) as training:
        return replace(found, measured=_measured(training, found, vocabulary, say))


def cost_of_model(model: Model) -> Cost:
    """Of a model that was opened; estimated, for it has no text to train on."""
    vocabulary = model.tokenizer.get_vocab_size()
    parameters = sum(p.numel() for p in model.module.parameters())
    return estimated(model.config, vocabulary, model.folder.name, parameters)


def training_config(settings: RunConfig, training: Any) -> RunConfig:
    """The configuration with what preparing the data has found: the labels."""
    labels = list(getattr(training.objective.task, "labels", ()) or ())
    if not labels:
        return settings
    return settings.model_copy(update={"objective": settings.objective.model_copy(update={"labels": labels})})


def _vocabulary(folder: Path, settings: RunConfig) -> int:
    """Entries of the run's vocabulary: as its data say, or as would be guessed before they are there."""
    report = read_json(RunFolder(folder).data / "report.json", {})
    known = report.get("vocab_size") if isinstance(report, dict) else None
    return int(known) if isinstance(known, int) and known > 0 else plan.guessed_vocabulary(settings)


def _measured(training: Any, found: Cost, vocabulary: int, say: Say) -> Measured:
    """Pace and energy of a second or two of training, then the memory and the products of one step."""
    import torch

    from nbllm.training.footprint import cache, footprint
    from nbllm.training.loop import Progress
    from nbllm.training.pace import pace

    device = next(training.module.parameters()).device
    training.progress = Progress(lr=training.config.lr, accumulate=training.config.accumulate)  # as if from the start
    say("measuring the pace")
    name = f"cuda:{device.index or 0}" if device.type == "cuda" else device.type
    meter = Meter(name)
    meter.start()
    began = time.perf_counter()
    speed = pace(training)
    joules, seconds = meter.joules, time.perf_counter() - began
    say("measuring a step")
    step = footprint(training)
    memory = dict(step.memory)
    train = found.config.train
    kept = cache(training.module, train.context, train.target_context or train.context)
    if kept is not None:
        memory["cache"] = kept
    tokens = training.objective.tokens(step.batch)
    say("measuring the device")
    bf16 = training.autocast is not None
    return Measured(
        memory, step.peak, step.flops / tokens, _analytic(found.config, vocabulary, training, step.batch) / tokens,
        speed.tokens_per_second, _ceiling(device, torch.bfloat16 if bf16 else torch.float32), _name(device),
        step.batch["source" if "source" in step.batch else "tokens"].shape[1],
        joules / (speed.tokens_per_second * seconds), meter.source,
    )  # fmt: skip


def _analytic(config: RunConfig, vocabulary: int, training: Any, batch: Mapping[str, Any]) -> float:
    """FLOPs of a step over this very batch by our own count, with what masks hide, as torch's counter has it."""
    if not flops.counts(config):
        return float("nan")
    shape = Shape.of(config, vocabulary)
    task = training.objective.task
    if task.target_tokenizer is not None:
        shape = replace(shape, target_vocab=task.target_tokenizer.get_vocab_size())
    first = batch["source" if shape.head == "target" else "tokens"]
    rows, source = first.shape
    target = batch["inputs"].shape[1] if "inputs" in batch else 0
    answers = None
    if goal_of(config.objective).head == "masked" and config.objective.kind != "nsp":
        answers = float((batch["targets"] >= 0).sum()) / rows
    return flops.TRAINING * rows * sum(flops.row(config, shape, source, target, answers, seen="all").values())


def _ceiling(device: Any, dtype: Any) -> float:
    """FLOPs a second of a large square product, the best of some tries."""
    import torch

    side = _MATRIX.get(device.type, 1024)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + _CEILING_SECONDS
    tries = 0
    while tries < 3 or time.perf_counter() < until:
        _synchronize(device)
        began = time.perf_counter()
        a @ b
        _synchronize(device)
        best = min(best, time.perf_counter() - began)
        tries += 1
    return 2 * side**3 / best


def _synchronize(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _name(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type

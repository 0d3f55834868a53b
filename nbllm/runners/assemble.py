"""From a run folder to what the loop works with: tokens, module, optimizers, sampler and probe."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nbllm.config import RunConfig
from nbllm.data import prepare as data_prepare
from nbllm.data import tokenizers
from nbllm.errors import ConfigError
from nbllm.inspection import probe as inspection
from nbllm.models import estimate, products
from nbllm.objectives.base import Batch, Objective, to_device
from nbllm.objectives.make import make, recipe
from nbllm.runners import initial, teacher
from nbllm.runners.corpus import Corpus, open_corpus
from nbllm.runners.machine import memory_limit
from nbllm.runners.reporter import Reporter
from nbllm.runners.samplers import sampler
from nbllm.runners.texts import places
from nbllm.store.files import read_json, write_json, write_text
from nbllm.store.folder import RunFolder
from nbllm.training.finetune import freeze
from nbllm.training.loop import Progress, Training
from nbllm.training.optim import Optimizers


def prepare(folder: RunFolder, config: RunConfig, reporter: Reporter) -> dict[str, Any]:
    """Token files and tokenizer in the run folder; from an earlier start where they are there. Returns the report."""
    done = read_json(folder.data / "report.json")
    there = folder.tokenizer.is_file() and any((folder.data / n).exists() for n in ("train.json", "stream.json"))
    if done and done.get("complete") and there:
        return done

    def progress(message: str, share: float | None) -> None:
        reporter.update(message=message, progress=share)

    base, cache = places(folder, config)
    initial.fetch(folder, config)
    parent = initial.tokenizer_of(folder)
    report = data_prepare.prepare(config, base, folder.path, cache, progress, recipe(config), parent)
    report["complete"] = True
    write_json(folder.data / "report.json", report)
    if report.get("labels") and config.objective.labels != report["labels"]:
        config.objective.labels = report["labels"]  # found in the data: from now on part of what the run is
        write_text(folder.config, config.to_yaml())
    reporter.update(message="", progress=None)
    return report


def assemble(
    folder: RunFolder, config: RunConfig, device: torch.device, report: dict[str, Any], processes: int = 1
) -> Training:
    """Module, optimizers, batches, sampler and probe of a run, as they are before the first step. `processes` are those
    that are to share each batch."""
    settings = config.train
    torch.manual_seed(settings.seed)
    objective = open_objective(folder.path, config)
    check_memory(config, device, objective.task.tokenizer.get_vocab_size(), processes)
    teacher.engage(folder, config, objective, device)
    if hasattr(objective, "balance"):
        objective.balance([report.get("label_counts", {}).get(label, 0) for label in objective.task.labels])
    module, parent = initial.begin(folder, config, objective)
    if parent:
        _record_parent(folder, parent)
    if settings.freeze:
        freeze(module, settings.freeze)
    module = module.to(device)
    corpus = open_corpus(folder.data, config, objective, *places(folder, config))

    def batch(step: int) -> Batch:
        return to_device(corpus.batch(step), device)

    def held_out_batches() -> Iterator[Batch]:
        at_once = max(1, 64 * settings.accumulate // training.progress.accumulate)
        return (to_device(each, device) for each in corpus.held_out(at_once))

    training = Training(
        module=module,
        optimizers=Optimizers(module, settings),
        objective=objective,
        config=settings,
        batch=batch,
        held_out=held_out_batches,
        tokens_per_byte=corpus.tokens_per_byte,
        progress=Progress(steps=budget(config, corpus), lr=settings.lr, accumulate=settings.accumulate),
        autocast=narrowing(settings.precision, device),
        data_state=corpus.state,
        load_data_state=corpus.load_state,
    )
    if config.sample.every:
        training.sampler = sampler(module, objective, config, corpus)
        training.sample_every = config.sample.every
    if config.probe.every:
        training.probe = _probe(folder, module, config, corpus)
        training.probe_every = config.probe.every if training.probe else 0
    if settings.compile == "on" or (settings.compile == "auto" and device.type == "cuda"):
        module.compile()
    return training


def open_objective(folder: Path, config: RunConfig) -> Objective:
    """The objective of a run, or of a checkpoint, with the tokenizers that lie in its folder."""
    target = folder / "target_tokenizer.json"
    return make(
        config, tokenizers.load(folder / "tokenizer.json"), tokenizers.load(target) if target.is_file() else None
    )


def _record_parent(folder: RunFolder, about: dict[str, Any]) -> None:
    environment: dict[str, Any] = read_json(folder.environment, {})
    if environment.get("parent") != about:
        write_json(folder.environment, {**environment, "parent": about})


def check_memory(config: RunConfig, device: torch.device, vocab_size: int, processes: int = 1) -> None:
    """ConfigError with the figures where the training cannot fit into the device's memory."""
    if not estimate.knows(config.model):
        return
    parts = estimate.memory(config, vocab_size)
    needed = parts["total"] - parts["activations"] + parts["activations"] // processes
    if device.type == "cpu":
        needed *= processes
    there = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else memory_limit()
    if needed > there:
        raise ConfigError(
            f"This needs about {needed / 1e9:.1f} GB of memory and {device} has {there / 1e9:.1f} GB.",
            "Take a smaller --size, model.width, train.context or train.batch_size, or train.accumulate.",
        )


def budget(config: RunConfig, corpus: Corpus) -> int | None:
    """The budget in steps; None for one in minutes, which the loop calibrates."""
    settings = config.train
    a_step = settings.batch_size * settings.context
    if settings.steps:
        return settings.steps
    if settings.tokens:
        return max(1, math.ceil(settings.tokens / a_step))
    if settings.epochs:
        return max(1, math.ceil(settings.epochs * corpus.epoch_steps))
    return None


def narrowing(precision: str, device: torch.device) -> Callable[[], Any] | None:
    """bf16 where it pays: on a GPU that has it, and for the matrix products of a CPU that has it. A whole network in
    bf16 is slower on a CPU, and is had there when asked for."""
    if precision == "auto" and device.type == "cpu" and products.cpu_has_bf16():
        return products.in_bf16
    wanted = precision == "bf16" or (
        precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return (lambda: torch.autocast(device.type, dtype=torch.bfloat16)) if wanted else None


def _probe(folder: RunFolder, module: Any, config: RunConfig, corpus: Corpus) -> Any:
    """The probe, where the model has something to show; its tokens are written down once."""
    task = corpus.objective.task
    most = min(inspection.MAX_TOKENS, task.context)
    text = config.probe.text
    ids = (task.tokenizer.encode(text, add_special_tokens=False).ids if text else []) or corpus.start(most)
    ids, target = ids[:most], [] if text else corpus.start_of_target(most)
    if len(ids) < 2:
        return None
    found = inspection.probe(module, ids, target)
    if not found:
        return None
    folder.probes.mkdir(exist_ok=True)
    kind = next(iter(found))
    labels = tokenizers.token_strings(task.tokenizer, ids)
    described: dict[str, Any] = {"kind": kind, "tokens": labels, "text": task.tokenizer.decode(ids)}
    if kind == "gates":
        described["gates"] = list(inspection.gate_names(module))
    elif target:
        queries = tokenizers.token_strings(task.target_tokenizer or task.tokenizer, target)
        described |= {"tokens": queries, "keys": labels}
    write_json(folder.probes / "probe.json", described)
    return lambda step: inspection.probe(module, ids, target)


def save_probe(folder: RunFolder, step: int, arrays: dict[str, np.ndarray], most: int = 200) -> None:
    """Keep the maps of a step; of more than `most` files every second is dropped, the first and the last kept."""
    folder.probes.mkdir(exist_ok=True)
    temporary = folder.probes / f".step-{step}.npz"
    with open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    os.replace(temporary, folder.probes / f"step-{step}.npz")
    files = sorted(folder.probes.glob("step-*.npz"), key=lambda path: int(path.stem.partition("-")[2]))
    if len(files) > most:
        for path in files[1:-1:2]:
            path.unlink(missing_ok=True)

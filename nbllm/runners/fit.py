"""A size and a batch for a budget in minutes, where nothing was said of either: what this device is quick enough for.

Sizes are tried from the smallest on, each for a second of training on weights that are thrown away, as long as a
network of that size would see TOKENS_A_PARAMETER tokens a parameter in the time: with fewer a smaller one ends better
(as measured for the rules of `nbllm.suggest`). Steps beyond MANY are better spent on larger batches.
"""

from __future__ import annotations

from typing import Any

import torch

from nbllm.config import SIZES, RunConfig
from nbllm.config.sizes import size_defaults
from nbllm.errors import ConfigError
from nbllm.models import flops
from nbllm.models.estimate import Shape
from nbllm.models.estimate import parameters as counted
from nbllm.runners.assemble import assemble
from nbllm.runners.reporter import Reporter
from nbllm.store.files import write_text
from nbllm.store.folder import RunFolder
from nbllm.training.loop import SAFETY
from nbllm.training.pace import Pace, pace

TOKENS_A_PARAMETER = 1.0
MANY = 4000
LARGEST_BATCH = 64
_HOPE = 2.0  # a larger network may do so many times the arithmetic a second; one that cannot do even so is not built
_CHANGES = ("model.", "train.batch_size", "train.lr")


def fit(
    folder: RunFolder, config: RunConfig, device: torch.device, report: dict[str, Any], reporter: Reporter
) -> RunConfig:
    """The configuration with the size and the batch that suit its minutes, as the run folder has it from now on. One
    that has a size is given back as it is."""
    minutes = config.train.minutes
    if not config.train.fit or not minutes or folder.checkpoint_steps():
        return config
    found, told, speed = config, "", 0.0
    seconds = minutes * 60 * SAFETY
    for size in SIZES:
        candidate = sized(config, size)
        if told and not _hopeful(candidate, report["vocab_size"], speed * _HOPE * seconds):
            break
        reporter.update(message=f"trying size {size}")
        try:
            training = assemble(folder, quiet(candidate), device, report)
        except ConfigError:  # it does not fit into the memory, and no larger one will
            break
        parameters = sum(p.numel() for p in training.module.parameters())
        quick = pace(training, min(1.0, minutes * 60 / 40))
        if told and quick.tokens_per_second * seconds < TOKENS_A_PARAMETER * parameters:
            break
        found, speed = batched(candidate, quick, seconds), quick.tokens_per_second * _operations(candidate, report)
        told = (
            f"{minutes:g} minutes here: size {size}, {parameters:,} parameters, batch {found.train.batch_size}, at "
            f"{quick.tokens_per_second:,.0f} tokens/s. --size takes another"
        )
    found.train.fit = False
    write_text(folder.config, found.to_yaml())
    reporter.update(message="")
    if told:
        reporter.note(told)
    return found


def sized(config: RunConfig, size: str) -> RunConfig:
    """The same at another size, as far as it makes a network larger: data and context stay."""
    values = config.model_dump()
    for path, value in size_defaults(size, config.model.kind, has_budget=True):
        section, _, name = path.partition(".")
        if path.startswith(_CHANGES):
            values[section][name] = value
    return RunConfig.model_validate({**values, "size": size})


def batched(config: RunConfig, quick: Pace, seconds: float) -> RunConfig:
    """The same with a batch twice, or four times, as large where there are steps to spare."""
    steps, found = quick.steps_per_second * seconds, config.model_copy(deep=True)
    while steps > MANY and found.train.batch_size * 2 <= LARGEST_BATCH:
        found.train.batch_size *= 2
        steps /= 2
    return found


def quiet(config: RunConfig) -> RunConfig:
    """For a trial: nothing is looked at beside the training, and nothing compiled."""
    found = config.model_copy(deep=True)
    found.sample.every = found.probe.every = 0
    found.train.compile = "off"
    return found


def _hopeful(config: RunConfig, vocab_size: int, operations: float) -> bool:
    """Whether so much arithmetic lets a network of this configuration see tokens enough."""
    count = counted(config.model, Shape.of(config, vocab_size))["total"]
    return operations / flops.per_token(config, count, vocab_size) >= TOKENS_A_PARAMETER * count


def _operations(config: RunConfig, report: dict[str, Any]) -> float:
    return flops.per_token(config, 0, report["vocab_size"])

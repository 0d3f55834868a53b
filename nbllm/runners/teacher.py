"""The teacher of a distillation: a run whose predictions another one learns from. It is brought into the new run's
folder when that is made, so that the run stands alone and goes on as it began, and opened by the worker.

    teacher/  parent.json  model.safetensors  config.yaml  tokenizer.json
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbllm.config import RunConfig, goal_of
from nbllm.errors import ConfigError
from nbllm.runners import initial
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    import torch

    from nbllm.objectives.base import Objective

FOLDER = "teacher"


def bring(config: RunConfig, folder: Path) -> None:
    """Copy (or link) the teacher's latest weights, tokenizer and configuration into a new run folder. RunError where
    there is no such run, ConfigError for one that learned something else."""
    name = config.objective.teacher
    if name is None:
        return
    run = initial.parent_of(name)
    learned = initial.parent_config(run)
    if goal_of(learned.objective).head != "next" or learned.model.kind == "huggingface":
        raise ConfigError(
            f"'{run.name}' ({learned.model.kind}, {learned.objective.kind}) cannot teach the next token.",
            "Name a run that learned clm with a network of nbllm's own.",
        )
    if learned.train.context < config.train.context:
        raise ConfigError(
            f"The teacher '{run.name}' reads {learned.train.context} tokens at once, and this run "
            f"{config.train.context}.",
            f"Use train.context: {learned.train.context}",
        )
    initial.copy_run(run, folder / FOLDER)


def engage(folder: RunFolder, config: RunConfig, objective: Objective, device: torch.device) -> None:
    """Let the objective learn from the teacher, where the run has one. ConfigError where it reads other tokens."""
    from nbllm.data import tokenizers
    from nbllm.training import checkpoint, lora

    if config.objective.teacher is None:
        return
    place = folder.path / FOLDER
    name = read_json(place / "parent.json", {}).get("name", config.objective.teacher)
    learned = RunConfig.from_yaml((place / "config.yaml").read_text(encoding="utf-8"), str(place / "config.yaml"))
    tokenizer = tokenizers.load(place / "tokenizer.json")
    if tokenizer.get_vocab() != objective.task.tokenizer.get_vocab():
        raise ConfigError(
            f"The teacher '{name}' reads other tokens than this run.",
            f"Give this run its tokenizer: tokenizer.kind: {folder.path.parent / name / 'tokenizer.json'}",
        )
    from nbllm.objectives.make import make

    module = initial.module_of(place, learned, make(learned, tokenizer))
    if learned.lora.rank:
        lora.inject(module, learned.lora)
    checkpoint.load_weights(module, place)
    objective.learn_from(module.to(device).eval().requires_grad_(False))

"""From a configuration to its objective, to the recipe of its data, and to the module that it trains."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer
from torch import nn

from nbllm.config import RunConfig, goal_of
from nbllm.data.middle import MARKS
from nbllm.data.recipe import Recipe
from nbllm.models.factory import Sizes, build
from nbllm.objectives.base import Objective, Task
from nbllm.registry import OBJECTIVES


def make(
    config: RunConfig, tokenizer: Tokenizer, target: Tokenizer | None = None, labels: tuple[str, ...] = ()
) -> Objective:
    """The objective, which knows the run's tokenizers and labels."""
    task = Task(
        config=config.objective,
        tokenizer=tokenizer,
        context=config.train.context,
        target_tokenizer=target,
        target_context=config.train.target_context,
        labels=labels or tuple(config.objective.labels or ()),
        latent=config.model.latent,
    )
    return OBJECTIVES.get(config.objective.kind)(task)


def recipe(config: RunConfig) -> Recipe:
    """What the objective wants of its data."""
    cls: Any = OBJECTIVES.get(config.objective.kind)
    goal = goal_of(config.objective)
    special = tuple(cls.special_tokens)
    if config.model.kind == "bert":  # the encoder's own frame, also where it is trained for labels from the start
        special = tuple(dict.fromkeys(("<pad>", "<cls>", "<sep>", "<mask>", *special)))
    if config.objective.fill_middle:
        special = (*special, *MARKS)
    return Recipe(
        name=config.objective.kind,
        data=goal.data,
        columns=goal.columns,
        special=special,
        version=cls.version,
        encoder=lambda tokenizer, target, labels: make(config, tokenizer, target, labels),
    )


def module_for(config: RunConfig, objective: Objective) -> nn.Module:
    """The module with fresh weights that the configuration describes, with the head that the objective asks for."""
    task = objective.task
    sizes = Sizes(
        vocab=task.tokenizer.get_vocab_size(),
        context=task.context,
        target_vocab=None if task.target_tokenizer is None else task.target_tokenizer.get_vocab_size(),
        target_context=task.target_context,
        outputs=objective.outputs,
    )
    return build(config.model, sizes, goal_of(config.objective).head)

"""suggest: a family, a size, a tokenizer and settings for a task, data and a time, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbllm.config import GOALS, SHORTHAND, short_names
from nbllm.errors import ConfigError, DataError
from nbllm.handles.choose import KINDS, Choice
from nbllm.handles.suggestion import Suggestion
from nbllm.handles.survey import survey
from nbllm.handles.task_words import objective_of
from nbllm.handles.threads import shared_threads
from nbllm.runners import plan
from nbllm.runners.machine import share_cores

Say = Callable[[str], None]

_SHORTEST = 200  # characters of text that anything can be learned from


def suggest(task: str = "generate", data: Any = None, minutes: float = 3.0, **settings: Any) -> Suggestion:
    """A family, a size, a tokenizer and settings for a task in so many minutes, with their reasons and a ready cell.

    `task` is an objective or an everyday word (generate, classify, translate, fill, ...); `data` what `train` takes,
    the task's built-in corpus where not given; `settings` what is settled already, as in `text_column="review"`. It
    looks at the start of the data and trains the suggested model for a second or two, in memory, to tell how far it
    will come. Raises an NbllmError where the data cannot be used, or where this machine cannot hold even the smallest
    model.
    """
    return suggest_layers(task, data, minutes, settings)


def suggest_layers(
    task: str,
    data: Any = None,
    minutes: float = 3.0,
    settings: Mapping[str, Any] | None = None,
    shown: str | None = None,
    say: Say = lambda line: None,
) -> Suggestion:
    """What `suggest` and the magic share. `shown` is how the data is named in the cell; `say` hears what goes on."""
    if not 0 < minutes <= 100_000:
        raise ConfigError(f"minutes is {minutes:g}.", "Use a number above 0, as in minutes=3.")
    objective = objective_of(task)
    goal = GOALS[objective]
    data = getattr(goal, "source", "python-docs") if data is None else data
    own = {_dotted(key): value for key, value in (settings or {}).items()}
    asked = {"objective.kind": objective, "model.kind": KINDS.get(objective, "lstm"), **own}
    share_cores()
    say("looking at the data")
    config = plan.configure([("call", asked)])
    seen = survey(data, config, goal)
    if seen.characters < _SHORTEST:
        raise DataError(f"{seen.source} holds {seen.characters} characters, too few to learn from.", "Give more text.")
    choice = Choice(objective, seen, minutes, own, shown or _shown(data), say)
    with shared_threads():
        return choice.suggestion()


def _shown(data: Any) -> str:
    """How the data is named in a cell."""
    if not isinstance(data, str | Path):
        return "{{data}}"
    text = str(data)
    return f'"{text}"' if re.search(r"\s", text) else text


def _dotted(key: str) -> str:
    """A setting's whole path: of a section its first field, of a short name the place where it stands."""
    return f"{key}.{SHORTHAND[key]}" if key in SHORTHAND else short_names().get(key, key)

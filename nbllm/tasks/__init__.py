"""The application tasks: each a thing to train, to try, to score and to look into, a file a task.

    task = nbllm.tasks.get("sentiment")
    run = task.train(minutes=2)                     # in the background, its own table; or task.train(df)
    task.predict(["not bad at all"])                # a DataFrame: label and probabilities
    task.evaluate()                                 # metrics with intervals, and the baselines beside them
    nbllm.tasks.leaderboard("sentiment")            # every run of the task on the same rows

A task of your own, in a cell:

    @nbllm.tasks.register("shouting")
    class Shouting(Sentiment): ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.registry import TASKS

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.tasks.base import Task

__all__ = ["get", "leaderboard", "register"]

register = TASKS.register


def get(name: str) -> Task:
    """The task of that name; a ConfigError with the nearest name otherwise."""
    found: Any = TASKS.get(name)
    return found(name) if isinstance(found, type) else found


def leaderboard(task: str, data: Any = None, *, limit: int = 500) -> pd.DataFrame:
    """Every run of the task, scored on the same rows: at most `limit` of `data`, or of the task's own test rows."""
    from nbllm.tasks.board import board

    return board(get(task), data, limit=limit)

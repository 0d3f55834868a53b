"""Asking a model for many rows: batched, rows of like length together, with progress; an interrupt keeps what is done.

Intervals are bootstrap percentiles over the rows (Efron & Tibshirani 1993), with a seed of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.errors import DataError
from nbllm.tasks import rows as rows_of
from nbllm.tasks.choose import choose

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.model import Model
    from nbllm.tasks.base import Answer, Row, Task

Progress = Callable[[int, int, float], None]
"""Called with the rows that are done, all of them, and the seconds so far."""

RESAMPLES = 300
LEVEL = 0.95
_CHUNK = 16  # batches whose rows are sorted by length together


def predict(task: Task, inputs: Any, run: str | None, model: Any, settings: dict[str, Any]) -> pd.DataFrame:
    """The inputs as a DataFrame with the answers' columns; rows without a text get none."""
    columns, settings = _parted(settings)
    opened = choose(task, run, model)
    rows, frame = rows_of.typed(task, inputs, columns)
    asked = [i for i, row in enumerate(rows) if all(row[column].strip() for column in task.inputs)]
    found, _ = _ask(task, opened, [rows[i] for i in asked], None, settings)
    answers: list[Answer] = [{} for _ in rows]
    for place, answer in zip(asked, (each for _, each in found), strict=False):
        answers[place] = answer
    for name in dict.fromkeys(key for answer in answers for key in answer):
        frame[name] = [answer.get(name) for answer in answers]
    frame.attrs["without_text"] = len(rows) - len(asked)
    return frame


def evaluate(
    task: Task,
    data: Any,
    run: str | None,
    model: Any,
    limit: int,
    progress: Progress | None,
    settings: dict[str, Any],
) -> pd.DataFrame:
    """The table of metrics: see `Task.evaluate`."""
    import pandas as pd

    columns, settings = _parted(settings)
    opened = choose(task, run, model)
    known, rows, kind, missing = _rows(task, opened, data, columns)
    chosen = spread(rows, limit)
    found, interrupted = _ask(task, opened, chosen, progress, settings)
    if not found:
        raise DataError("Nothing was scored: it was interrupted at once.", "Let it run for some seconds.")
    done = [row for row, _ in found]
    judged = task.judge(done, [answer for _, answer in found])
    low, high = bootstrap(task, judged)
    value = task.measure(judged)
    table = {"value": value, "low": low, "high": high}
    for name, answers in task.baselines(known, done).items():
        table[name] = task.measure(task.judge(done, answers))
    frame = pd.DataFrame(table, index=pd.Index(list(value), name=task.name))
    frame.attrs = {
        "task": task.name, "run": opened.folder.name, "step": opened.step, "rows": len(done), "of": len(rows),
        "kind": kind, "missing": missing, "interrupted": interrupted, **task.about(judged),
    }  # fmt: skip
    frame.attrs["advice"] = task.advice(frame)
    return frame


def errors(task: Task, data: Any, run: str | None, model: Any, limit: int, settings: dict[str, Any]) -> pd.DataFrame:
    """The rows that are answered wrongly: see `Task.errors`."""
    import pandas as pd

    columns, settings = _parted(settings)
    opened = choose(task, run, model)
    _, rows, _, _ = _rows(task, opened, data, columns)
    found, _ = _ask(task, opened, spread(rows, limit), None, settings)
    wrong = []
    for row, answer in found:
        if not task.is_right(row, answer):
            given = {column: row[column] for column in task.inputs if column in row}
            wrong.append({**given, "true": row[task.answered], **answer})
    names = [*task.inputs, "true", task.answered]
    frame = pd.DataFrame(wrong, columns=None if wrong else names)
    if "probability" in frame:
        frame = frame.sort_values("probability", ascending=False, ignore_index=True)
    frame.attrs = {"rows": len(found), "wrong": len(wrong)}
    return frame


def bootstrap(task: Task, judged: Sequence[Any], seed: int = 0) -> tuple[dict[str, float], dict[str, float]]:
    """The ends of the interval of each metric."""
    draw = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        chosen = draw.integers(0, len(judged), len(judged))
        for name, value in task.measure([judged[i] for i in chosen]).items():
            if name not in task.whole:
                found.setdefault(name, []).append(value)
    tail = (1 - LEVEL) / 2
    ends = {name: np.quantile(values, (tail, 1 - tail)) for name, values in found.items()}
    return {name: float(e[0]) for name, e in ends.items()}, {name: float(e[1]) for name, e in ends.items()}


def spread(rows: Sequence[Row], limit: int) -> list[Row]:
    """At most so many rows, spread evenly."""
    chosen = np.linspace(0, len(rows) - 1, min(limit, len(rows))).round().astype(int)
    return [rows[i] for i in dict.fromkeys(chosen.tolist())]


def _rows(
    task: Task, model: Model, data: Any, columns: Mapping[str, Any]
) -> tuple[list[Row], list[Row], str, dict[str, int]]:
    """Rows that were learned from, rows to score, which these are, and how many were left out for want of a column."""
    if data is None:
        return *rows_of.of_model(task, model), {}
    rows, missing = rows_of.of_data(task, data, columns)
    known: list[Row] = []
    if (model.folder / "config.yaml").is_file():
        try:
            known = rows_of.of_model(task, model)[0]
        except DataError:  # what the run learned from is gone: baselines that learn are left out
            known = []
    return known, rows, "rows", missing


def _ask(
    task: Task, model: Model, rows: Sequence[Row], progress: Progress | None, settings: dict[str, Any]
) -> tuple[list[tuple[Row, Answer]], bool]:
    """The rows with their answers, in their order; those before an interrupt, and whether there was one."""
    found: dict[int, Answer] = {}
    begun, interrupted = time.monotonic(), False
    try:
        for batch in bucketed(rows, task.batch):
            answers = task.answer(model, [rows[i] for i in batch], **settings)
            found.update(zip(batch, answers, strict=True))
            if progress is not None:
                progress(len(found), len(rows), time.monotonic() - begun)
    except KeyboardInterrupt:
        interrupted = True
    return [(rows[i], found[i]) for i in sorted(found)], interrupted


def bucketed(rows: Sequence[Row], size: int) -> Iterator[list[int]]:
    """The places of the rows in batches of like length; any part of them is a fair sample of all, since rows are drawn
    in an order of chance and sorted only within a few batches."""
    order = np.random.default_rng(0).permutation(len(rows))
    lengths = np.array([sum(map(len, row.values())) for row in rows])
    for start in range(0, len(order), size * _CHUNK):
        part = order[start : start + size * _CHUNK]
        part = part[np.argsort(lengths[part], kind="stable")]
        for first in range(0, len(part), size):
            yield part[first : first + size].tolist()


def _parted(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings that say how the data is read (text_column, format, ...), and those of the answering."""
    from nbllm.config import DataConfig

    data = {key: value for key, value in settings.items() if key in DataConfig.model_fields}
    return data, {key: value for key, value in settings.items() if key not in data}

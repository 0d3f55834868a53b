"""From a file of rows to a file of answers, for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbllm import registry
from nbllm.config import goal_of
from nbllm.errors import ConfigError, DataError, did_you_mean
from nbllm.handles.train import attach
from nbllm.tasks import get


def predict_file(run: str, source: str, target: str, task: str | None, settings: Mapping[str, Any]) -> str:
    """Answer the rows of a table (`source`) by a run, write them with their answers to a CSV (`target`), and say so."""
    if Path(target).suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"{target} is no table.", "Write to a file that ends in .csv or .tsv.")
    from nbllm.tasks.rows import read_frame

    columns = {path.partition(".")[2]: value for path, value in settings.items()}
    reading: dict[str, Any] = {key: columns.pop(key) for key in ("format", "encoding") if key in columns}
    chosen = get(task or task_of(run))
    found = chosen.predict(read_frame(source, reading), run=run, **columns)
    found.to_csv(target, index=False, sep="\t" if target.lower().endswith(".tsv") else ",")
    missing = found.attrs["without_text"]
    said = f"; {missing:,} rows without a text have none" if missing else ""
    return f"Wrote {len(found) - missing:,} answers to {target}{said}."


def task_of(run: str) -> str:
    """The task of a run: by its tags, or by what its model does. ConfigError where that is not one."""
    found = attach(run)
    tagged = [tag for tag in found.tags if tag in registry.TASKS]
    if len(tagged) == 1:
        return tagged[0]
    head = goal_of(found.config.objective).head
    fitting = [name for name in registry.TASKS if head in get(name).heads and len(get(name).columns) == 2]
    if not fitting:
        raise ConfigError(f"Which task {found.name} is for is not known.", did_you_mean("", registry.TASKS))
    return "sentiment" if "sentiment" in fitting else fitting[0]

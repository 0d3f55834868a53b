"""All runs of a task on the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.errors import NbllmError, RunError
from nbllm.store.folder import RunFolder
from nbllm.tasks.choose import best, runs_of

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.tasks.base import Task


def board(task: Task, data: Any = None, *, limit: int = 500) -> pd.DataFrame:
    """A row a run, the best first: its model, parameters, minutes and metrics, the baselines at the end. Without data
    each run is scored on the test or held-out rows of what it learned from, which the column `source` names."""
    import pandas as pd

    there = runs_of(task)
    if not there:
        raise RunError(f"There is no trained run of {task.name} yet.", f"Type: %llm_task {task.name} --train")
    rows: dict[str, dict[str, Any]] = {}
    beside: dict[str, dict[str, float]] = {}
    for run in there:
        try:
            model = best(run)
            task.check(model)
            table = task.evaluate(data, model=model, limit=limit)
        except NbllmError as error:
            rows[run.name] = {"note": str(error)}
            continue
        rows[run.name] = {
            "model": model.config.model.kind,
            "parameters": sum(p.numel() for p in model.module.parameters()),
            "minutes": round(RunFolder(run.folder).status().seconds / 60, 2),
            "source": model.config.data.source if data is None else "data",
            **table["value"].to_dict(),
        }
        for name in table.columns[3:]:
            beside.setdefault(name, {"source": rows[run.name]["source"], **table[name].to_dict()})
        model.close()
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
    if task.main in frame:
        frame = frame.sort_values(task.main, ascending=False)
    return pd.concat([frame, pd.DataFrame.from_dict(beside, orient="index")]).rename_axis("run")

"""Which model a task asks: the one that is named, or that of its newest run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.errors import ConfigError, RunError
from nbllm.handles.model import Model
from nbllm.handles.run import Run
from nbllm.handles.train import attach, load
from nbllm.models.huggingface import source
from nbllm.store.files import read_json
from nbllm.store.folder import list_runs

if TYPE_CHECKING:
    from nbllm.tasks.base import Task


def choose(task: Task, run: Any, model: Any) -> Model:
    """The model: `model` is one, or what `nbllm.load` takes; `run` a run or its name; else the task's newest run.

    Of a run it is the checkpoint of the lowest held-out loss. RunError that says what to type where there is none.
    """
    if isinstance(model, Model):
        found = model
    elif model is not None:
        try:
            found = load(str(model))
        except ConfigError:  # its class does not say what it does
            if not source.is_hugging_face(model):
                raise
            found = load(str(model), objective=task.objective)
    elif run is not None:
        found = best(run if isinstance(run, Run) else attach(run))
    else:
        there = runs_of(task)
        if not there:
            raise RunError(f"There is no trained run of {task.name} yet.", f"Type: %llm_task {task.name} --train")
        found = best(there[0])
    task.check(found)
    return found


def runs_of(task: Task) -> list[Run]:
    """The runs of a task with a checkpoint, or still at work, the newest first: those with its name as a tag."""
    found = []
    for folder in reversed(list_runs()):
        labels = read_json(folder.labels, {})
        tags = labels.get("tags", []) if isinstance(labels, dict) else []
        if (task.name in tags or folder.name == task.name) and (folder.checkpoint_steps() or folder.alive()):
            found.append(Run(folder.path))
    return found


def best(run: Run) -> Model:
    """The model of the checkpoint with the lowest held-out loss; the latest where none was measured."""
    metrics = run.metrics
    steps = [int(path.name.partition("-")[2]) for path in (run.folder / "checkpoints").glob("step-*")]
    if "val_loss" not in metrics or not steps:
        return run.load()
    measured = metrics["val_loss"].dropna()
    measured = measured[measured.index.isin(steps)]
    return run.load(int(measured.idxmin())) if len(measured) else run.load()

"""The playground's widget: what is chosen and typed, what the models answered, and their scores, all in traits.

Models are asked in a thread of its own, so that the notebook stays free meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import traitlets

from nbllm import tasks
from nbllm.dashboards.playground_answers import cell_of, moved, scores, scoring_cell, told
from nbllm.dashboards.worker_thread import Working
from nbllm.errors import ConfigError, DataError, NbllmError
from nbllm.handles.threads import shared_threads
from nbllm.plots.maps import visible_text
from nbllm.registry import TASKS

if TYPE_CHECKING:
    from nbllm.handles.model import Model
    from nbllm.tasks.base import Answer, Heard, Row, Task

_KEPT = 4  # models that stay open
_PERIOD = 0.2  # s between two signs of progress
_LIMIT = 1000  # rows that are scored at most


class Widget(Working):
    """All that the page shows. `model` and `other` name a run, or what `nbllm.load` takes: "" is the task's newest run,
    and as `other` no second model."""

    _js = "playground.js"
    _sheet = "playground.css"
    _wishes = ("run", "explain", "evaluate")

    tasks: traitlets.List[Any] = traitlets.List().tag(sync=True)
    task = traitlets.Unicode().tag(sync=True)
    models: traitlets.List[Any] = traitlets.List().tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    other = traitlets.Unicode().tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)
    results: traitlets.List[Any] = traitlets.List().tag(sync=True)
    path = traitlets.Unicode().tag(sync=True)
    evaluation: traitlets.List[Any] = traitlets.List().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    view = traitlets.Dict({"tab": "answer"}).tag(sync=True)
    cell = traitlets.Unicode().tag(sync=True)

    def __init__(self, task: str):
        self._opened: dict[tuple[str, str], tuple[Any, Model]] = {}
        self._asked: list[tuple[Task, str, Row, Any]] = []  # what the results are of, for influence
        super().__init__(tasks=listed(), task=task)
        self._turn()
        self.observe(self._turn, "task")
        self.observe(self._write_cell, ["texts", "model", "path", "view"])

    def _turn(self, _change: Any = None) -> None:
        """Another task: its runs and its first example."""
        try:
            task = tasks.get(self.task)
        except NbllmError as error:
            self.fault = visible_text(str(error))
            return
        self._stopped, self._asked = True, []
        self.fault, self.results, self.evaluation, self.progress = "", [], [], {}
        self.model = self.other = ""
        self._look_for_runs(task)
        example = task.examples[0] if task.examples else ""
        self.texts = dict(zip(task.inputs, _parts(example), strict=False))
        self._write_cell()

    def _look_for_runs(self, task: Task) -> None:
        from nbllm.tasks.choose import runs_of

        self.models = [[run.name, run.name if run.state != "training" else f"{run.name} (training)"]
                       for run in runs_of(task)]  # fmt: skip

    def _named(self, name: str) -> dict[str, str]:
        """A model as an argument of the task's methods."""
        if not name:
            return {"run": self.models[0][0]} if self.models else {}
        return {"run": name} if name in [run for run, _ in self.models] else {"model": name}

    def _write_cell(self, _change: Any = None) -> None:
        task = tasks.get(self.task)
        named = self._named(self.model)
        if self.view.get("tab") == "evaluate":
            self.cell = scoring_cell(task, self.path.strip(), named)
        else:
            self.cell = cell_of(task, {key: str(text) for key, text in self.texts.items()}, named)

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A fresh list of runs needs no thread."""
        if isinstance(content, dict) and content.get("kind") == "runs":
            self._look_for_runs(tasks.get(self.task))
        else:
            super()._hear(_widget, content, _buffers)

    def _idle(self) -> None:
        self._say(progress={})

    def _grant(self, wish: dict[str, Any]) -> None:
        """The page wishes for an answer, what moved it, or scores."""
        task = tasks.get(self.task)
        for name in ("model", "other", "path"):
            if isinstance(wish.get(name), str):
                self._say(**{name: wish[name].strip()})
        if isinstance(wish.get("texts"), dict):
            self._say(texts={str(key): str(text) for key, text in wish["texts"].items()})
        self._look_for_runs(task)
        self._write_cell()
        if wish["kind"] == "run":
            self._answer(task)
            if self.view.get("tab") == "influence":
                self._explain()
        elif wish["kind"] == "explain":
            self._explain()
        else:
            self._evaluate(task)

    @property
    def _sides(self) -> list[str]:
        """The models that are asked, by their names here."""
        return [self.model, self.other] if self.other and self.other != self.model else [self.model]

    def _answer(self, task: Task) -> None:
        row = {column: str(self.texts.get(column, "")) for column in task.inputs}
        if empty := [column for column in task.inputs if not row[column].strip()]:
            raise DataError(f"There is no {empty[0]} to ask about.", "Type one, or choose an example.")
        found: list[dict[str, Any]] = []
        self._asked = []
        self._say(results=[])
        for name in self._sides:
            if self._stopped:
                break
            self._say(busy=f"asking {visible_text(name) or 'the newest run'}")
            result: dict[str, Any] = {"name": visible_text(name), "fault": "", "influence": None}
            answer = None
            try:
                model = self._model(task, name)
                begun = time.monotonic()
                result |= {"name": visible_text(model.folder.name), "step": model.step}
                with shared_threads():
                    answer = task.write(model, row, self._hearing(task, row, result, found))
                result |= told(task, row, answer)
                result["seconds"] = time.monotonic() - begun
            except NbllmError as error:
                if len(self._sides) == 1:
                    raise
                result["fault"] = visible_text(str(error))
            found.append(result)
            self._asked.append((task, name, row, answer))
            self._say(results=list(found))

    def _hearing(self, task: Task, row: Row, result: dict[str, Any], before: list[Any]) -> Heard:
        """Shows an answer while it is written, behind those that are done; True where it is to end."""
        last = 0.0

        def heard(answer: Answer) -> bool:
            nonlocal last
            if time.monotonic() - last > _PERIOD:
                last = time.monotonic()
                self._say(results=[*before, {**result, **told(task, row, answer)}])
            return self._stopped

        return heard

    def _explain(self) -> None:
        """What moved the answers that are shown."""
        found = [dict(result) for result in self.results]
        for result, (task, name, row, answer) in zip(found, self._asked, strict=False):
            if answer is None or result["influence"] is not None or self._stopped:
                continue
            self._say(busy="looking for what moved the answer")
            influence = task.explain(self._model(task, name), row)
            result["influence"] = (
                {"none": f"What moves an answer of {task.name} is not known."}
                if influence is None
                else moved(influence, str(answer[task.answered]))
            )
            self._say(results=[dict(each) for each in found])

    def _evaluate(self, task: Task) -> None:
        found: list[dict[str, Any]] = []
        self._say(evaluation=[])
        for name in self._sides:
            if self._stopped:
                break
            model = self._model(task, name)
            self._say(busy=f"scoring {visible_text(model.folder.name)}")
            last = -_PERIOD

            def step(done: int, of: int, seconds: float) -> None:
                nonlocal last
                if done == of or seconds - last >= _PERIOD:
                    last = seconds
                    self._say(progress={"done": done, "of": of, "left": seconds / done * (of - done)})
                if self._stopped:
                    raise KeyboardInterrupt  # `evaluate` keeps what is done

            with shared_threads():
                table = task.evaluate(self.path or None, model=model, limit=_LIMIT, progress=step)
            found.append(scores(table))
            self._say(evaluation=list(found))

    def _model(self, task: Task, name: str) -> Model:
        """The model of that name, opened once for as long as its run has no newer checkpoint."""
        from nbllm.handles.train import attach
        from nbllm.store.folder import RunFolder
        from nbllm.tasks.choose import choose

        asked = self._named(name)
        if not asked:
            raise ConfigError(
                f"There is no trained run of {task.name} yet.",
                f"Type %llm_task {task.name} --train in a cell, or choose a model by its name.",
            )
        known = asked.get("run", asked.get("model", ""))
        stamp = RunFolder(attach(known).folder).checkpoint_steps()[-1:] if "run" in asked else None
        key = (task.name, known)
        if key not in self._opened or self._opened[key][0] != stamp:
            self._say(busy=f"opening {visible_text(known)}")
            self._opened[key] = (stamp, choose(task, asked.get("run"), asked.get("model")))
            while len(self._opened) > _KEPT:
                self._opened.pop(next(iter(self._opened)))
        return self._opened[key][1]


def listed() -> list[dict[str, Any]]:
    """Every task that can be had here, as the page needs it; one whose package is not installed is left out."""
    found = []
    for name in TASKS:
        try:
            task = tasks.get(name)
        except (NbllmError, ImportError):
            continue
        found.append(
            {
                "name": name, "summary": task.summary, "inputs": list(task.inputs),
                "examples": [[visible_text(part) for part in _parts(example)] for example in task.examples],
            }
        )  # fmt: skip
    return found


def _parts(example: Any) -> list[str]:
    """An example's text for each input."""
    if isinstance(example, Mapping):
        return [str(part) for part in example.values()]
    return [str(part) for part in example] if isinstance(example, tuple | list) else [str(example)]

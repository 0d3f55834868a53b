"""What every task is: data, a preset of model and objective, prediction, metrics, baselines, examples. No loop of its
own: `train` is nbllm's, with the task's settings below what is asked for.

A row is a dict by the task's own columns ({"source": ..., "target": ...}); an answer is a dict of the columns that
`predict` adds to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from nbllm.config import FAMILIES, Layers
from nbllm.config import asked as merged
from nbllm.errors import ConfigError, ModelError
from nbllm.handles.train import call_layers, train_layers
from nbllm.registry import CORPORA, TABLES, VIEWS

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.model import Model
    from nbllm.handles.run import Run
    from nbllm.tasks.evaluate import Progress

DOES = {
    "labels": "gives labels", "next": "goes on from a text", "target": "answers a text with another",
    "masked": "fills in masks", "latent": "draws from a latent space", "tags": "marks tokens",
    "ends": "marks the answer in a text",
}  # fmt: skip
"""What a model does, by its head."""

Row = dict[str, str]
Answer = dict[str, Any]
Heard = Callable[[Answer], bool | None]
"""Called with an answer as far as it is written; where it says True, the answer ends there."""


class Task(ABC):
    """One application. A subclass says what it is (the class variables), how a model answers rows, and how answers are
    judged and measured."""

    summary: ClassVar[str]
    """One line: what it does."""
    columns: ClassVar[tuple[str, ...]]
    """The columns of its tables; the last is the answer."""
    roles: ClassVar[Mapping[str, str]] = {}
    """The role that a column has for the objective, where it is called otherwise: {"document": "source"}."""
    table: ClassVar[str]
    """The built-in table that it trains on where no data is given."""
    objective: ClassVar[str]
    """What it learns, and what a Hugging Face model is opened for."""
    heads: ClassVar[frozenset[str]]
    """The heads of the models that can do it (see nbllm.config.GOALS): labels, target, next, ..."""
    foreign_heads: ClassVar[frozenset[str]] = frozenset()
    """Further heads with which a model of Hugging Face can do it."""
    needs: ClassVar[str]
    """What such a model does, for the line that refuses another: "gives labels"."""
    preset: ClassVar[Mapping[str, Any]]
    """Settings for the built-in tables, by dotted key."""
    own_preset: ClassVar[Mapping[str, Any]]
    """Settings for data of the user's."""
    examples: ClassVar[tuple[Any, ...]]
    """Inputs to try."""
    main: ClassVar[str]
    """The metric that a leaderboard is sorted by; more is better."""
    batch: ClassVar[int] = 64
    """Rows answered at once."""
    whole: ClassVar[frozenset[str]] = frozenset()
    """Metrics of all answers together that a resample with rows twice would make smaller: they get no interval."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"<Task {self.name}: {self.summary}>"

    # What a task says for itself

    @abstractmethod
    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        """What the model says to each row, batched; the rows come in batches of like length. `settings` are those of
        generation (beams=4, max_tokens=60), where it writes."""

    def write(self, model: Model, row: Row, heard: Heard | None = None, **settings: Any) -> Answer:
        """What the model says to one row, told while it is written, where it writes."""
        return self.answer(model, [row], **settings)[0]

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """What is to be known of each answer, computed once a row: counts, overlaps, the pair itself. `measure` makes
        metrics of any choice of these."""
        return list(zip(rows, answers, strict=True))

    @abstractmethod
    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """The metrics of some judged answers, by lower-case name; called for each resample of the bootstrap."""

    @abstractmethod
    def is_right(self, row: Row, answer: Answer) -> bool:
        """Whether an answer counts as right, for `errors`."""

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """Answers of what every model is to beat, by name; `known` are the rows that the model learned from, [] where
        they are not to be had."""
        return {}

    def about(self, judged: Sequence[Any]) -> dict[str, Any]:
        """What else an evaluation tells, for `.attrs`: a signature, a confusion matrix."""
        return {}

    def advice(self, table: pd.DataFrame) -> str:
        """One line where the figures call for one: a baseline that is better; else nothing."""
        return ""

    def explain(self, model: Model, row: Row) -> Any:
        """What moved the answer, as an Influence; None where that cannot be told."""
        return None

    def rows(self, model: Model) -> tuple[list[Row], list[Row], list[Row]] | None:
        """Rows by role that were learned from, held out, and for a test, where they are not those of the table that the
        model learned from; None where they are."""
        return None

    def settings(self, source: str | None) -> Mapping[str, Any]:
        """The preset for a source: a built-in table, or None for data of the user's."""
        return self.own_preset if source is None else self.preset

    def learns(self, given: Mapping[str, Any]) -> str:
        """The objective of a training, by what is asked for (dotted keys)."""
        return self.objective

    def words(self, data: Any, given: dict[str, Any]) -> dict[str, Any]:
        """Words of the task's own among what is asked (source="en"), taken out of `given` and made settings."""
        for word in ("source", "target"):
            if given.pop(word, None) is not None:
                raise ConfigError(f"{self.name} has no {word}.", f"Its columns: {', '.join(self.columns)}.")
        return {}

    # What is called

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that are given, without the answer's."""
        return self.columns[:-1]

    @property
    def answered(self) -> str:
        """The column of the answer."""
        return self.columns[-1]

    def role(self, column: str) -> str:
        """What the objective calls a column."""
        return self.roles.get(column, column)

    def layers(self, layers: Layers, thing: Any = None, words: Mapping[str, Any] | None = None) -> Layers:
        """The settings of a training: those that are asked for (`layers`, lowest first) above the task's own. `thing`
        is the notebook's object, where that is the data; `words` are the task's (source, target)."""
        given = merged(layers)
        source = given.get("data.source", self.table)
        own = self.words(source if thing is None else thing, dict(words or {}))
        source = own.get("data.source", source)
        known = source if thing is None and (source in TABLES or source in CORPORA) else None
        learns = self.learns(given)
        base = {"data.source": self.table, "objective.kind": learns, **self.settings(known), **own}
        return [(f"task {self.name}", fitting(base, given)), *layers]

    def train(
        self,
        data: Any = None,
        *,
        name: str | None = None,
        minutes: float | None = None,
        wait: bool = False,
        runner: str = "process",
        resume: bool = False,
        replace: bool = False,
        **settings: Any,
    ) -> Run:
        """Train a model for the task in the background, on its own table or on `data` (a path, DataFrame, list or data
        set), and return its Run, which is called as the task unless named. `settings` are those of `nbllm.train`."""
        words: dict[str, Any] = {word: settings.pop(word) for word in ("source", "target") if word in settings}
        layers, thing = call_layers(data, settings.pop("config", None), {"minutes": minutes, **settings})
        run = self.start(layers, thing, words, name=name, runner=runner, resume=resume, replace=replace)
        return run.wait() if wait else run

    def start(
        self,
        layers: Layers,
        thing: Any = None,
        words: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        runner: str = "process",
        resume: bool = False,
        replace: bool = False,
        command: str = "",
    ) -> Run:
        """What `train` and the magic share: layers of settings made into a run, tagged by the task's name."""
        run = train_layers(
            name or self.name, layers if resume else self.layers(layers, thing, words), data_object=thing,
            runner=runner, resume=resume, replace=replace, command=command,
        )  # fmt: skip
        if self.name not in run.tags:
            run.label(tags=[*run.tags, self.name])  # by which a run of the task is found
        return run

    def predict(self, inputs: Any, run: str | None = None, model: Any = None, **settings: Any) -> pd.DataFrame:
        """The answers to a text, a list of them (tuples or dicts for several columns) or a DataFrame, whose columns are
        given back with the answer's beside: a label and its probabilities, a translation, ...

        `run` names a run, `model` a Model or what `nbllm.load` takes (hf:NAME_OR_PATH); else the task's newest run.
        """
        from nbllm.tasks.evaluate import predict

        return predict(self, inputs, run, model, settings)

    def evaluate(
        self,
        data: Any = None,
        *,
        run: str | None = None,
        model: Any = None,
        limit: int = 1000,
        progress: Progress | None = None,
        **settings: Any,
    ) -> pd.DataFrame:
        """The metrics: a row each, with value, the ends of a 95 % bootstrap interval (low, high) and the baselines.

        `data` is a table of the user's (its answers are compared); else the test rows of what the run learned from, or
        those that it held out. At most `limit` rows, spread evenly, are asked. An interrupt keeps what is done.
        `.attrs` says how many rows there were, and more.
        """
        from nbllm.tasks.evaluate import evaluate

        return evaluate(self, data, run, model, limit, progress, settings)

    def errors(
        self, data: Any = None, *, run: str | None = None, model: Any = None, limit: int = 1000, **settings: Any
    ) -> pd.DataFrame:
        """The rows that the model gets wrong, with the true answer (`true`) beside its own, the surest first."""
        from nbllm.tasks.evaluate import errors

        return errors(self, data, run, model, limit, settings)

    def playground(self) -> Any:
        """The dashboard to try it in: a text, what a model or two answer, what moved it, and scores on a file."""
        return VIEWS.get("playground")(self)

    def check(self, model: Model) -> None:
        """ModelError, one line, for a model that cannot do the task."""
        from nbllm.config import goal_of

        head = goal_of(model.config.objective).head
        foreign = self.foreign_heads if model.config.model.kind == "huggingface" else frozenset()
        if head not in self.heads | foreign:
            raise ModelError(
                f"{model.folder.name} {DOES.get(head, head)}, and {self.name} needs a model that {self.needs}.",
                f"Train one: %llm_task {self.name} --train",
            )


def fitting(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The preset without what does not go with what is asked for: the network's settings where another kind of model is
    named, and all of network, tokens and pace where weights are given to start from."""
    kind = given.get("model.kind", preset.get("model.kind"))
    known = FAMILIES[kind].fields if kind in FAMILIES else frozenset()
    found = {}
    for key, value in preset.items():
        section, _, name = key.partition(".")
        if given.get("init_from") and (section in ("model", "tokenizer", "size") or name in ("lr", "optimizer")):
            continue
        if given.get("size") and key in ("model.layers", "model.width"):
            continue  # the size says them
        if section != "model" or name in known:
            found[key] = value
    return found

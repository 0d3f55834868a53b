"""Dialogue: the next reply, by default of a clerk who books tables, takes orders and notes faults.

A text is the dialogue so far, a line a turn: "user: ...", "bot: ...", "user: ...". A text without roles is the user's
first turn. Of a dialogue that is longer than the model's context the oldest turns are left out, but for a system text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.data.dialogues import TURNS, Customer, customers
from nbllm.handles.conversation import Speaker, turns_in
from nbllm.tasks.base import Answer, Row
from nbllm.tasks.choose import choose
from nbllm.tasks.variety import variety, variety_of
from nbllm.tasks.writing import OWN_PRESET, ROOM, Answers, same, writes_target

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.model import Model
    from nbllm.tasks.evaluate import Progress

FREQUENT = "most frequent reply"
PLAYED = 200  # dialogues with simulated customers
Reply = Callable[[list[str]], list[str]]
"""The replies to some dialogues so far."""


class Chat(Answers):
    """An encoder-decoder that reads the dialogue so far and writes the reply, or a language model that goes on from it,
    by its chat template where it has one."""

    summary = "replies in a dialogue"
    columns: ClassVar[tuple[str, ...]] = ("source", "target")
    table = "dialogues"
    heads = frozenset({"target", "next"})
    needs = "writes"
    whole = frozenset({"distinct_1", "distinct_2"})
    preset: ClassVar[Mapping[str, Any]] = {
        "model.kind": "seq2seq", "model.width": 96, "model.layers": 2, "model.heads": 4, "tokenizer.kind": "word",
        "train.context": 176, "train.target_context": 40, "train.batch_size": 32, "train.steps": 1200,
        "train.evaluate_every": 200, "train.checkpoint_every": 200,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {**OWN_PRESET, "train.context": 256, "train.target_context": 96}
    examples = (
        "I want to book a table. on Friday, for two people",
        "user: A meal, please. a pizza, with tea\nbot: To which street?\nuser: to Mill Road",
        "user: Something does not work. my printer\nbot: On which day may we come?\nuser: on Monday, please",
    )
    main = "exact_reply"

    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        if writes_target(model):
            rows = [{**row, "source": fitted(row["source"], model)} for row in rows]
        return super().answer(model, rows, **settings)

    def pieces(self, model: Model, row: Row, **settings: Any) -> Iterator[Any]:
        speaker = Speaker(model)
        turns, system = turns_in(row["source"])
        given = speaker.given(turns, system, settings.get("max_tokens") or ROOM)
        usual = {} if writes_target(model) else {"temperature": 0.0, "max_tokens": ROOM}
        return speaker.pieces(given, **{**usual, **settings})

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """Whether each reply is the true one, and its n-grams."""
        said = [str(answer["target"]) for answer in answers]
        return [(same(a, row["target"]), variety_of(a)) for a, row in zip(said, rows, strict=True)]

    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """exact_reply, a share; distinct_1, distinct_2 and repetition (see `variety`)."""
        exact, counts = zip(*judged, strict=True)
        return {"exact_reply": float(np.mean(exact)), **variety(counts)}

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """The reply that the training has most often, always."""
        if not known:
            return {}
        return {FREQUENT: [{"target": frequent(known)}] * len(rows)}

    def advice(self, table: pd.DataFrame) -> str:
        if FREQUENT not in table or table.loc["exact_reply", FREQUENT] < table.loc["exact_reply", "value"]:
            return ""
        return "Always the same reply is right as often: train longer, or on more dialogues."

    def explain(self, model: Model, row: Row) -> Any:
        return super().explain(model, {"source": fitted(row["source"], model)})

    def prompt(self, row: Row) -> str:
        return row["source"]

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
        """As of every task; and for a model that learned the built-in dialogues `task_success`, the share of simulated
        customers, of combinations that it never saw, who get what they want (`.attrs["played"]` of them)."""
        opened = choose(self, run, model)
        frame = super().evaluate(data, model=opened, limit=limit, progress=progress, **settings)
        if data is not None or opened.config.data.source != self.table or frame.attrs["interrupted"]:
            return frame
        from nbllm.tasks.rows import of_model

        count = min(PLAYED, limit)

        def says(histories: list[str]) -> list[str]:
            return [answer["target"] for answer in self.answer(opened, [{"source": h} for h in histories], **settings)]

        got = played(customers("test", count), says)
        draws = np.random.default_rng(0).choice(np.array(got, float), (300, count)).mean(1)
        always = frequent(of_model(self, opened)[0])
        beside = played(customers("test", count), lambda histories: [always] * len(histories))
        frame.loc["task_success"] = {
            "value": float(np.mean(got)), "low": float(np.quantile(draws, 0.025)),
            "high": float(np.quantile(draws, 0.975)), FREQUENT: float(np.mean(beside)),
        }  # fmt: skip
        frame.attrs["played"] = count
        return frame


def played(people: Sequence[Customer], says: Reply) -> list[bool]:
    """Whether each simulated customer gets what is wanted of a clerk who replies so, within TURNS turns."""
    lines = [[f"user: {each.opens()}"] for each in people]
    got, going = [False] * len(people), list(range(len(people)))
    for _ in range(TURNS):
        if not going:
            break
        replies = says(["\n".join(lines[i]) for i in going])
        still = []
        for i, reply in zip(going, (" ".join(reply.split()) for reply in replies), strict=True):
            got[i] = people[i].agrees and people[i].has_it(reply)
            said = None if people[i].agrees else people[i].answers(reply)
            if said is not None:
                lines[i] += [f"bot: {reply}", f"user: {said}"]
                still.append(i)
        going = still
    return got


def fitted(history: str, model: Model) -> str:
    """A dialogue with roles, its oldest turns left out where it is longer than what the model reads."""
    turns, system = turns_in(history)
    prompt = Speaker(model).given(turns, system).prompt
    return prompt if isinstance(prompt, str) else history


def frequent(rows: Sequence[Row]) -> str:
    """The commonest reply."""
    return Counter(row["target"] for row in rows).most_common(1)[0][0]

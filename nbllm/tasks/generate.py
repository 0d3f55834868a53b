"""Conditional writing: a text that does as a request says, by keywords, title, style tag or instruction."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.tasks.base import Answer, Row
from nbllm.tasks.constraints import constraints, met, style
from nbllm.tasks.variety import Variety, variety, variety_of
from nbllm.tasks.writing import OWN_PRESET, Answers, same

if TYPE_CHECKING:
    import pandas as pd

RANDOM = "random reply"


class Generate(Answers):
    """An encoder-decoder reads a request and writes the text, so that it learns from the reply alone; a causal language
    model goes on from the request."""

    summary = "writes a text by keywords, title, style or instruction"
    columns: ClassVar[tuple[str, ...]] = ("source", "target")
    table = "instructions"
    heads = frozenset({"target", "next"})
    needs = "answers a text with another, or goes on from one"
    whole = frozenset({"distinct_1", "distinct_2"})
    preset: ClassVar[Mapping[str, Any]] = {
        "model.kind": "seq2seq", "model.width": 96, "model.layers": 2, "model.heads": 4, "tokenizer.kind": "word",
        "train.context": 48, "train.target_context": 72, "train.batch_size": 32, "train.steps": 1200,
        "train.evaluate_every": 200, "train.checkpoint_every": 200,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {**OWN_PRESET, "train.context": 192, "train.target_context": 192}
    examples = (
        "[news, 3 sentences] keywords: storm, Lisbon, Friday",
        "Write a verse of four lines with the words moon and lamp.",
        "Write a friendly reply that says yes to: Dear Nora, is Monday a good day for the lesson? Tom",
        "Write a script of three lines between Anna and Omar with the words key and kitchen.",
        "写一首三行诗，关键词：月亮、书信",
    )
    main = "constraints_met"

    def is_right(self, row: Row, answer: Answer) -> bool:
        """Whether all that is asked is done; the same text where nothing that can be counted is asked."""
        asked, text = constraints(row["source"]), str(answer["target"])
        return all(met(each, text) for each in asked) if asked else same(text, row["target"])

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """Of each text how many of its constraints are met, how many there are, and its n-grams."""
        found = []
        for row, answer in zip(rows, answers, strict=True):
            asked, text = constraints(row["source"]), str(answer["target"])
            found.append((sum(met(each, text) for each in asked), len(asked), variety_of(text)))
        return found

    def measure(self, judged: Sequence[tuple[int, int, Variety]]) -> dict[str, float]:
        """constraints_met, the share of all constraints; all_met, the share of requests with each of theirs met (both
        of those that have some); distinct_1, distinct_2, repetition (see `variety`)."""
        counts = np.array([(done, asked) for done, asked, _ in judged if asked]).reshape(-1, 2)
        known = len(counts) > 0
        return {
            "constraints_met": float(counts[:, 0].sum() / counts[:, 1].sum()) if known else float("nan"),
            "all_met": float((counts[:, 0] == counts[:, 1]).mean()) if known else float("nan"),
            **variety([each for _, _, each in judged]),
        }

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """A reply of the training to another request of the same style, drawn by chance."""
        if not known:
            return {}
        by_style: dict[str, list[str]] = {}
        for row in known:
            by_style.setdefault(style(row["source"]), []).append(row["target"])
        all_of_them, draw = [row["target"] for row in known], random.Random(0)
        return {RANDOM: [{"target": draw.choice(by_style.get(style(row["source"]), all_of_them))} for row in rows]}

    def advice(self, table: pd.DataFrame) -> str:
        if RANDOM not in table or not table.loc["constraints_met", RANDOM] >= table.loc["constraints_met", "value"]:
            return ""
        return "A random reply of the same style does as much of what is asked: train longer, or on more rows."

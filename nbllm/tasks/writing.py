"""What tasks share whose model answers a text with another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.errors import ModelError
from nbllm.tasks.base import Answer, Row, Task

if TYPE_CHECKING:
    from nbllm.handles.model import Model

SETTINGS = frozenset({"max_tokens", "temperature", "beams", "length_penalty", "seed"})


class Answers(Task):
    """An encoder-decoder reads the other columns, a line each, and writes the last."""

    objective = "seq2seq"
    heads = frozenset({"target"})
    needs = "answers a text with another"

    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        """The text, and how likely the model held a token of it: the geometric mean."""
        if wrong := set(settings) - SETTINGS:
            raise ModelError(f"{self.name} has no setting '{min(wrong)}'.", f"There are {', '.join(sorted(SETTINGS))}.")
        found = model.answer([self.source(row) for row in rows], **settings)
        return [
            {
                self.answered: each,  # a text that knows its tokens
                "probability": float(np.exp(np.log(np.maximum(each.probabilities or [0.0], 1e-9)).mean())),
            }
            for each in found
        ]

    def is_right(self, row: Row, answer: Answer) -> bool:
        return same(str(answer[self.answered]), row[self.answered])

    def explain(self, model: Model, row: Row) -> Any:
        return model.influence(self.source(row))

    def source(self, row: Row) -> str:
        """What the model reads of a row."""
        return "\n".join(row[column] for column in self.inputs)


def same(said: str, true: str) -> bool:
    """Whether two texts are the same but for white space around and between."""
    return " ".join(said.split()) == " ".join(true.split())

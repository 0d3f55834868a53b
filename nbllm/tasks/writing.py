"""What tasks share whose model answers a text with another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.config import goal_of
from nbllm.errors import ModelError
from nbllm.tasks.base import Answer, Heard, Row, Task

if TYPE_CHECKING:
    from nbllm.handles.model import Model

SETTINGS = frozenset({"max_tokens", "temperature", "beams", "length_penalty", "seed"})
CAUSAL = frozenset({"max_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "seed"})
ROOM = 60  # tokens that a language model writes, where nothing is said
OWN_PRESET: Mapping[str, Any] = {
    "model.kind": "seq2seq", "size": "mini", "model.dropout": 0.1, "tokenizer.kind": "bpe",
    "tokenizer.vocab_size": 8192, "train.batch_size": 16, "train.epochs": 15, "train.evaluate_every": 100,
    "train.checkpoint_every": 100, "train.patience": 6, "objective.label_smoothing": 0.1,
}  # fmt: skip
"""What a table of the user's own is learned with, until the held-out loss no longer falls; lengths are each task's."""


class Answers(Task):
    """An encoder-decoder reads the other columns, a line each, and writes the last. A language model of Hugging Face is
    asked by its chat template, or goes on from the text and a cue."""

    objective = "seq2seq"
    heads = frozenset({"target"})
    foreign_heads = frozenset({"next"})
    needs = "answers a text with another"
    asks: ClassVar[str] = ""
    """What a model with a chat template is told to do with the text that follows."""
    cue: ClassVar[str] = "\n"
    """What stands between a text and its answer for a language model without a template."""
    ends: ClassVar[tuple[str, ...]] = ()
    """Where such a model's answer ends."""

    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        """The text, and how likely the model held a token of it: the geometric mean. An encoder-decoder takes a beam
        search, a language model top_k and top_p; both give the likeliest tokens unless a temperature is given."""
        self._check(model, settings)
        if writes_target(model):
            return [self.told(each) for each in model.answer([self.source(row) for row in rows], **settings)]
        return [self.write(model, row, **settings) for row in rows]

    def write(self, model: Model, row: Row, heard: Heard | None = None, **settings: Any) -> Answer:
        self._check(model, settings)
        if settings.get("beams"):
            return self.answer(model, [row], **settings)[0]
        from nbllm.generation.decode import result

        pieces: list[Any] = []
        out = (model.objective.task.target_tokenizer or model.tokenizer) if writes_target(model) else model.tokenizer
        for piece in self.pieces(model, row, **settings):
            pieces.append(piece)
            if heard is not None and heard(self.told(result("", trimmed(pieces), out, 0.0))):
                break
        return self.told(result("", trimmed(pieces), out, 0.0))

    def pieces(self, model: Model, row: Row, **settings: Any) -> Iterator[Any]:
        """The answer to a row token by token."""
        if writes_target(model):
            return model.pieces(self.source(row), **settings)
        usual = {"temperature": 0.0, "max_tokens": ROOM}
        template = model.chat_template
        if template is not None:
            asked = f"{self.asks}\n\n{self.source(row)}".strip()
            ids = template.ids([{"role": "user", "content": asked}])
            return model.pieces(ids, **{**usual, **settings, "ends": template.ends})
        return model.pieces(self.prompt(row), **{**usual, **settings, "stop": list(self.ends)})

    def prompt(self, row: Row) -> str:
        """What a language model without a chat template goes on from."""
        return self.source(row) + self.cue

    def told(self, text: Any) -> Answer:
        """A Generation as an answer."""
        sure = float(np.exp(np.log(np.maximum(text.probabilities or [0.0], 1e-9)).mean()))
        return {self.answered: text, "probability": sure}  # a text that knows its tokens

    def is_right(self, row: Row, answer: Answer) -> bool:
        return same(str(answer[self.answered]), row[self.answered])

    def explain(self, model: Model, row: Row) -> Any:
        return model.influence(self.source(row)) if writes_target(model) else first_token(model, self.prompt(row))

    def source(self, row: Row) -> str:
        """What the model reads of a row."""
        return "\n".join(row[column] for column in self.inputs)

    def _check(self, model: Model, settings: dict[str, Any]) -> None:
        known = SETTINGS if writes_target(model) else CAUSAL
        if wrong := set(settings) - known:
            raise ModelError(f"{self.name} has no setting '{min(wrong)}'.", f"There are {', '.join(sorted(known))}.")


def writes_target(model: Model) -> bool:
    """Whether a model answers a text, and does not go on from it."""
    return goal_of(model.config.objective).head == "target"


def first_token(model: Model, prompt: str) -> Any:
    """What moved the first token that a language model writes behind a prompt; None of one that cannot tell."""
    try:
        found = model.influence(prompt)
    except ModelError:  # a network that looks up pairs of tokens, say
        return None
    return replace(found, values=found.values[-1:], outputs=found.outputs[-1:], evidence=found.evidence[-1:])


def trimmed(pieces: Sequence[Any]) -> list[Any]:
    """Pieces of a text without the white space at its ends."""
    found = list(pieces)
    for order, strip in ((range(len(found)), str.lstrip), (range(len(found) - 1, -1, -1), str.rstrip)):
        for place in order:
            found[place] = found[place]._replace(text=strip(found[place].text))
            if found[place].text:
                break
    return found


def same(said: str, true: str) -> bool:
    """Whether two texts are the same but for white space around and between."""
    return " ".join(said.split()) == " ".join(true.split())

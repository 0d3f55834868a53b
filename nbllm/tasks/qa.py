"""Question answering: what a text says to a question, or that it says nothing; by default in a small world."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.tasks.base import Answer, Row
from nbllm.tasks.extractive import sentences
from nbllm.tasks.squad import exact, f1, says_nothing, words
from nbllm.tasks.writing import Answers

if TYPE_CHECKING:
    import pandas as pd

COMMONEST, OVERLAP = "most frequent", "word overlap"
# A convolution brings a name and its place together; attention then looks a name up and prefers its last sentence. By
# attention alone, or behind a recurrent layer, that first step is a plateau of thousands of steps.
_NETWORK: Mapping[str, Any] = {
    "data.source_column": "context+question", "model.kind": "seq2seq", "model.positions": "rope",
    "model.encoder": "conv+2*attention", "model.decoder": "attention", "model.kernel": 9,
}  # fmt: skip


class QuestionAnswering(Answers):
    """An encoder-decoder reads the text with the question below it, and writes the answer."""

    summary = "answers a question by a text, or says that the text holds no answer"
    columns: ClassVar[tuple[str, ...]] = ("context", "question", "answer")
    roles: ClassVar[Mapping[str, str]] = {"context": "source", "question": "source", "answer": "target"}
    table = "qa"
    preset: ClassVar[Mapping[str, Any]] = {
        **_NETWORK, "model.width": 64, "model.heads": 4, "tokenizer.kind": "word",
        "train.context": 96, "train.target_context": 32, "train.batch_size": 64, "train.lr": 5e-3,
        "train.steps": 1200, "train.evaluate_every": 150, "train.checkpoint_every": 150,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {
        **_NETWORK, "model.width": 128, "model.dropout": 0.1, "tokenizer.kind": "bpe", "tokenizer.vocab_size": 8192,
        "train.context": 384, "train.target_context": 32, "train.batch_size": 32, "train.epochs": 20,
        "train.evaluate_every": 100, "train.checkpoint_every": 100, "train.patience": 6,
    }  # fmt: skip
    examples = (
        ("Anna went to the kitchen. Omar took the book. Omar moved to the garden.", "Where is the book?"),
        ("Mei walked to the office. Tom is in the office.", "How many people are in the office?"),
        ("Lucia is in the cellar. Lucia left the cellar.", "Where is Lucia?"),
    )
    main = "exact_match"

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """Exact match, F1, whether it was said that there is no answer, and whether there is none."""
        pairs = [(str(answer["answer"]), row["answer"]) for row, answer in zip(rows, answers, strict=True)]
        return [(exact(said, true), f1(said, true), says_nothing(said), says_nothing(true)) for said, true in pairs]

    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """exact_match and f1 by SQuAD's definitions, means of the rows; abstention, the F1 of saying that the text
        holds no answer where it holds none (1 where that was never so nor said)."""
        right, shares, said, true = np.array(judged, dtype=float).T
        both = 2 * float((said * true).sum())
        total = float(said.sum() + true.sum())
        return {
            "exact_match": float(right.mean()),
            "f1": float(shares.mean()),
            "abstention": both / total if total else 1.0,
        }

    def is_right(self, row: Row, answer: Answer) -> bool:
        return exact(str(answer["answer"]), row["answer"]) == 1.0

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """The commonest answer, and the last word of the sentence that shares most words with the question."""
        found = {OVERLAP: [{"answer": overlapping(row["context"], row["question"])} for row in rows]}
        if known:
            commonest = Counter(row["answer"] for row in known).most_common(1)[0][0]
            found[COMMONEST] = [{"answer": commonest} for _ in rows]
        return found

    def about(self, judged: Sequence[Any]) -> dict[str, Any]:
        """How many of the rows have no answer in their text."""
        return {"without_answer": sum(true for *_, true in judged)}

    def advice(self, table: pd.DataFrame) -> str:
        best = max((name for name in (COMMONEST, OVERLAP) if name in table), key=lambda name: table.loc["f1", name])
        if table.loc["f1", best] < table.loc["f1", "value"]:
            return ""
        return (
            f"The {best} baseline is better here: {table.loc['f1', best]:.3f} against {table.loc['f1', 'value']:.3f}. "
            "Train longer, on more rows, or from weights that know the language: --from hf:NAME"
        )


def overlapping(context: str, question: str) -> str:
    """The last word of the sentence that shares most words with the question, the later of two alike; in Chinese what
    the question does not have of it."""
    asked = set(words(question))
    parts = sentences(context) or [context]
    best = max(enumerate(parts), key=lambda each: (len(asked & set(words(each[1]))), each[0]))[1]
    if re.search(r"[\u3400-\u9fff]", best):
        return "".join(word for word in words(best) if word not in asked)
    return next((word for word in reversed(words(best))), "")

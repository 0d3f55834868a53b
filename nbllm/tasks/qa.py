"""Question answering: what a text says to a question, or that it says nothing; by default in a small world."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.config import goal_of
from nbllm.data.questions import UNSAID, golds_of
from nbllm.errors import DataError, ModelError
from nbllm.models.huggingface import source
from nbllm.tasks.base import Answer, Heard, Row
from nbllm.tasks.extractive import sentences
from nbllm.tasks.squad import best, exact, f1, says_nothing, words
from nbllm.tasks.writing import Answers

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.model import Model

COMMONEST, OVERLAP = "most frequent", "word overlap"
# A convolution brings a name and its place together; attention then looks a name up and prefers its last sentence. By
# attention alone, or behind a recurrent layer, that first step is a plateau of thousands of steps.
_NETWORK: Mapping[str, Any] = {
    "data.source_column": "context+question", "model.kind": "seq2seq", "model.positions": "rope",
    "model.encoder": "conv+2*attention", "model.decoder": "attention", "model.kernel": 9,
}  # fmt: skip


class QuestionAnswering(Answers):
    """An encoder-decoder reads the text with the question below it, and writes the answer; an encoder with a span head
    (objective answer-span) marks where in the text it stands."""

    summary = "answers a question by a text, or says that the text holds no answer"
    columns: ClassVar[tuple[str, ...]] = ("context", "question", "answer")
    roles: ClassVar[Mapping[str, str]] = {"context": "source", "question": "source", "answer": "target"}
    table = "qa"
    heads = frozenset({"target", "ends"})
    needs = "answers a text with another, or marks the answer in it"
    asks = f"Answer the question from the text, in as few words as you can, or say {UNSAID} where it does not tell:"
    cue = "\nAnswer:"
    ends = ("\n",)
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

    def settings(self, source: str | None) -> Mapping[str, Any]:
        """More facts take one more look; Chinese is read by characters."""
        found = dict(super().settings(source))
        if source in ("qa", "qa-two", "zh-qa"):
            found |= {"model.encoder": "conv+3*attention", "train.steps": 1500}
        if source in ("zh-qa", "zh-qa-one"):
            found["tokenizer.kind"] = "char"
        return found

    def learns(self, given: Mapping[str, Any]) -> str:
        """An encoder of Hugging Face learns to mark the answer; all else to write it."""
        name = given.get("init_from")
        if not source.is_hugging_face(name) or given.get("model.kind") not in (None, "huggingface", "bert"):
            return self.objective
        found = source.read_settings(str(name), Path.cwd(), bool(given.get("data.allow_download")))
        return "answer-span" if source.is_encoder(found) else self.objective

    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        """The answer, and how likely it was held: a token of it, or both of its ends where it is marked."""
        if goal_of(model.config.objective).head != "ends":
            return super().answer(model, rows, **settings)
        if settings:
            raise ModelError(f"A model that marks answers has no setting '{min(settings)}'.", "Leave it out.")
        from nbllm.generation.span import find

        texts = [row["context"] for row in rows]
        with model._threads():
            found = find(model.module, model.objective, texts, [row["question"] for row in rows])
        return [
            {"answer": text[each.start : each.end] or UNSAID, "probability": each.probability}
            for text, each in zip(texts, found, strict=True)
        ]

    def write(self, model: Model, row: Row, heard: Heard | None = None, **settings: Any) -> Answer:
        if goal_of(model.config.objective).head == "ends":
            return self.answer(model, [row], **settings)[0]
        return super().write(model, row, heard, **settings)

    def ask(
        self, question: str, documents: Any, *, run: str | None = None, model: Any = None, top: int = 3, **settings: Any
    ) -> pd.DataFrame:
        """What the user's documents say to a question: the `top` passages that a search by words (BM25) finds, and what
        the model says to each: answer, probability, score, document, passage; those with an answer first.

        `documents`: a folder or a file, a list of texts, or texts by name."""
        import pandas as pd

        from nbllm.tasks.choose import choose
        from nbllm.tasks.search import Bm25, passages

        if not question.strip():
            raise DataError("There is no question.", "Write one, as in: Where does Anna live?")
        opened, found = choose(self, run, model), passages(documents)
        scores = Bm25([each.text for each in found]).scores(question)
        order = [i for i in sorted(range(len(found)), key=lambda i: -scores[i])[:top] if scores[i] > 0]
        rows = [{"context": found[i].text, "question": question} for i in order]
        answers = self.answer(opened, rows, **settings) if rows else []
        names = ["answer", "probability", "score", "document", "passage"]
        told = [
            (str(answer["answer"]), answer["probability"], scores[i], found[i].document, found[i].text)
            for i, answer in zip(order, answers, strict=True)
        ]
        told.sort(key=lambda each: says_nothing(each[0]))
        frame = pd.DataFrame(told, columns=names)
        frame.attrs = {"question": question, "passages": len(found)}
        return frame

    def source(self, row: Row) -> str:
        """The text, and the question on one line below it."""
        return f"{row['context']}\n{' '.join(row['question'].split())}"

    def prompt(self, row: Row) -> str:
        return f"{row['context']}\nQuestion: {' '.join(row['question'].split())}{self.cue}"

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """Exact match, F1, whether it was said that there is no answer, and whether there is none. Of several answers
        that people gave the one counts that fits best, as in SQuAD's script."""
        judged = []
        for row, answer in zip(rows, answers, strict=True):
            said, true = str(answer["answer"]), golds_of(row, "answer")
            judged.append((best(exact, said, true), best(f1, said, true), says_nothing(said), says_nothing(true[0])))
        return judged

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
        return best(exact, str(answer["answer"]), golds_of(row, "answer")) == 1.0

    def explain(self, model: Model, row: Row) -> Any:
        return None if goal_of(model.config.objective).head == "ends" else super().explain(model, row)

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

"""What sentiment, topic and pairs share: a label for a text, its metrics, and the baselines beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.errors import ModelError
from nbllm.tasks.base import Answer, Row, Task

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.model import Model

_PIECES = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")
BINS = 15
BAG, MAJORITY = "bag of words", "majority"
# How a labelled table of the user's is learned: until the held-out loss has long not fallen.
PATIENT: dict[str, Any] = {
    "size": "tiny", "tokenizer.kind": "word", "tokenizer.vocab_size": 16_384, "tokenizer.lowercase": True,
    "train.context": 128, "train.batch_size": 32, "train.steps": 5000, "train.evaluate_every": 50,
    "train.checkpoint_every": 50, "train.evaluate_tokens": 65_536, "train.patience": 12,
    "objective.class_weights": "balanced", "objective.label_smoothing": 0.1,
}  # fmt: skip
# By what: one convolution, the largest value a unit (Kim 2014), and beside it the sum of the words, of which many are
# left out at each look (Iyyer et al. 2015). On 6,900 sentences about films it is within a point of the bag of words
# that is shown beside it; without the sum, and with all words, it was right in 5 of 100 texts fewer.
OWN: dict[str, Any] = {
    **PATIENT, "model.kind": "cnn", "model.layers": 1, "model.width": 128, "model.plain": True, "model.pool": "max",
    "model.bag": True, "model.dropout": 0.5, "data.augment.drop_words": 0.4, "train.lr": 1e-3,
    "train.weight_decay": 0.0,
}  # fmt: skip


class Classification(Task):
    """One label of a text."""

    columns: ClassVar[tuple[str, ...]] = ("text", "label")
    objective = "classification"
    heads = frozenset({"labels"})
    needs = "gives labels"
    own_preset: ClassVar[Mapping[str, Any]] = OWN
    main = "accuracy"

    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        """label, probability, and p(NAME) of every label."""
        if settings:
            raise ModelError(f"{self.name} has no setting '{next(iter(settings))}'.", "Leave it out.")
        pairs = [row["pair"] for row in rows] if "pair" in self.columns else None
        frame = model.classify([row["text"] for row in rows], pairs)
        return [
            {str(key): value for key, value in record.items() if key != "text"} for record in frame.to_dict("records")
        ]

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """(true, said, probability of what was said) a row; names of labels agree whatever their capitals."""
        own = sorted({row["label"] for row in rows})
        names = {key[2:-1] for answer in answers[:1] for key in answer if key.startswith("p(")}
        meaning = agreed(sorted(names), own, self.name) if names else {}  # baselines know the data's own names
        return [
            (row["label"], meaning.get(answer["label"], answer["label"]), float(answer["probability"]))
            for row, answer in zip(rows, answers, strict=True)
        ]

    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """accuracy and macro F1 by scikit-learn, ece: expected calibration error (Guo et al. 2017)."""
        from sklearn.metrics import accuracy_score, f1_score

        true, said, sure = zip(*judged, strict=True)
        right = np.array([a == b for a, b in zip(true, said, strict=True)])
        return {
            "accuracy": float(accuracy_score(true, said)),
            "macro_f1": float(f1_score(true, said, average="macro", labels=sorted(set(true)), zero_division=0)),
            "ece": calibration_error(np.array(sure), right),
        }

    def is_right(self, row: Row, answer: Answer) -> bool:
        return row["label"].casefold() == str(answer["label"]).casefold()

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """The most frequent label; and tf-idf of words and pairs of words with logistic regression by scikit-learn."""
        if not known:
            return {}
        counts = Counter(row["label"] for row in known)
        label, count = counts.most_common(1)[0]
        share = count / len(known)
        found = {MAJORITY: [{"label": label, "probability": share} for _ in rows]}
        if len(counts) > 1:
            found[BAG] = bag_of_words(known, rows)
        return found

    def about(self, judged: Sequence[Any]) -> dict[str, Any]:
        """The confusion matrix: rows the true labels, columns what was said."""
        from sklearn.metrics import confusion_matrix

        true, said, _ = zip(*judged, strict=True)
        labels = sorted({*true, *said})
        return {"labels": labels, "confusion": confusion_matrix(true, said, labels=labels).tolist()}

    def advice(self, table: pd.DataFrame) -> str:
        if BAG not in table or table.loc["accuracy", BAG] <= table.loc["accuracy", "value"]:
            return ""
        return (
            f"A bag of words is better here: {table.loc['accuracy', BAG]:.3f} against "
            f"{table.loc['accuracy', 'value']:.3f}. More steps help, more rows, or weights that know the language: "
            f"%llm_task {self.name} --train --from hf:NAME --data ..."
        )

    def explain(self, model: Model, row: Row) -> Any:
        return model.influence(row["text"], pair=row.get("pair", ""))


def bag_of_words(known: Sequence[Row], rows: Sequence[Row]) -> list[Answer]:
    """What tf-idf and logistic regression say, learned from `known`. Chinese is counted by characters and pairs."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=pieces, token_pattern=None, lowercase=True),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    model.fit([_whole(row) for row in known], [row["label"] for row in known])
    shares = model.predict_proba([_whole(row) for row in rows])
    best = shares.argmax(1)
    return [
        {"label": str(model.classes_[b]), "probability": float(share[b])} for b, share in zip(best, shares, strict=True)
    ]


def pieces(text: str) -> list[str]:
    """Words, and of Chinese each character."""
    return _PIECES.findall(text)


def _whole(row: Row) -> str:
    return row["text"] + ("\n" + row["pair"] if "pair" in row else "")


def calibration_error(sure_N: np.ndarray, right_N: np.ndarray) -> float:
    """sum_b n_b / N |accuracy_b - confidence_b| over bins of equal width (Guo et al. 2017, equation 3)."""
    bins_N = np.clip(np.ceil(sure_N * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins_N, minlength=BINS)
    sums = np.bincount(bins_N, sure_N, BINS) - np.bincount(bins_N, right_N.astype(float), BINS)
    return float(np.abs(sums).sum() / max(1, counts.sum()))


def agreed(said: Sequence[str], own: Sequence[str], task: str) -> dict[str, str]:
    """What a model's labels mean among the data's: the same name, whatever its capitals; LABEL_0 is the first of as
    many. ModelError where they share no name."""
    folded = {label.casefold(): label for label in own}
    found = {label: folded.get(label.casefold(), label) for label in said}
    numbered = all(re.fullmatch(r"(?i)label_\d+|\d+", label) for label in said)
    if not set(found.values()) & set(own):
        if numbered and len(said) == len(own):
            return dict(zip(sorted(said, key=lambda label: int(re.sub(r"\D", "", label))), own, strict=True))
        raise ModelError(
            f"The model's labels ({', '.join(said[:6])}) are not those of the data ({', '.join(own[:6])}).",
            f"Use data with its labels, or train: %llm_task {task} --train --data ...",
        )
    return found

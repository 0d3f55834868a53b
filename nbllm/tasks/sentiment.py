"""Sentiment: whether a text speaks well or ill of something, by default over templated reviews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nbllm.tasks.classification import Classification


class Sentiment(Classification):
    """Positive or negative; or whatever labels the data has."""

    summary = "says whether a text speaks well or ill"
    table = "reviews"
    preset: ClassVar[Mapping[str, Any]] = {
        "model.kind": "lstm", "size": "tiny", "tokenizer.kind": "word", "tokenizer.lowercase": True,
        "model.dropout": 0.1, "train.context": 64, "train.batch_size": 32, "train.steps": 800,
        "train.evaluate_every": 100, "train.checkpoint_every": 100,
    }  # fmt: skip
    examples = (
        "The food was not bad at all.",
        "Although the plot was brilliant, the ending was hardly satisfying.",
        "The room was anything but pleasant, but the view was simply superb.",
    )

    def settings(self, source: str | None) -> Mapping[str, Any]:
        """Chinese reviews are read by characters."""
        found = super().settings(source)
        return {**found, "tokenizer.kind": "char"} if source == "zh-reviews" else found

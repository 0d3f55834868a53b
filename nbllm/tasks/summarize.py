"""Summaries: what a longer text comes down to, by default reports of events whose facts are known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.tasks.base import Answer, Row
from nbllm.tasks.extractive import lead, textrank
from nbllm.tasks.rouge import TYPES, rouge
from nbllm.tasks.writing import OWN_PRESET, Answers, same

if TYPE_CHECKING:
    import pandas as pd

LEAD, TEXTRANK = "lead", "textrank"
_FACT = re.compile(r"\d[\d.,:]*\d|\d|[^\W\d_a-z][\w'’-]*|[\u3400-\u9fff]{2,4}")


class Summarize(Answers):
    """An encoder-decoder that reads a text and writes a short one."""

    summary = "says in a line what a text comes down to"
    columns: ClassVar[tuple[str, ...]] = ("document", "summary")
    roles: ClassVar[Mapping[str, str]] = {"document": "source", "summary": "target"}
    table = "reports"
    preset: ClassVar[Mapping[str, Any]] = {
        "model.kind": "seq2seq", "model.width": 96, "model.heads": 4, "model.positions": "rope",
        "model.encoder": "conv+2*attention", "model.decoder": "2*attention", "model.kernel": 9,
        "tokenizer.kind": "word", "train.context": 128, "train.target_context": 32, "train.batch_size": 32,
        "train.lr": 4e-3, "train.steps": 400, "train.evaluate_every": 100, "train.checkpoint_every": 100,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {**OWN_PRESET, "train.context": 384, "train.target_context": 96}
    examples = (
        (
            "On Tuesday something happened in Oslo: a strike stopped the trams. Neighbours brought tea and blankets. "
            "In all, 345 people stayed away from work. The union leader, Nora Silva, spoke to the press."
        ),
    )
    main = "rouge_l"
    asks = "Say in one short sentence what this comes down to:"
    cue = "\nTL;DR:"  # Radford et al. 2019, section 3.6
    ends = ("\n",)

    def settings(self, source: str | None) -> Mapping[str, Any]:
        """Docstrings are longer and of more words than reports."""
        found = dict(super().settings(source))
        if source == "docstring-summaries":
            found |= {
                "model.width": 128, "model.dropout": 0.1, "tokenizer.kind": "bpe", "tokenizer.vocab_size": 4096,
                "train.context": 256, "train.target_context": 40, "train.lr": 3e-3, "train.steps": 800,
                "objective.label_smoothing": 0.1,
            }  # fmt: skip
        return found

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """ROUGE-1, ROUGE-2, ROUGE-L, the share of the true summary's facts that are there, and whether it is right."""
        said, true = [str(answer["summary"]) for answer in answers], [row["summary"] for row in rows]
        known = [recalled(a, b) for a, b in zip(said, true, strict=True)]
        return list(zip(rouge(said, true), known, map(same, said, true), strict=True))

    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """rouge_1, rouge_2, rouge_l (F1, 0 to 1); fact_recall over the summaries that have facts; exact_match."""
        scores, known, exact = zip(*judged, strict=True)
        with_facts = [share for share in known if share is not None]
        means = np.mean(scores, axis=0)
        return {
            **{name.lower().replace("rouge", "rouge_"): float(value) for name, value in zip(TYPES, means, strict=True)},
            "fact_recall": float(np.mean(with_facts)) if with_facts else float("nan"),
            "exact_match": float(np.mean(exact)),
        }

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """The first sentence, and the one that TextRank picks."""
        return {
            LEAD: [{"summary": lead(row["document"])} for row in rows],
            TEXTRANK: [{"summary": textrank(row["document"])} for row in rows],
        }

    def advice(self, table: pd.DataFrame) -> str:
        best = max((LEAD, TEXTRANK), key=lambda name: table.loc["rouge_l", name])
        if table.loc["rouge_l", best] <= table.loc["rouge_l", "value"]:
            return ""
        return (
            f"The {best} baseline is better here: {table.loc['rouge_l', best]:.3f} against "
            f"{table.loc['rouge_l', 'value']:.3f}. Small models learn to summarise from many rows, or from "
            "weights that know the language: --from hf:NAME"
        )


def facts(text: str) -> set[str]:
    """The numbers and names of a text (words that begin with a capital, runs of Chinese), in small letters; not its
    first word alone."""
    return {found.lower() for found in _FACT.findall(text)}


def recalled(said: str, true: str) -> float | None:
    """The share of the true text's facts that stand in another; None where it has none."""
    wanted = facts(true)
    if not wanted:
        return None
    there = said.lower()
    return sum(bool(re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", there)) for fact in wanted) / len(wanted)

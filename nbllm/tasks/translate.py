"""Translation: a text in another language, by default short texts out of CLDR data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.data.translations import PAIRS
from nbllm.errors import ConfigError
from nbllm.tasks.base import Answer, Row
from nbllm.tasks.writing import OWN_PRESET, Answers, same

if TYPE_CHECKING:
    import pandas as pd

COPY = "copy"
_KANA, _HAN = re.compile(r"[\u3040-\u30ff]"), re.compile(r"[\u3400-\u9fff]")


class Translate(Answers):
    """An encoder-decoder that reads one language and writes another."""

    summary = "says a text in another language"
    columns: ClassVar[tuple[str, ...]] = ("source", "target")
    table = "phrases-en-fr"
    preset: ClassVar[Mapping[str, Any]] = {
        "model.kind": "seq2seq", "model.width": 96, "model.heads": 4, "model.positions": "rope",
        "model.encoder": "conv+2*attention", "model.decoder": "2*attention", "model.kernel": 5,
        "tokenizer.kind": "char", "train.context": 64, "train.batch_size": 64, "train.lr": 4e-3, "train.steps": 1000,
        "train.evaluate_every": 100, "train.checkpoint_every": 100,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {
        **OWN_PRESET, "tokenizer.vocab_size": 4096, "train.context": 128, "train.batch_size": 32, "train.epochs": 20,
    }  # fmt: skip
    examples = ("Tuesday, July 14, 2026", "three hundred forty-two", "France, Kenya, and Japan")
    main = "exact_match"
    asks = "Translate this, and say nothing else:"
    cue = " ="  # Radford et al. 2019, section 3.7
    ends = ("\n",)

    def words(self, data: Any, given: dict[str, Any]) -> dict[str, Any]:
        """source="en", target="zh": of the built-in table a pair of languages; of a table of the user's two columns."""
        named = {word: given.pop(word) for word in ("source", "target") if given.get(word) is not None}
        if not named:
            return {}
        if isinstance(data, str) and data.startswith("phrases-"):
            pair = f"{named.get('source', 'en')}-{named.get('target', 'fr')}"
            if pair not in PAIRS:
                raise ConfigError(f"There are no phrases {pair}.", f"There are {', '.join(PAIRS)}; or give --data.")
            return {"data.source": f"phrases-{pair}"}
        return {f"data.{word}_column": str(column) for word, column in named.items()}

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """What sacrebleu counts of each pair for BLEU and chrF, and whether it is exactly right."""
        said, true = [str(answer["target"]) for answer in answers], [row["target"] for row in rows]
        counts = [
            np.array(metric._extract_corpus_statistics(said, [true])) for metric in Scores(tokenizer(true)).metrics
        ]
        exact = [float(same(a, b)) for a, b in zip(said, true, strict=True)]
        return list(zip(*counts, exact, [tokenizer(true)] * len(exact), strict=True))

    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """bleu and chrf by sacrebleu, 0 to 100; exact_match, a share."""
        *counts, exact, tokens = zip(*judged, strict=True)
        bleu, chrf = (
            metric._compute_score_from_stats(np.sum(each, axis=0).tolist()).score
            for metric, each in zip(Scores(tokens[0]).metrics, counts, strict=True)
        )
        return {"bleu": float(bleu), "chrf": float(chrf), "exact_match": float(np.mean(exact))}

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """The source as it is."""
        return {COPY: [{"target": row["source"], "probability": 1.0} for row in rows]}

    def about(self, judged: Sequence[Any]) -> dict[str, Any]:
        """sacrebleu's signatures, without which its figures mean little (Post 2018)."""
        return {"signatures": Scores(judged[0][-1]).signatures}

    def advice(self, table: pd.DataFrame) -> str:
        if table.loc["chrf", COPY] < table.loc["chrf", "value"]:
            return ""
        return "The sources as they are come as near to the targets: train longer, or on more rows."


class Scores:
    """sacrebleu's metrics for a language that is cut into words by this tokenizer."""

    def __init__(self, tokens: str):
        self.tokens = tokens

    @cached_property
    def metrics(self) -> tuple[Any, Any]:
        """BLEU and chrF."""
        from sacrebleu.metrics import BLEU, CHRF

        return BLEU(tokenize=self.tokens), CHRF()

    @property
    def signatures(self) -> list[str]:
        """What the figures are, by sacrebleu's own description."""
        for metric in self.metrics:
            metric.num_refs = 1
        return [str(metric.get_signature()) for metric in self.metrics]


def tokenizer(texts: Sequence[str]) -> str:
    """How sacrebleu cuts these: Chinese by characters with the rest as ever, Japanese by characters, others by 13a."""
    whole = "".join(texts[:200])
    han, kana = len(_HAN.findall(whole)), len(_KANA.findall(whole))
    if kana > 0.02 * len(whole):
        return "char"
    return "zh" if han > 0.2 * len(whole) else "13a"

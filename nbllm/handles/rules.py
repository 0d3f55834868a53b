"""What a suggestion rests on: the rules, each with its number, and where the number is from. One table, read by
`suggest` and shown by it. What was measured here was measured on 2 CPU cores with the sizes' own settings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A number, what it says, and its source."""

    value: float
    says: str
    source: str


RULES: dict[str, Rule] = {
    "tokens_per_parameter": Rule(
        1.0,
        "tokens to be seen for each parameter; where the time does not suffice, a smaller network learns more in it",
        "measured here, 30 s on python-docs: 0.5 tokens a parameter (mini) lost to 15 (tiny) for transformers, and "
        "26 (tiny) to 2 (mini) for LSTMs. Hoffmann et al. 2022, arXiv:2203.15556, find 20 for large models and long "
        "trainings",
    ),
    "passes": Rule(
        4,
        "passes over the same text that are nearly as good as new text",
        "Muennighoff et al. 2023, arXiv:2305.16264",
    ),
    "most_passes": Rule(
        16,
        "passes after which more of them bring next to nothing",
        "Muennighoff et al. 2023, arXiv:2305.16264",
    ),
    "dropout": Rule(
        0.1,
        "dropout where the text is passed over more often than it is nearly as good as new",
        "Srivastava et al. 2014, JMLR 15; Xue et al. 2023, arXiv:2305.13230, for language models over several passes",
    ),
    "patience": Rule(
        8,
        "measurements without a better one after which such a run stops by itself",
        "Prechelt 1998, Early stopping, but when?",
    ),
    "recurrent_minutes": Rule(
        5,
        "minutes on a CPU below which an LSTM learns more than a transformer: it makes about three times the tokens a "
        "second, and its first steps bring as much",
        "measured here, 30 s on python-docs: held-out loss 1.18 (LSTM mini) against 1.25 (best transformer)",
    ),
    "subwords_from": Rule(
        20e6,
        "characters of text from which subwords (bpe) pay: with less, most of them are too rare to be learned",
        "Tao et al. 2024, arXiv:2407.13623: the best vocabulary grows with the training",
    ),
    "characters_a_subword": Rule(
        3.5,
        "characters that a subword holds on average in an alphabet, about 1.5 in Chinese",
        "measured here on python-docs and zh-phrases",
    ),
    "labelled": Rule(
        1000,
        "labelled texts below which pre-training on plain text of the same kind first helps much",
        "Howard and Ruder 2018, arXiv:1801.06146",
    ),
    "balance": Rule(
        3,
        "times that the most frequent label may outnumber the rarest before they are weighed by how rare they are",
        "King and Zeng 2001, Logistic regression in rare events data",
    ),
    "memory": Rule(
        0.5,
        "share of the free memory that the training may take by estimate; the rest is for notebook and libraries",
        "of our own, on the careful side",
    ),
}

"""Bias: does a model expect other things after a word for one group than after a word for another?

Texts are asked in pairs that differ in one group word (counterfactual pairs, as in CrowS-Pairs: Nangia et al. 2020,
https://arxiv.org/abs/2010.00133; of classifiers: Garg et al. 2019, https://arxiv.org/abs/1809.10610). What is compared
is log2 p of the same continuation, of encoders its pseudo-log-likelihood; of classifiers the probability of a label; of
encoders without a head the cosine between the vectors of word and statement (May et al. 2019, On Measuring Social
Biases in Sentence Encoders, https://arxiv.org/abs/1903.10561).

A statement's gap is the mean over its pairs, first group minus second. Where stereotypes tie some statements to one
group and some to the other, the effect is half the difference between the mean gaps of both kinds, so that a general
preference for one group's words goes out; d and the permutation of the statements' labels are those of WEAT (Caliskan
et al. 2017, https://arxiv.org/abs/1608.07187). Otherwise the effect is the mean gap, d that of paired values, and the
test flips signs. What such pairs fail to show: Blodgett et al. 2021, Stereotyping Norwegian Salmon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from nbllm.errors import ModelError, did_you_mean
from nbllm.inspection.bias_pairs import (
    SLOT,
    Pair,
    Template,
    own_templates,
    pairs,
    read_groups,
    read_templates,
    words_of,
)
from nbllm.inspection.bias_report import report
from nbllm.inspection.bias_units import bits, cosine, probability
from nbllm.inspection.finding import Finding
from nbllm.inspection.sentences import embed
from nbllm.inspection.spans import span_bits
from nbllm.models.answers import GivesLabels
from nbllm.models.huggingface.foreign import ForeignEncoder


def bias(
    module: nn.Module,
    objective: Any,
    templates: Any = None,
    groups: Any = None,
    *,
    language: str = "en",
    label: str | None = None,
    seed: int = 0,
    about: str = "model",
    step: int | None = None,
) -> Finding:
    """What the model expects of two groups, in pairs of texts that differ in one word.

    templates  nbllm's own for the `language` where None; else a CSV file, a DataFrame, or a list of dicts with prompt
               (with {group}), continuation and toward, or of sentences
    groups     two names, each with its words, paired by place; as a dict, a CSV file or a DataFrame
    label      of a classifier: the label whose probability is compared

    Facts: effect, low, high (95 %), d, d_low, d_high, p, agree (share of statements that lean as stereotypes say),
    statements, pairs, left_out, unit. Raises DataError and ModelError where it cannot be asked.
    """
    words = words_of(language)
    named = read_groups(words.groups if groups is None else groups)
    labels = isinstance(module, GivesLabels)
    if label is not None and not labels:
        raise ModelError("Only a classifier has labels.", "Leave label out.")
    if templates is None:
        known = read_groups(words.groups)
        if set(named) != set(known) and not labels:
            raise ModelError(
                f"nbllm's own statements are about {' and '.join(known)}.", "Give templates for your groups too."
            )
        rows = own_templates(words, labels)
    else:
        rows = read_templates(templates, named)
    if labels:
        label = _label(objective, label)
        asked, unit = pairs(rows, named), probability(label)
        values = _label_shares(module, objective, asked, label)
    elif isinstance(module, ForeignEncoder):
        asked, unit = pairs(_bare(rows), named), cosine()
        values = _cosines(module, objective, asked)
    else:
        asked, unit = pairs(rows, named), bits()
        values = _bits(module, objective, asked)
    own = templates is not None or groups is not None
    return report(asked, values, list(named), unit, language=language, own=own, seed=seed, about=about, step=step)


def _label(objective: Any, label: str | None) -> str:
    names = list(objective.task.labels)
    if label is None and len(names) == 2:
        return names[-1]
    if label is None:
        raise ModelError("This classifier has more than two labels.", f"Say which, as in label='{names[0]}'.")
    if label not in names:
        raise ModelError(f"There is no label '{label}'.", did_you_mean(label, names))
    return label


def _bits(module: nn.Module, objective: Any, asked: Sequence[Pair]) -> np.ndarray:
    """(pairs, 2) log2 p with either word; NaN where a word is unknown, or both words are the same to the model."""
    found = span_bits(module, objective, [text for pair in asked for text in pair.texts]).reshape(-1, 2)
    tokenizer = objective.task.tokenizer
    for row, pair in enumerate(asked):
        first, second = (tokenizer.encode(text.text, add_special_tokens=False).ids for text in pair.texts)
        if first == second or np.isnan(found[row]).any():
            found[row] = np.nan
    return found


def _label_shares(module: nn.Module, objective: Any, asked: Sequence[Pair], label: str) -> np.ndarray:
    """(pairs, 2) the probability of the label with either word."""
    from nbllm.generation.label import classify

    texts = [text.text for pair in asked for text in pair.texts]
    shares = classify(module, objective, texts)[:, list(objective.task.labels).index(label)]
    return shares.astype(np.float64).reshape(-1, 2)


def _bare(rows: Sequence[Template]) -> list[Template]:
    """Each statement beside the words alone, whatever its prompts."""
    if not all(row.continuation for row in rows):
        raise ModelError(
            "An encoder without a head only tells what lies near what.", "Give templates with a continuation."
        )
    return list(dict.fromkeys(Template(SLOT, row.continuation, row.toward) for row in rows))


def _cosines(module: nn.Module, objective: Any, asked: Sequence[Pair]) -> np.ndarray:
    """(pairs, 2) the cosine between the vector of the statement and that of either word."""
    texts = list(dict.fromkeys(text for pair in asked for text in (*pair.words, pair.template.continuation)))
    vectors = dict(zip(texts, embed(module, objective, texts), strict=True))
    return np.array(
        [[float(vectors[word] @ vectors[pair.template.continuation]) for word in pair.words] for pair in asked]
    )

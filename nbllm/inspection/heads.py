"""What each head looks at, measured, and what all layers together pass on.

Scores are shares of a head's attention, 0 to 1, means over the queries that have such a key at all:

    previous    on the token before (Clark et al. 2019; Voita et al. 2019)
    first       on the first token, where a head rests that has nothing to say (Xiao et al. 2023, "attention sinks")
    same        on other places with the same token ("duplicate token heads", Wang et al. 2022)
    induction   on the token that came after an earlier occurrence of the current one (Olsson et al. 2022)

Q queries, K keys, L layers, H heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nbllm.errors import ModelError
from nbllm.inspection.maps import AttentionMaps, replaced, squares

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"previous": "previous token", "first": "first token", "same": "same token", "induction": "induction"}
"""Scores, and the kind of head that each one tells of."""
MIXED = "mixed"
LEAST = 0.4
"""The share from which a head is called by a kind."""


def heads(maps: AttentionMaps, least: float = LEAST) -> pd.DataFrame:
    """A row a head, sorted by kind and score: layer, head, kind, score, then previous, first, same, induction, and

    entropy     of its weights, in bits, a mean over the queries: 0 for one key, log2 K for all alike
    distance    tokens between a query and what it looks at, weighted; NaN where the keys are another text

    `kind` is that of the highest score, from a share of `least` on, else mixed. NaN: no query has such a key.
    """
    import pandas as pd

    weights = maps.weights
    layers, count = weights.shape[:2]
    rows = []
    masks = {name: (mask.astype(np.float32), int(mask.any(1).sum())) for name, mask in key_masks(maps).items()}
    away_QK = None if maps.part == "cross" else _away(maps)
    for layer in range(layers):
        for head in range(count):
            weights_QK = np.ascontiguousarray(weights[layer, head], dtype=np.float32)
            scores = {name: _share(weights_QK, *mask) for name, mask in masks.items()}
            known = {name: score for name, score in scores.items() if not np.isnan(score)}
            best = max(known, key=lambda name: known[name]) if known else ""
            score = known.get(best, np.nan)
            rows.append(
                {
                    "layer": maps.layers[layer],
                    "head": head,
                    "kind": KINDS[best] if best and score >= least else MIXED,
                    "score": score,
                    **scores,
                    "entropy": float(entropy(weights_QK).mean()),
                    "distance": np.nan if away_QK is None else float(np.vdot(weights_QK, away_QK)) / len(weights_QK),
                }
            )
    order = [*KINDS.values(), MIXED]
    frame = pd.DataFrame(rows)
    place = frame.kind.map(order.index)
    return frame.assign(place=place).sort_values(
        ["place", "score"], ascending=[True, False], kind="stable", ignore_index=True
    ).drop(columns="place")  # fmt: skip


def key_masks(maps: AttentionMaps) -> dict[str, np.ndarray]:
    """For each score the keys (Q, K, boolean) whose share it counts. Of a text in another one only `first` is known."""
    queries, keys = maps.weights.shape[2:]
    first_QK = np.zeros((queries, keys), dtype=bool)
    first_QK[:, 0] = True
    if maps.part == "cross":
        none_QK = np.zeros_like(first_QK)
        return {"previous": none_QK, "first": first_QK, "same": none_QK, "induction": none_QK}
    place_Q, place_K = np.asarray(squares(maps)), np.arange(keys)
    first_QK[place_Q == 0] = False  # the first token has nowhere else to look
    ids_K = _ids(maps)
    equal_QK = ids_K[place_Q][:, None] == ids_K[None, :]
    same_QK = equal_QK & (place_Q[:, None] != place_K[None, :])
    if not np.any(maps.weights[..., :-1, -1]) or maps.start:  # one-way: nobody sees what comes later
        same_QK &= place_K[None, :] < place_Q[:, None]
    induction_QK = np.zeros_like(same_QK)
    induction_QK[:, 1:] = equal_QK[:, :-1]
    induction_QK &= place_K[None, :] < place_Q[:, None]
    return {
        "previous": place_K[None, :] == place_Q[:, None] - 1,
        "first": first_QK,
        "same": same_QK,
        "induction": induction_QK,
    }


def entropy(weights_QK: np.ndarray) -> np.ndarray:
    """-sum_k a_k log2 a_k of each query, in bits: (..., Q)."""
    safe = np.where(weights_QK > 0, weights_QK, 1.0)
    return -(weights_QK * np.log2(safe)).sum(-1)


def rollout(maps: AttentionMaps, residual: float = 0.5) -> AttentionMaps:
    """Attention rollout (Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3):

        A_l' = residual I + (1 - residual) mean_h A_lh      R_l = A_l' R_{l-1},  R_0 = I

    `residual` stands for what a block passes by. Maps of one head: the share of each token of the text in what stands
    at each place after layer l. It supposes that all mixing is linear, and is a summary, not what a model computes.
    """
    layers, _, queries, keys = maps.weights.shape
    if maps.part in ("cross", "rollout") or queries != keys:
        raise ModelError("Rollout needs maps of a text over itself.", "Ask for .attention(text).rollout().")
    if not 0 <= residual < 1:
        raise ModelError(f"residual is {residual}.", "Give a share from 0 up to 1.")
    shares = np.eye(queries, dtype=np.float32)
    found = np.empty((layers, 1, queries, keys), dtype=np.float32)
    for layer in range(layers):
        mixed = (1 - residual) * maps.weights[layer].mean(0, dtype=np.float32) + residual * np.eye(
            queries, dtype=np.float32
        )
        shares = mixed / mixed.sum(-1, keepdims=True) @ shares
        found[layer, 0] = shares
    return replaced(maps, found, part="rollout")


def _share(weights_QK: np.ndarray, keys_QK: np.ndarray, asked: int) -> float:
    """The weight on these keys, a mean over the queries that have any (`asked`); NaN where none has."""
    return float(np.vdot(weights_QK, keys_QK)) / asked if asked else float("nan")


def _away(maps: AttentionMaps) -> np.ndarray:
    """Tokens between each query and each key, float32 (Q, K)."""
    return np.abs(np.asarray(squares(maps))[:, None] - np.arange(maps.weights.shape[3])[None, :]).astype(np.float32)


def _ids(maps: AttentionMaps) -> np.ndarray:
    """A number a key, equal for equal tokens: by their labels where the tokens' own numbers are not known."""
    if maps.key_ids is not None:
        return np.asarray(maps.key_ids)
    known: dict[str, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in maps.keys])

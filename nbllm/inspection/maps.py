"""Attention weights of a text with what they belong to: tokens, layers, heads.

L layers, H heads, Q queries, K keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.errors import ModelError
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False, eq=False)
class AttentionMaps:
    """How much each token (query) drew from each other one (key).

    weights     float32 or float16 (layer, head, query, key); each row sums to 1
    tokens      a readable label a query
    key_tokens  a readable label a key, where they are others: a decoder that looks at its encoder, or a written text
    part        self; of a network with two stacks encoder, decoder or cross; or rollout
    key_ids     the number of each key's token, by which equal tokens are told
    start       the place of the first query among the keys: in a written text the last token of the prompt, from which
                the first written one was drawn
    written     whether the queries are tokens that the model wrote, each labelled where it was drawn, a place early
    segments    of a pair of texts, 0 or 1 a key: to which of the two it belongs
    blocks      the block in which each layer's attention stands, where not all are there or others between them
    """

    weights: np.ndarray
    tokens: list[str]
    key_tokens: list[str] | None = None
    part: str = "self"
    key_ids: list[int] | None = None
    start: int = 0
    written: bool = False
    segments: list[int] | None = None
    blocks: list[int] | None = None

    @property
    def queries(self) -> list[str]:
        """Labels along the third axis of the weights."""
        return self.tokens

    @property
    def keys(self) -> list[str]:
        """Labels along the fourth axis of the weights."""
        return self.tokens if self.key_tokens is None else self.key_tokens

    @property
    def layers(self) -> list[int]:
        """The block of each layer."""
        return list(range(len(self.weights))) if self.blocks is None else self.blocks

    def __repr__(self) -> str:
        layers, heads, queries, keys = self.weights.shape
        what = "" if self.part == "self" else f"{self.part}, "
        joint = "by" if self.part == "cross" else "of"
        size = f"{keys} tokens" if queries == keys else f"{queries} {joint} {keys} tokens"
        counted = f"{layers} layer{'s' * (layers != 1)}, {heads} head{'s' * (heads != 1)}"
        return f"<AttentionMaps {what}{counted}, {size}>"

    def figure(self, layer: int = -1, head: int = 0) -> Any:
        """One head as an interactive heatmap (Plotly); hover shows both tokens and the weight."""
        return VIEWS.get("attention")(self, layer, head)

    def model_view(self) -> Any:
        """All heads at once, layers downwards and heads across, as one figure (Plotly)."""
        return VIEWS.get("attention_heads")(self)

    def lines(self, layer: int = -1, head: int = 0) -> Any:
        """One head as lines from the tokens that look to those that they look at (Plotly)."""
        return VIEWS.get("attention_lines")(self, layer, head)

    def measures(self) -> Any:
        """What `heads` measured, as bars: entropy, mean distance and the share on the first token, a row a head, sorted
        by kind (Plotly)."""
        return VIEWS.get("attention_measures")(self)

    def beside(
        self, other: AttentionMaps, layer: int = -1, head: int = 0, names: Sequence[str] = ("left", "right")
    ) -> Any:
        """One head of these maps and of others (another step, another run, another text) side by side, and their
        difference where the tokens are the same (Plotly). `names` stand over them."""
        return VIEWS.get("attention_beside")(self, other, layer, head, names)

    def explore(self, beside: AttentionMaps | None = None) -> Any:
        """The explorer, to be displayed: all heads, heatmap, lines, strongest pairs, kinds; `beside` other maps."""
        return VIEWS.get("explorer")(self, beside)

    def _repr_png_(self) -> bytes:
        return VIEWS.get("attention_picture")(self)

    def heads(self) -> pd.DataFrame:
        """A row a head, sorted by kind: what it looks at, measured (see `nbllm.inspection.heads`)."""
        from nbllm.inspection.heads import heads

        return heads(self)

    def rollout(self) -> AttentionMaps:
        """What each token draws from each token of the text through all layers up to each one, the heads averaged: maps
        of one head (Abnar and Zuidema 2020)."""
        from nbllm.inspection.heads import rollout

        return rollout(self)

    def save(self, path: str | Path, layer: int | None = None, head: int | None = None) -> Path:
        """Write the maps as the name ends: .npz (arrays, for `load`), .html (one page that needs nothing else), .png or
        .svg (pictures of all heads, or of one layer or head)."""
        from nbllm.inspection.saving import save

        return save(self, path, layer, head)

    @classmethod
    def load(cls, path: str | Path) -> AttentionMaps:
        """The maps of an .npz that `save` wrote; nothing in it is run."""
        from nbllm.inspection.saving import load

        return load(path)

    def of(self, layer: int | None = None, head: int | None = None) -> AttentionMaps:
        """The same maps with one layer, one head, or both. ModelError where there is none."""
        blocks, weights = self.blocks, self.weights
        if layer is not None:
            place = self.place(layer)
            blocks, weights = [self.layers[place]], weights[[place]]
        if head is not None:
            count = weights.shape[1]
            if not -count <= head < count:
                raise ModelError(f"There is no head {head}.", f"Use 0 to {count - 1}.")
            weights = weights[:, [head % count]]
        return replaced(self, weights, blocks=blocks)

    def place(self, layer: int) -> int:
        """The place among the weights of a layer, which is called by its block's number, or from the end by -1, -2."""
        return place_of(self.layers, layer)

    def to_frame(self) -> pd.DataFrame:
        """One row a weight: layer, head, query, key, query_token, key_token, weight. Pairs out of sight are not in."""
        import pandas as pd

        layer, head, query, key = np.nonzero(self.weights > 0)
        return pd.DataFrame(
            {
                "layer": np.asarray(self.layers)[layer],
                "head": head,
                "query": query,
                "key": key,
                "query_token": np.array(self.queries, dtype=object)[query],
                "key_token": np.array(self.keys, dtype=object)[key],
                "weight": self.weights[layer, head, query, key],
            }
        )


def place_of(layers: Sequence[int], layer: int) -> int:
    """The place of a layer, which is called by its block's number, or from the end. ModelError where there is none."""
    if layer in layers:
        return list(layers).index(layer)
    if -len(layers) <= layer < 0:
        return layer % len(layers)
    known = f"0 to {len(layers) - 1}" if list(layers) == list(range(len(layers))) else ", ".join(map(str, layers))
    raise ModelError(f"There is no layer {layer}.", f"Use {known}.")


def replaced(maps: AttentionMaps, weights: np.ndarray, **fields: Any) -> AttentionMaps:
    """The same tokens with other weights."""
    import dataclasses

    return dataclasses.replace(maps, weights=weights, **fields)


def squares(maps: AttentionMaps) -> Sequence[int]:
    """The place of each query among the keys. ModelError where queries and keys are different texts."""
    if maps.part == "cross":
        raise ModelError("A decoder that looks at its source has no place in it.", "Ask for part='encoder'.")
    return range(maps.start, maps.start + len(maps.queries))

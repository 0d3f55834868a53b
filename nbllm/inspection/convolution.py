"""Convolutions: how far each block sees, and what in a text excites each filter the most.

T tokens, D filters, one a channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.inspection.states import read_states, stack_of
from nbllm.models.evaluating import evaluating
from nbllm.models.mixers.conv import Conv
from nbllm.models.stack import Stack
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

_MOST_WORDS = 12  # tokens of an n-gram that are written out
_ROOM = 512  # tokens at most of the text by which a field is measured


def receptive_field(module: nn.Module) -> pd.DataFrame:
    """One row a block: kind, kernel, dilation, field (tokens that its answer can depend on, itself counted) and
    measured.

    A field is exact: each convolution adds (kernel - 1) dilation tokens to that of the block below. Measured is the
    span of the tokens whose embedding has a gradient of the block's answer at one place, in this model with its
    weights: where they differ, the weights make no use of what they could see. Attention and recurrent layers see the
    whole past: their field is missing. Raises ModelError where the network has no convolution.
    """
    import pandas as pd

    stack, _ = _convolutions(module)
    field: int | None = 1
    largest = 1
    rows: list[dict[str, Any]] = []
    for mixer in stack.mixers():
        conv = isinstance(mixer, Conv)
        field = field + mixer.reach if isinstance(mixer, Conv) and field is not None else None
        largest = max(largest, field or 1)
        rows.append(
            {
                "kind": type(mixer).__name__.lower(),
                "kernel": mixer.kernel if conv else None,
                "dilation": mixer.dilation if conv else None,
                "field": field,
            }
        )
    table = pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="block"), dtype="object")
    table["measured"] = _measured(module, stack, min(2 * largest + 1, _ROOM))
    return table.astype(dict.fromkeys(("kernel", "dilation", "field", "measured"), "Int64"))


def _measured(module: nn.Module, stack: Stack, length: int) -> list[int]:
    """By block the span of tokens that its answer at the last place (the middle one where it sees both ways) has a
    gradient of; the tokens are drawn by a generator of their own."""
    parameter = next(stack.parameters())
    if not stack.unbounded:
        length = min(length, stack.context)
    draw = torch.Generator().manual_seed(0)
    tokens_BT = torch.randint(stack.embedding.num_embeddings, (1, length), generator=draw).to(device_of(module))
    place = length - 1 if stack.causal else length // 2
    spans = []
    with evaluating(module), torch.enable_grad():
        x_BTD = stack.embed(tokens_BT).detach().to(parameter.dtype).requires_grad_()
        y_BTD = x_BTD
        for block in stack.blocks:
            y_BTD, _ = block(y_BTD)
            # Of every channel, each by a weight of its own, so that no two cancel.
            weights_D = torch.linspace(0.5, 1.5, y_BTD.shape[-1], device=y_BTD.device, dtype=y_BTD.dtype)
            (slope_BTD,) = torch.autograd.grad(y_BTD[0, place] @ weights_D, x_BTD, retain_graph=True)
            touched = slope_BTD[0].abs().amax(-1).nonzero()[:, 0]
            spans.append(int(touched.max() - touched.min() + 1) if len(touched) else 0)
    return spans


@dataclass(frozen=True, repr=False)
class Filters:
    """What each filter of the convolutions answers at each token of a text: its value by its gate.

    responses  float32 (L, T, D), a convolution a layer; .blocks their blocks
    kernels, dilations    of each
    layer      the one that is shown where nothing else is asked for
    """

    responses: np.ndarray
    blocks: list[int]
    kernels: list[int]
    dilations: list[int]
    causal: bool
    tokens: list[str]
    layer: int = -1

    def of(self, layer: int) -> Filters:
        """The same, with another convolution shown."""
        found = replace(self, layer=layer)
        found.index()
        return found

    def index(self) -> int:
        """The place of the convolution that is shown."""
        if not -len(self.blocks) <= self.layer < len(self.blocks):
            raise ModelError(f"There is no convolution {self.layer}.", f"They go from 0 to {len(self.blocks) - 1}.")
        return self.layer % len(self.blocks)

    def ngram(self, place: int) -> list[str]:
        """The tokens under the taps of the shown convolution where it answers at this place; those before the text or
        behind its end are left out. Of a block above the first each of them has seen more."""
        kernel, dilation = self.kernels[self.index()], self.dilations[self.index()]
        before = (kernel - 1) * dilation
        first = place - (before if self.causal else before // 2)
        places = (first + tap * dilation for tap in range(kernel))
        return [self.tokens[each] for each in places if 0 <= each < len(self.tokens)]

    def strongest(self, filter: int, count: int = 5) -> pd.DataFrame:
        """The places of the text that excite one filter the most: place, token, ngram, response."""
        import pandas as pd

        response_T = self._filter(filter)
        order = np.argsort(-np.abs(response_T), kind="stable")[:count]
        return pd.DataFrame(
            {
                "place": order,
                "token": [self.tokens[place] for place in order],
                "ngram": [_written(self.ngram(place)) for place in order],
                "response": response_T[order],
            }
        )

    @property
    def order(self) -> np.ndarray:
        """The filters of the shown convolution, the most selective first: the largest response over the mean size."""
        sizes_TD = np.abs(self.responses[self.index()])
        mean_D = sizes_TD.mean(0)
        selective = np.divide(sizes_TD.max(0), mean_D, out=np.zeros_like(mean_D), where=mean_D > 0)
        return np.argsort(-selective, kind="stable")

    @property
    def table(self) -> pd.DataFrame:
        """One row a filter, the most selective first: the n-gram that excites it most, the response there, and the mean
        size of its responses (Jacovi, Sar Shalom and Goldberg 2018, "Understanding Convolutional Neural Networks for
        Text Classification", look at filters so)."""
        import pandas as pd

        response_TD = self.responses[self.index()]
        order = self.order
        places = np.abs(response_TD).argmax(0)[order]
        return pd.DataFrame(
            {
                "ngram": [_written(self.ngram(place)) for place in places],
                "place": places,
                "response": response_TD[places, order],
                "mean_size": np.abs(response_TD).mean(0)[order],
            },
            index=pd.Index(order, name="filter"),
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a convolution, token and filter: block, place, token, filter, response."""
        import pandas as pd

        layer, place, number = (each.ravel() for each in np.indices(self.responses.shape))
        return pd.DataFrame(
            {
                "block": np.array(self.blocks)[layer],
                "place": place,
                "token": np.array(self.tokens, dtype=object)[place],
                "filter": number,
                "response": self.responses.ravel(),
            }
        )

    def figure(self, layer: int | None = None) -> Any:
        """A heatmap of filters by tokens (Plotly), the most selective on top."""
        return VIEWS.get("filters")(self if layer is None else self.of(layer))

    def __repr__(self) -> str:
        count = self.responses.shape[2]
        return f"<Filters: {count} in each of {len(self.blocks)} convolutions, over {len(self.tokens)} tokens>"

    def _repr_png_(self) -> bytes:
        return VIEWS.get("filters_picture")(self)

    def _filter(self, number: int) -> np.ndarray:
        count = self.responses.shape[2]
        if not -count <= number < count:
            raise ModelError(f"There is no filter {number}.", f"They go from 0 to {count - 1}.")
        return self.responses[self.index(), :, number]


def filter_responses(module: nn.Module, objective: Any, text: str) -> Filters:
    """The responses of every filter over a text of any length. Raises ModelError where there is no convolution."""
    stack, blocks = _convolutions(module)
    names = [f"blocks.{index}.conv.{half}" for index in blocks for half in ("value", "gate")]
    read = read_states(module, objective, text, names)
    responses = [read.values[f"blocks.{i}.conv.value"] * read.values[f"blocks.{i}.conv.gate"] for i in blocks]
    mixers: list[Any] = [stack.mixers()[index] for index in blocks]
    return Filters(
        np.stack(responses), blocks, [mixer.kernel for mixer in mixers], [mixer.dilation for mixer in mixers],
        stack.causal, read.tokens,
    )  # fmt: skip


def _convolutions(module: nn.Module) -> tuple[Stack, list[int]]:
    stack = stack_of(module)
    blocks = [] if stack is None else [i for i, mixer in enumerate(stack.mixers()) if isinstance(mixer, Conv)]
    if stack is None or not blocks:
        raise ModelError(
            f"A {type(module).__name__} without convolutions has no filters.", "Use a model of kind cnn, or a hybrid."
        )
    return stack, blocks


def _written(tokens: list[str]) -> str:
    """An n-gram in words, its taps parted by white space; a long one with its middle left out."""
    if len(tokens) > _MOST_WORDS:
        half = _MOST_WORDS // 2
        tokens = [*tokens[:half], "…", *tokens[-half:]]
    return " ".join(tokens)

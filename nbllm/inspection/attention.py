"""Attention weights, recomputed on demand: the fused kernels that train return none.

L layers, B batch, H heads, T tokens (queries and keys alike), D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.errors import ModelError
from nbllm.inspection.capture import inputs, run
from nbllm.models.answers import ShowsAttention, WritesTarget
from nbllm.models.encoder_decoder import EncoderDecoder
from nbllm.models.evaluating import evaluating
from nbllm.models.mixers.attention import Attention
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class AttentionMaps:
    """How much each token (query) drew from each other one (key).

    weights     float32 (layer, head, query, key); each row sums to 1
    tokens      a readable label a query
    key_tokens  a readable label a key, where they are others: a decoder that looks at its encoder
    """

    weights: np.ndarray
    tokens: list[str]
    key_tokens: list[str] | None = None

    @property
    def queries(self) -> list[str]:
        """Labels along the third axis of the weights."""
        return self.tokens

    @property
    def keys(self) -> list[str]:
        """Labels along the fourth axis of the weights."""
        return self.tokens if self.key_tokens is None else self.key_tokens

    def __repr__(self) -> str:
        layers, heads, _, size = self.weights.shape
        return f"<AttentionMaps of {layers} layers, {heads} heads, {size} tokens>"

    def figure(self, layer: int = -1, head: int = 0) -> Any:
        """One head as an interactive heatmap (Plotly); hover shows both tokens and the weight."""
        return VIEWS.get("attention")(self, layer, head)

    def _repr_png_(self) -> bytes:
        return VIEWS.get("attention_picture")(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a weight: layer, head, query, key, query_token, key_token, weight. Pairs out of sight are not in."""
        import pandas as pd

        layer, head, query, key = np.indices(self.weights.shape).reshape(4, -1)
        seen = self.weights.reshape(-1) > 0
        layer, head, query, key = layer[seen], head[seen], query[seen], key[seen]
        return pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "query": query,
                "key": key,
                "query_token": np.array(self.queries, dtype=object)[query],
                "key_token": np.array(self.keys, dtype=object)[key],
                "weight": self.weights[layer, head, query, key],
            }
        )


def attention_maps(module: nn.Module, tokenizer: Tokenizer, text: str, *, context: int) -> AttentionMaps:
    """The maps of a text, cut to the model's context. Raises ModelError for no text or a model without attention."""
    from nbllm.data.tokenizers import token_strings

    # A model of transformers never saw a text without the tokens that its tokenizer puts around it.
    ids = tokenizer.encode(text, add_special_tokens=isinstance(module, ShowsAttention)).ids[:context]
    if not ids:
        raise ModelError("There is no text to look at.", 'Give some, as in .attention("To be, or not").')
    weights = attention(module, torch.tensor([ids], device=device_of(module)))[:, 0]
    return AttentionMaps(weights.cpu().numpy(), token_strings(tokenizer, ids))


def cross_attention_maps(
    module: nn.Module, tokenizer: Tokenizer, target_tokenizer: Tokenizer, source: str, target: str, *, context: int
) -> AttentionMaps:
    """What each target token (query) drew from each source token (key); the first query is the target's beginning."""
    from nbllm.data.tokenizers import end_id, token_strings

    end, begin = end_id(tokenizer) or 0, end_id(target_tokenizer) or 0
    sources = [*tokenizer.encode(source, add_special_tokens=False).ids[: context - 1], end]
    targets = [begin, *target_tokenizer.encode(target, add_special_tokens=False).ids[: context - 1]]
    device = device_of(module)
    weights = cross_attention(module, torch.tensor([sources], device=device), torch.tensor([targets], device=device))
    return AttentionMaps(
        weights[:, 0].cpu().numpy(), token_strings(target_tokenizer, targets), token_strings(tokenizer, sources)
    )


def attention(module: nn.Module, tokens_BT: torch.Tensor) -> torch.Tensor:
    """The weights of every attention layer for these tokens: float32 (L, B, H, T, T). The module is left as it was.

    Raises ModelError where the model has no attention.
    """
    if isinstance(module, ShowsAttention):
        with torch.no_grad(), evaluating(module):
            return module.attention(tokens_BT).float()
    mixers = attention_layers(module)
    if not mixers:
        raise ModelError(
            f"A {type(module).__name__} without attention layers has no attention weights.", _advice(module)
        )
    with torch.no_grad(), evaluating(module), inputs(list(mixers)) as found:
        run(module, tokens_BT)
        maps = []
        for index, mixer in enumerate(mixers):
            q_BHTK, k_BJTK, _ = mixer.project(found[index], start=0)
            maps.append(mixer.weights(q_BHTK, k_BJTK).float())
    return torch.stack(maps)


def shows_attention(module: nn.Module) -> bool:
    """Whether the module has attention weights to show for a text."""
    return isinstance(module, ShowsAttention) or bool(attention_layers(module))


def attention_layers(module: nn.Module) -> list[Attention]:
    """The self-attention mixers that read a text, lowest first: those of an encoder where there are two stacks."""
    part = getattr(module, "encoder", module)
    return [each for each in part.modules() if isinstance(each, Attention)]


def looks_at_source(module: nn.Module) -> bool:
    """Whether the module is a decoder with attention to a source."""
    if isinstance(module, EncoderDecoder):
        return bool(module.decoder.crosses())
    return isinstance(module, ShowsAttention) and isinstance(module, WritesTarget)


def cross_attention(module: nn.Module, source_BS: torch.Tensor, target_BT: torch.Tensor) -> torch.Tensor:
    """The weights with which each layer of a decoder looks at the source: float32 (L, B, H, T, S).

    Raises ModelError where the decoder looks at nothing.
    """
    if isinstance(module, ShowsAttention):
        with torch.no_grad(), evaluating(module):
            maps_LBHTS = module.cross_attention(source_BS, target_BT)
        if maps_LBHTS is not None:
            return maps_LBHTS.float()
    if not isinstance(module, EncoderDecoder):
        raise ModelError(f"A {type(module).__name__} looks at no source.", "Use a model of kind seq2seq.")
    mixers = module.decoder.crosses()
    if not mixers:
        raise ModelError("This decoder has only its encoder's last state to go by.", "Train with model.cross: dot")
    with torch.no_grad(), evaluating(module), inputs(list(mixers)) as found:
        memory, finals = module.encode(source_BS)
        module.decode(target_BT, memory, finals)
        maps = [mixer.weights(found[index], memory).float() for index, mixer in enumerate(mixers)]
    return torch.stack(maps)


def device_of(module: nn.Module) -> torch.device:
    """Where the module lies."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def _advice(module: nn.Module) -> str:
    from nbllm.inspection.gates import recurrent_layers

    return (
        "Ask for its gates instead: .gates(text)." if recurrent_layers(module) else "Use a model of kind transformer."
    )

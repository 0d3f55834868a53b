"""What each layer of a model of transformers would say, without knowing the model: its own forward, cut short.

The last block is made to give back the stream behind an earlier one; what the model does from there, by its final norm,
its scale and its head, is what that layer would say, as if the blocks between were not there. One pass a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nbllm.models.answers import WritesTarget
from nbllm.models.huggingface.foreign import Foreign

_COUNTS = ("num_hidden_layers", "num_layers", "n_layer")
_TARGET_COUNTS = ("num_decoder_layers", "decoder_layers", *_COUNTS)


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The blocks that lead to the answers, lowest first; none where they are not found, as where one is used several
    times (ALBERT)."""
    if not isinstance(module, Foreign):
        return []
    config, target = module.model.config, isinstance(module, WritesTarget)
    part = module.model.get_decoder() if target else module.model
    counts = (getattr(config, name, None) for name in (_TARGET_COUNTS if target else _COUNTS))
    count = next((each for each in counts if each), None)
    lists = (each for each in part.modules() if isinstance(each, nn.ModuleList) and len(each) == count)
    return list(next(lists, []))


@contextmanager
def giving(block: nn.Module, stream_BTD: Tensor) -> Iterator[None]:
    """While open, the block gives back this stream, whatever it reads. The hook goes when the block is left."""

    def answer(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
        return (stream_BTD, *output[1:]) if isinstance(output, tuple) else stream_BTD

    with block.register_forward_hook(answer):
        yield


def said_by_layers(blocks: list[nn.Module], found: dict[int, Tensor], read: Any, logits_NV: Tensor) -> list[Tensor]:
    """logits_NV of each layer; `found` has the streams behind the blocks, `read` asks the model anew, and `logits_NV`
    is its own answer, which is the last layer's."""
    said = []
    for index in range(len(blocks) - 1):
        with giving(blocks[-1], found[index]), torch.no_grad():
            said.append(read())
    return [*said, logits_NV]

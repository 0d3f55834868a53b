"""Low-rank adapters (Hu et al. 2022, "LoRA"), by peft, on networks of ours and of transformers alike.

    W x + b   becomes   W x + b + (alpha / rank) B A x        A (rank, in), B (out, rank) and at first zero

W and b stay as they are. Checkpoints hold all of it; an export holds W + (alpha / rank) B A, as if nothing were added.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from nbllm.config import LoraConfig
from nbllm.errors import ConfigError, did_you_mean, require
from nbllm.training.finetune import in_block

_ADAPTER = "default"
_PART = re.compile(r"^(.*)\.lora_([AB])\.default\.weight$")
# Layers of transformers that hold their matrix transposed (Conv1D), by the ends of their names.
_TRANSPOSED = ("c_attn", "c_proj", "c_fc", "q_attn")


def inject(module: nn.Module, config: LoraConfig, fresh: Collection[str] = ()) -> list[str]:
    """Put adapters beside the layers that the configuration names (all linear ones of the blocks where it names none),
    and freeze everything but them and the parameters that are `fresh`. Returns the names of the adapted layers.

    ConfigError where no layer fits; MissingExtraError without peft.
    """
    peft: Any = require("peft", "lora")
    layers = targets(module, config.targets)
    settings = peft.LoraConfig(
        r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=layers, bias="none"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a Conv1D is transposed is seen by itself
        peft.inject_adapter_in_model(settings, module, adapter_name=_ADAPTER)
    kept = set(fresh)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(".lora_" in name or name in kept)
    return layers


def targets(module: nn.Module, patterns: Sequence[str] | None) -> list[str]:
    """The names of the layers to adapt. A pattern is a whole name, its end (`query`) or a shell pattern (`*.query`)."""
    linear = [name for name, part in module.named_modules() if _is_linear(part)]
    if patterns is None:
        found = [name for name in linear if in_block(name)]
        if not found:
            raise ConfigError(
                f"lora adapts linear layers, and a {type(module).__name__} of this kind has none in its blocks.",
                "Use a model with attention, or lora.rank: 0 and train.freeze.",
            )
        return found
    found = []
    for pattern in patterns:
        fits = [n for n in linear if n == pattern or n.endswith(f".{pattern}") or fnmatchcase(n, pattern)]
        if not fits:
            ends = sorted({name.rpartition(".")[2] for name in linear})
            raise ConfigError(f"No linear layer fits lora.targets '{pattern}'.", did_you_mean(pattern, ends))
        found += [name for name in fits if name not in found]
    return found


def has_adapters(tensors: Mapping[str, Any]) -> bool:
    """Whether the names are those of a network with adapters."""
    return any(_PART.match(name) for name in tensors)


@torch.no_grad()
def merged(tensors: Mapping[str, Tensor], config: LoraConfig) -> dict[str, Tensor]:
    """The tensors of a network with adapters as those of one without: every W + (alpha / rank) B A under W's own name.
    Those of a network that has none are given back as they are."""
    if not has_adapters(tensors):
        return dict(tensors)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".lora_" in name:
            continue
        layer, plain, leaf = name.rpartition(".base_layer.")
        if not plain:
            found[name] = tensor
            continue
        if leaf == "weight" and f"{layer}.lora_A.{_ADAPTER}.weight" in tensors:
            down = tensors[f"{layer}.lora_A.{_ADAPTER}.weight"]
            up = tensors[f"{layer}.lora_B.{_ADAPTER}.weight"]
            change = config.alpha / config.rank * (up @ down)
            tensor = tensor + (change.T if layer.endswith(_TRANSPOSED) else change)
        found[f"{layer}.{leaf}"] = tensor
    return found


def trained(module: nn.Module) -> int:
    """Parameters that learn."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def _is_linear(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"

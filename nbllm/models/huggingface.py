"""Out to transformers: our decoder is Qwen3's layout, or Llama's where queries and keys are not normalised.

A folder that `export` writes is read by AutoModelForCausalLM and AutoTokenizer with no nbllm installed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models.language_model import LanguageModel
from nbllm.models.norm import EPS

# Our name of a part, its name in transformers; both layouts share them.
_PARTS = {
    "mixer_norm": "input_layernorm",
    "mixer.query": "self_attn.q_proj",
    "mixer.key": "self_attn.k_proj",
    "mixer.value": "self_attn.v_proj",
    "mixer.out": "self_attn.o_proj",
    "mixer.query_norm": "self_attn.q_norm",
    "mixer.key_norm": "self_attn.k_norm",
    "mlp_norm": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}
_TOP = {
    "stack.embedding.weight": "model.embed_tokens.weight",
    "stack.norm.weight": "model.norm.weight",
    "head.linear.weight": "lm_head.weight",
}


def layout(config: ModelConfig, vocab_size: int, context: int) -> dict[str, Any]:
    """The keys of transformers' Qwen3Config or LlamaConfig, with `model_type` saying which.

    Raises ModelError where the kind has no layout there.
    """
    if config.kind != "transformer":
        raise ModelError(
            f"A model of kind '{config.kind}' has no standard layout in transformers.",
            "Its weights are the model.safetensors of its checkpoint, and nbllm.load reads them.",
        )
    if not config.qk_norm and config.width % config.heads:
        raise ModelError(
            f"Llama's layout needs heads ({config.heads}) that divide the width ({config.width}).",
            "Train with qk_norm: true, which exports as Qwen3.",
        )
    return {
        "model_type": "qwen3" if config.qk_norm else "llama",
        "vocab_size": vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_of("attention"),
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": EPS,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "tie_word_embeddings": config.tied,
        "attention_bias": False,
        "attention_dropout": 0.0,
    }


def convert_state_dict(module: nn.Module) -> dict[str, torch.Tensor]:
    """The module's weights under transformers' names (Qwen3ForCausalLM and LlamaForCausalLM)."""
    if not isinstance(module, LanguageModel):
        raise ModelError(
            f"A {type(module).__name__} has no standard layout in transformers.",
            "Its weights are the model.safetensors of its checkpoint.",
        )
    return {_standard_name(name): tensor.detach().contiguous() for name, tensor in module.state_dict().items()}


def export(module: nn.Module, config: ModelConfig, tokenizer_path: Path, folder: Path, context: int) -> Path:
    """Write the model and its tokenizer as transformers reads them; returns the folder."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    from transformers import AutoConfig, GenerationConfig

    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    weights = convert_state_dict(module)
    keys = layout(config, weights["model.embed_tokens.weight"].shape[0], context)
    eos = tokenizer.token_to_id("<eos>")
    ends = {"bos_token_id": eos, "eos_token_id": eos, "pad_token_id": eos}
    standard = AutoConfig.for_model(keys.pop("model_type"), **keys, **ends)
    standard.architectures = ["Qwen3ForCausalLM" if config.qk_norm else "LlamaForCausalLM"]
    standard.dtype = str(weights["model.embed_tokens.weight"].dtype).removeprefix("torch.")

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    standard.save_pretrained(folder)
    GenerationConfig(do_sample=True, temperature=0.8, max_new_tokens=200, **ends).save_pretrained(folder)
    save_file({name: tensor.cpu() for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    shutil.copyfile(tokenizer_path, folder / "tokenizer.json")
    about: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    if eos is not None:
        about |= {"eos_token": "<eos>", "bos_token": "<eos>", "pad_token": "<eos>"}
    if tokenizer.token_to_id("<unk>") is not None:
        about["unk_token"] = "<unk>"
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return folder


def _standard_name(name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    _, _, index, part = name.split(".", 3)
    stem = part.removesuffix(".weight")
    if stem not in _PARTS:
        raise ModelError(
            f"The part '{name}' has no place in transformers' layouts.",
            "Only a model of kind transformer can be exported.",
        )
    return f"model.layers.{index}.{_PARTS[stem]}.weight"

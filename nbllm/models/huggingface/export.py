"""A folder that transformers loads with no nbllm installed: config.json, generation_config.json, model.safetensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from nbllm.models.huggingface.layouts import Layout
from nbllm.models.huggingface.names import to_theirs, untied
from nbllm.models.huggingface.quiet import quiet


def weights(tensors: Mapping[str, Tensor], layout: Layout, head: str, *, pairs: bool = False) -> dict[str, Tensor]:
    """A network's tensors as the class of the layout holds them, each once. `pairs` keeps BERT's second head."""
    kept = {name: tensor for name, tensor in tensors.items() if pairs or not name.startswith("pair_head.")}
    found = to_theirs(kept, layout.table, head)
    if layout.table == "bert" and "cls.predictions.decoder.weight" in found:
        found["cls.predictions.decoder.bias"] = found["cls.predictions.bias"].clone()  # tied only with the matrix
    if layout.table == "bart":
        most = layout.settings["max_position_embeddings"] + 2
        for side in ("encoder", "decoder"):
            if "lm_head.weight" in found:  # where the head is apart, so are the two embeddings, whatever their numbers
                found[f"model.{side}.embed_tokens.weight"] = found["model.shared.weight"].clone()
            name = f"model.{side}.embed_positions.weight"
            if name in found:  # both sides are as long as the longer there
                found[name] = _longer(found[name], most)
        found["final_logits_bias"] = torch.zeros(
            1, layout.settings["vocab_size"], dtype=found["model.shared.weight"].dtype
        )
    return dict(untied(found))


def write(
    tensors: Mapping[str, Tensor],
    layout: Layout,
    head: str,
    folder: Path,
    tokens: Mapping[str, int],
    *,
    labels: Sequence[str] = (),
    several: bool = False,
    pairs: bool = False,
    most: int = 200,
) -> None:
    """Write the model. `tokens` are the ids of eos, bos, pad, cls, sep; `most` tokens a generation has by default."""
    from transformers import AutoConfig, GenerationConfig

    found = weights(tensors, layout, head, pairs=pairs)
    config = AutoConfig.for_model(layout.model_type, **layout.settings, **_special(tokens, layout, head))
    config.architectures = [layout.architecture]
    config.dtype = str(next(iter(found.values())).dtype).removeprefix("torch.")
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
        config.problem_type = (
            "multi_label_classification" if several or len(labels) == 1 else "single_label_classification"
        )
    config.save_pretrained(folder)
    if head in ("next", "target"):
        ends = {f"{name}_token_id": tokens.get(name) for name in ("bos", "eos", "pad")}
        drawn: dict[str, Any] = {"do_sample": True, "temperature": 0.8} if head == "next" else {"num_beams": 1}
        if head == "target":
            drawn["decoder_start_token_id"] = tokens.get("eos")
        GenerationConfig(**drawn, **ends, max_new_tokens=most).save_pretrained(folder)
    save_file({name: tensor.cpu() for name, tensor in found.items()}, folder / "model.safetensors", {"format": "pt"})


def write_foreign(model: Any, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write a model of transformers with these weights (`model.` before each name), as the library itself does."""
    with quiet():
        model.save_pretrained(folder, state_dict={name.removeprefix("model."): t for name, t in tensors.items()})


def _special(tokens: Mapping[str, int], layout: Layout, head: str) -> dict[str, Any]:
    """What the config.json says of special tokens. A target begins with the end, as ours are trained to."""
    found: dict[str, Any] = {f"{name}_token_id": tokens.get(name) for name in ("bos", "eos", "pad")}
    if head == "target":
        found["decoder_start_token_id"] = tokens.get("eos")
    if layout.model_type == "modernbert":
        found |= {f"{name}_token_id": tokens.get(name) for name in ("cls", "sep")}
    return found


def _longer(table_TD: Tensor, rows: int) -> Tensor:
    """The table with rows of zeros behind it; they stand for places that the network was never given."""
    missing = rows - table_TD.shape[0]
    return torch.cat((table_TD, table_TD.new_zeros(missing, table_TD.shape[1]))) if missing > 0 else table_TD

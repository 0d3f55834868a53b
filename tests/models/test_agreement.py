"""The same weights in transformers' own classes give the same logits: Qwen3, Llama, GPT-2, BERT, ModernBERT, mBART,
Marian. The names are matched here, a line a part, and not by the exporter, so that each checks the other.

B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.contract.cases import Made, batch, made, randomised

transformers = pytest.importorskip("transformers")

CLOSE = {"rtol": 0.0, "atol": 1e-8}
HEADS, WIDTH, LAYERS, UNITS, CONTEXT = 2, 12, 2, 20, 16


def reference(name: str, config: str, **settings: Any) -> Any:
    """A model of transformers in float64 with weights of which none is zero."""
    made_config = getattr(transformers, config)(attn_implementation="sdpa", **settings)
    return randomised(getattr(transformers, name)(made_config).double()).eval()


def with_exact_places(theirs: Any, base: float, head_dim: int) -> None:
    """transformers computes its rotary waves in float32, whatever the weights are in: the same formula in float64."""

    def waves(x_BTD: Tensor, position_ids: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        pair = torch.arange(0, head_dim, 2, dtype=torch.float64)
        angle = position_ids[..., None].double() * base ** -(pair / head_dim)
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos(), angle.sin()

    rough = theirs.model.rotary_emb(torch.zeros(1, 1, 1), torch.arange(9)[None], "full_attention")
    for exact, given in zip(waves(torch.zeros(()), torch.arange(9)[None]), rough, strict=True):
        torch.testing.assert_close(given.double(), exact, rtol=0, atol=1e-6)
    theirs.model.rotary_emb.forward = waves


def copied(own: nn.Module, theirs: nn.Module, names: dict[str, str], transposed: tuple[str, ...] = ()) -> None:
    """Copy parameters by the beginnings of their names; every one of ours must be found."""
    found = theirs.state_dict()
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            ours = max((each for each in names if name.startswith(each)), key=len)
            other = names[ours] + name.removeprefix(ours)
            value = found[other]
            parameter.copy_(value.T if any(part in other for part in transposed) and value.ndim == 2 else value)


def numbered(parts: dict[str, str], layers: int, ours: str, theirs: str) -> dict[str, str]:
    """The names of the parts of each block."""
    return {f"{ours}.{i}.{a}": f"{theirs}.{i}.{b}" for i in range(layers) for a, b in parts.items()}


def vocabulary(found: Made) -> int:
    return found.objective.task.tokenizer.get_vocab_size()


ROTARY = {
    "mixer_norm.": "input_layernorm.", "mixer.query.": "self_attn.q_proj.", "mixer.key.": "self_attn.k_proj.",
    "mixer.value.": "self_attn.v_proj.", "mixer.out.": "self_attn.o_proj.", "mixer.query_norm.": "self_attn.q_norm.",
    "mixer.key_norm.": "self_attn.k_norm.", "mlp_norm.": "post_attention_layernorm.", "mlp.gate.": "mlp.gate_proj.",
    "mlp.up.": "mlp.up_proj.", "mlp.down.": "mlp.down_proj.",
}  # fmt: skip


@pytest.mark.parametrize("preset", ["qwen3", "llama"])
@pytest.mark.parametrize(
    "choice", [{}, {"model.kv_heads": 1, "model.tied": False}, {"model.bias": False, "model.norm_eps": 1e-5}]
)
def test_a_rotary_decoder(preset: str, choice: dict[str, Any]) -> None:
    found = made(f"preset {preset}", **{"model.mlp_width": UNITS, **choice})
    model = found.config.model
    names = {"qwen3": ("Qwen3ForCausalLM", "Qwen3Config"), "llama": ("LlamaForCausalLM", "LlamaConfig")}[preset]
    theirs = reference(
        *names, vocab_size=vocabulary(found), hidden_size=WIDTH, intermediate_size=UNITS, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=model.key_heads, head_dim=model.head_dim,
        rope_parameters={"rope_type": "default", "rope_theta": model.rope_base}, rms_norm_eps=model.norm_eps,
        tie_word_embeddings=model.tied, hidden_act="silu", max_position_embeddings=CONTEXT,
    )  # fmt: skip
    names_of = numbered(ROTARY, LAYERS, "stack.blocks", "model.layers")
    names_of |= {"stack.embedding.": "model.embed_tokens.", "stack.norm.": "model.norm.", "head.linear.": "lm_head."}
    copied(found.module, theirs, names_of)
    tokens = batch(found)["tokens"]
    # Theirs takes its norms and its rotary waves in float32, whatever the weights are in.
    torch.testing.assert_close(found.module(tokens), theirs(tokens).logits, rtol=0, atol=1e-6)


def test_gpt2() -> None:
    found = made("preset gpt2", **{"model.mlp_width": UNITS})
    theirs = reference(
        "GPT2LMHeadModel", "GPT2Config", vocab_size=vocabulary(found), n_positions=CONTEXT, n_embd=WIDTH,
        n_layer=LAYERS, n_head=HEADS, n_inner=UNITS,
    )  # fmt: skip
    state = theirs.state_dict()
    for layer in range(LAYERS):  # queries, keys and values stand in one matrix there
        for part in ("weight", "bias"):
            whole = state.pop(f"transformer.h.{layer}.attn.c_attn.{part}")
            for name, third in zip(("query", "key", "value"), whole.chunk(3, dim=-1), strict=True):
                state[f"transformer.h.{layer}.attn.{name}.{part}"] = third
    names = numbered(
        {
            "mixer_norm.": "ln_1.", "mixer.query.": "attn.query.", "mixer.key.": "attn.key.",
            "mixer.value.": "attn.value.", "mixer.out.": "attn.c_proj.", "mlp_norm.": "ln_2.", "mlp.up.": "mlp.c_fc.",
            "mlp.down.": "mlp.c_proj.",
        },
        LAYERS, "stack.blocks", "transformer.h",
    )  # fmt: skip
    names |= {"stack.embedding.": "transformer.wte.", "stack.norm.": "transformer.ln_f."}
    names |= {"stack.positions.position_embedding.": "transformer.wpe."}
    copied(found.module, Weights(state), names, transposed=(".attn.", ".mlp."))
    tokens = batch(found)["tokens"]
    torch.testing.assert_close(found.module(tokens), theirs(tokens).logits, **CLOSE)


class Weights(nn.Module):
    """Weights under the names that they are given."""

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        self._state = state

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self._state


BERT = {
    "mixer.query.": "attention.self.query.", "mixer.key.": "attention.self.key.",
    "mixer.value.": "attention.self.value.", "mixer.out.": "attention.output.dense.",
    "mixer_norm.": "attention.output.LayerNorm.", "mlp.up.": "intermediate.dense.", "mlp.down.": "output.dense.",
    "mlp_norm.": "output.LayerNorm.",
}  # fmt: skip


def test_bert_with_both_of_its_heads() -> None:
    """BertForPreTraining over padded pairs: hidden tokens, and whether the second sentence follows."""
    found = made("preset bert", **{"model.mlp_width": UNITS})
    theirs = reference(
        "BertForPreTraining", "BertConfig", vocab_size=vocabulary(found), hidden_size=WIDTH, intermediate_size=UNITS,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, max_position_embeddings=CONTEXT, hidden_act="gelu",
    )  # fmt: skip
    names = numbered(BERT, LAYERS, "stack.blocks", "bert.encoder.layer")
    names |= {
        "stack.embedding.": "bert.embeddings.word_embeddings.",
        "stack.positions.position_embedding.": "bert.embeddings.position_embeddings.",
        "stack.segment_embedding.": "bert.embeddings.token_type_embeddings.",
        "stack.embedding_norm.": "bert.embeddings.LayerNorm.",
        "head.transform.": "cls.predictions.transform.dense.",
        "head.norm.": "cls.predictions.transform.LayerNorm.",
        "head.bias": "cls.predictions.bias",
        "pair_head.pool.": "bert.pooler.dense.",
        "pair_head.answer.": "cls.seq_relationship.",
    }
    copied(found.module, theirs, names)
    each = batch(found)
    assert not each["real"].all()
    answer = theirs(each["tokens"], attention_mask=each["real"].long(), token_type_ids=each["segments"])
    logits = found.module(each["tokens"], each["real"], each["segments"])
    torch.testing.assert_close(logits[each["real"]], answer.prediction_logits[each["real"]], **CLOSE)
    x_BTD = found.module.hidden(each["tokens"], each["real"], each["segments"])
    torch.testing.assert_close(found.module.pair_head(x_BTD, each["real"]), answer.seq_relationship_logits, **CLOSE)
    # Class 0 says there too that the second follows: the losses agree as well.
    loss = theirs(
        each["tokens"], attention_mask=each["real"].long(), token_type_ids=each["segments"], labels=each["targets"],
        next_sentence_label=each["follows"],
    ).loss  # fmt: skip
    torch.testing.assert_close(found.objective.loss(found.module, each, 0)[0], loss, rtol=0, atol=1e-6)


def test_modernbert() -> None:
    """What `bert` is without a preset: rotary, norms before, a gated MLP, the first block's norm left out."""
    found = made("mlm bert", **{"model.mlp_width": UNITS})
    theirs = reference(
        "ModernBertForMaskedLM", "ModernBertConfig", vocab_size=vocabulary(found), hidden_size=WIDTH,
        intermediate_size=UNITS, num_hidden_layers=LAYERS, num_attention_heads=HEADS, hidden_activation="gelu",
        max_position_embeddings=CONTEXT, norm_eps=1e-5, layer_types=["full_attention"] * LAYERS,
        rope_parameters={
            kind: {"rope_type": "default", "rope_theta": found.config.model.rope_base}
            for kind in ("full_attention", "sliding_attention")
        },
        pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with_exact_places(theirs, found.config.model.rope_base, found.config.model.head_dim)
    state = theirs.state_dict()
    for layer in range(LAYERS):
        start = f"model.layers.{layer}"
        for name, third in zip("qkv", state.pop(f"{start}.attn.Wqkv.weight").chunk(3), strict=True):
            state[f"{start}.attn.{name}.weight"] = third
        for name, half in zip(("gate", "up"), state.pop(f"{start}.mlp.Wi.weight").chunk(2), strict=True):
            state[f"{start}.mlp.{name}.weight"] = half
    names = numbered(
        {
            "mixer_norm.": "attn_norm.", "mixer.query.": "attn.q.", "mixer.key.": "attn.k.", "mixer.value.": "attn.v.",
            "mixer.out.": "attn.Wo.", "mlp_norm.": "mlp_norm.", "mlp.gate.": "mlp.gate.", "mlp.up.": "mlp.up.",
            "mlp.down.": "mlp.Wo.",
        },
        LAYERS, "stack.blocks", "model.layers",
    )  # fmt: skip
    names |= {
        "stack.embedding.": "model.embeddings.tok_embeddings.", "stack.embedding_norm.": "model.embeddings.norm.",
        "stack.norm.": "model.final_norm.", "head.transform.": "head.dense.", "head.norm.": "head.norm.",
        "head.bias": "decoder.bias",
    }  # fmt: skip
    pair = {name for name, _ in found.module.named_parameters() if name.startswith("pair_head.")}
    state |= {name: found.module.state_dict()[name] for name in pair}  # ModernBERT has no such head
    copied(found.module, Weights(state), {**names, "pair_head.": "pair_head."})
    tokens = batch(found)["tokens"]
    real = torch.arange(tokens.shape[1]) < torch.tensor([5, 9, 16, 12])[:, None]
    answer = theirs(tokens, attention_mask=real.long()).logits
    torch.testing.assert_close(found.module(tokens, real)[real], answer[real], **CLOSE)


TWO_STACKS = {
    "mixer.query.": "self_attn.q_proj.", "mixer.key.": "self_attn.k_proj.", "mixer.value.": "self_attn.v_proj.",
    "mixer.out.": "self_attn.out_proj.", "mixer_norm.": "self_attn_layer_norm.",
    "cross.query.": "encoder_attn.q_proj.", "cross.key.": "encoder_attn.k_proj.",
    "cross.value.": "encoder_attn.v_proj.", "cross.out.": "encoder_attn.out_proj.",
    "cross_norm.": "encoder_attn_layer_norm.", "mlp.up.": "fc1.", "mlp.down.": "fc2.", "mlp_norm.": "final_layer_norm.",
}  # fmt: skip


def two_stacks(found: Made, name: str, config: str, **more: Any) -> Any:
    sizes = {
        f"{half}_{what}": value
        for half in ("encoder", "decoder")
        for what, value in (("layers", LAYERS), ("attention_heads", HEADS), ("ffn_dim", UNITS))
    }
    return reference(
        name, config, vocab_size=vocabulary(found), d_model=WIDTH, max_position_embeddings=CONTEXT, pad_token_id=1,
        eos_token_id=1, decoder_start_token_id=1, **sizes, **more,
    )  # fmt: skip


def names_of_two() -> dict[str, str]:
    names = {"encoder.embedding.": "model.shared."}
    for half in ("encoder", "decoder"):
        names |= numbered(TWO_STACKS, LAYERS, f"{half}.blocks", f"model.{half}.layers")
        names |= {f"{half}.norm.": f"model.{half}.layer_norm."}
        names |= {f"{half}.embedding_norm.": f"model.{half}.layernorm_embedding."}
        names |= {f"{half}.positions.position_embedding.weight": f"model.{half}.positions"}
    return names


def compare_two(found: Made, theirs: Any) -> None:
    each = batch(found)
    assert not each["real"].all()
    with torch.no_grad():
        theirs.final_logits_bias.zero_()
    answer = theirs(each["source"], attention_mask=each["real"].long(), decoder_input_ids=each["inputs"]).logits
    torch.testing.assert_close(found.module(each["source"], each["inputs"], each["real"]), answer, **CLOSE)


def test_mbart_is_what_seq2seq_is_by_default() -> None:
    found = made("seq2seq seq2seq", **{"model.mlp_width": UNITS})
    theirs = two_stacks(found, "MBartForConditionalGeneration", "MBartConfig", activation_function="gelu")
    state = theirs.state_dict()
    for half in ("encoder", "decoder"):  # its first two places are never used
        state[f"model.{half}.positions"] = state[f"model.{half}.embed_positions.weight"][2:]
    copied(found.module, Weights(state), names_of_two())
    compare_two(found, theirs)


def test_marian_is_vanilla_2017() -> None:
    found = made("preset vanilla-2017", **{"model.mlp_width": UNITS})
    theirs = two_stacks(
        found, "MarianMTModel", "MarianConfig", activation_function="relu", scale_embedding=True,
        share_encoder_decoder_embeddings=True,
    )  # fmt: skip
    with torch.no_grad():  # `randomised` has drawn over its waves, which are no weights
        for half in (theirs.model.encoder, theirs.model.decoder):
            half.embed_positions.weight.copy_(half.embed_positions.create_weight())
    copied(found.module, theirs, names_of_two())
    compare_two(found, theirs)

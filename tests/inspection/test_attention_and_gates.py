"""Attention weights and gates, recomputed, give back what the layer itself gave."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nbllm.config import ModelConfig, TokenizerConfig
from nbllm.data import tokenizers
from nbllm.errors import ModelError
from nbllm.inspection.attention import AttentionMaps, attention, attention_maps
from nbllm.inspection.capture import inputs
from nbllm.inspection.gates import gates, recurrent_layers
from nbllm.inspection.probe import probe
from nbllm.models.language_model import LanguageModel

V, T = 17, 12


def model(**fields: Any) -> LanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = LanguageModel(ModelConfig(**{"layers": 3, "width": 24, "dropout": 0.2, **fields}), V, T)
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.5
    return module


TOKENS = torch.randint(V, (2, T), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "fields", [{"heads": 4}, {"heads": 4, "kv_heads": 2}, {"heads": 3, "qk_norm": False, "head_width": 6}]
)
def test_weights_give_the_fused_kernels_output(fields: dict[str, Any]) -> None:
    module = model(**fields)
    weights = attention(module, TOKENS)
    first = module.mixers()[0]
    heads, groups = first.heads, first.heads // first.key_heads
    assert weights.shape == (3, 2, heads, T, T)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, heads, T), rtol=0, atol=1e-5)
    assert (weights.triu(1) == 0).all()

    outputs: list[torch.Tensor] = []
    for mixer in module.mixers():
        mixer.register_forward_hook(lambda _module, _arguments, output: outputs.append(output[0]))
    module.eval()
    with torch.no_grad(), inputs(list(module.mixers())) as found:
        module(TOKENS)
        for layer, mixer in enumerate(module.mixers()):
            _, _, v_BJTK = mixer.project(found[layer], 0)
            mixed = weights[layer] @ v_BJTK.repeat_interleave(groups, dim=1)
            expected = mixer.out(mixed.transpose(1, 2).flatten(2))
            torch.testing.assert_close(outputs[layer], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fields", [{}, {"plain": True}, {"mlp_width": 16}])
def test_gates_give_the_layers_output(fields: dict[str, Any]) -> None:
    module = model(kind="lstm", **fields)
    found = gates(module, TOKENS)
    outputs: list[torch.Tensor] = []
    for mixer in module.mixers():
        mixer.register_forward_hook(lambda _module, _arguments, output: outputs.append(output[0]))
    with torch.no_grad():
        module.eval()(TOKENS)
    torch.testing.assert_close(found["hidden"], torch.stack(outputs), rtol=0, atol=1e-5)
    torch.testing.assert_close(found["output"] * found["cell"].tanh(), found["hidden"], rtol=0, atol=1e-6)
    assert all(found[name].min() >= 0 and found[name].max() <= 1 for name in ("input", "forget", "output"))


@pytest.mark.parametrize("kind", ["transformer", "lstm"])
def test_looking_leaves_no_trace(kind: str) -> None:
    module = model(kind=kind).train()
    before = module.eval()(TOKENS).detach()
    module.train()
    probe(module, TOKENS[0].tolist())
    assert module.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert torch.equal(module.eval()(TOKENS), before)


def test_hooks_go_even_when_the_pass_fails() -> None:
    module = model()
    with pytest.raises(IndexError), inputs(list(module.mixers())):
        module(torch.full((1, 3), V + 5))
    assert not any(part._forward_pre_hooks for part in module.modules())


def test_probe_of_each_kind() -> None:
    long = list(range(V)) * 6
    maps = probe(model(heads=4), long)
    assert maps.keys() == {"attention"}
    assert maps["attention"].shape == (3, 4, 64, 64)
    assert maps["attention"].dtype == np.float16

    module = model(kind="lstm", width=100)
    maps = probe(module, long)
    assert maps.keys() == {"gates"}
    assert maps["gates"].shape == (3, 4, 64, 64)
    forget = gates(module, torch.tensor([long[:64]]))["forget"][:, 0].numpy()
    np.testing.assert_allclose(maps["gates"][:, 1, :, [0, -1]], forget[..., [0, -1]].transpose(2, 0, 1), atol=1e-3)

    assert probe(nn.Embedding(V, V), long) == {}


def test_frame_of_maps() -> None:
    weights = attention(model(heads=4), TOKENS)[:, 0].numpy()
    maps = AttentionMaps(weights, [f"词{i}" for i in range(T)])
    frame = maps.to_frame()
    assert len(frame) == 3 * 4 * T * (T + 1) // 2
    row = frame[(frame.layer == 2) & (frame["head"] == 1) & (frame["query"] == 5) & (frame["key"] == 3)].iloc[0]
    assert row["weight"] == weights[2, 1, 5, 3]
    assert (row["query_token"], row["key_token"]) == ("词5", "词3")
    assert maps.queries == maps.keys == maps.tokens


def test_maps_of_a_text_are_labelled() -> None:
    tokenizer = tokenizers.train(TokenizerConfig(kind="char"), iter(["ab你好\n 。"]))
    objective = SimpleNamespace(task=SimpleNamespace(tokenizer=tokenizer, context=T))
    maps = attention_maps(model(heads=4), objective, "a你好\n" * 5)
    assert maps.weights.shape == (3, 4, T, T)
    assert maps.tokens == ["a", "你", "好", maps.tokens[3]] * 3
    assert maps.tokens[3] != "\n"
    with pytest.raises(ModelError, match="no text"):
        attention_maps(model(), objective, "")


def test_asking_a_model_for_what_it_has_not() -> None:
    with pytest.raises(ModelError, match="gates"):
        attention(model(kind="lstm"), TOKENS)
    with pytest.raises(ModelError, match="kind lstm"):
        gates(model(), TOKENS)
    assert recurrent_layers(model()) == []

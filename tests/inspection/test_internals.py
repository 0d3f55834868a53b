"""Every internal by its name: that it is what the network computed, that generating tells the same, and no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import nbllm
from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.generation.decode import generate
from nbllm.handles.model import Model
from nbllm.inspection.attention import attention
from nbllm.inspection.internals import capture, internals
from nbllm.inspection.reading import reading
from nbllm.models.mixers.attention import Attention
from nbllm.models.mixers.recurrent import Recurrent
from tests.contract.cases import CASES, Made, made
from tests.foreign import make

EXACT = {"rtol": 1e-9, "atol": 1e-9}


def read(each: Made, *names: str) -> dict[str, torch.Tensor]:
    target = "abc" if each.head == "target" else None
    with torch.no_grad(), capture(each.module.eval(), *names) as found:
        reading(each.module, each.objective, "he did a bad", target=target).run(each.module)
    return dict(found)


@pytest.mark.parametrize("case", CASES)
def test_every_name_of_every_family_has_a_value(case: str) -> None:
    each = made(case)
    names = [name for name in internals(each.module) if name != "pair_head"]
    assert any(name.endswith("blocks.0.residual") for name in names)
    assert any(name.endswith("embedding") for name in names)
    assert "head" in names
    found = read(each, *names)
    for name in names:
        assert torch.isfinite(found[name]).all(), name
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in each.module.modules())


def test_names_are_stable() -> None:
    """What people write into their notebooks: these names do not change."""
    inside = [
        "attention",
        "attention.q",
        "attention.k",
        "attention.v",
        "attention.pattern",
        "mlp.hidden",
        "mlp",
        "residual",
    ]
    blocks = [f"blocks.{index}.{name}" for index in (0, 1) for name in inside]
    assert list(internals(made("clm transformer").module)) == ["embedding", *blocks, "norm", "head"]
    gates = ["lstm", "lstm.input", "lstm.forget", "lstm.output", "lstm.cell", "lstm.hidden", "residual"]
    assert [name[9:] for name in internals(made("clm lstm").module) if name.startswith("blocks.1.")] == gates
    conv = internals(made("clm cnn").module)
    assert {"blocks.0.conv", "blocks.0.conv.value", "blocks.0.conv.gate"} <= set(conv)
    two = internals(made("seq2seq seq2seq").module)
    assert {
        "encoder.blocks.1.attention.pattern",
        "decoder.blocks.0.cross.pattern",
        "decoder.blocks.0.attention.q",
    } <= set(two)


def test_a_block_is_the_sum_of_its_parts() -> None:
    each = made("clm transformer")
    found = read(each, "*")
    stack = each.module.stack
    before = found["embedding"]
    for index in range(2):
        b = f"blocks.{index}."
        torch.testing.assert_close(found[b + "residual"], before + found[b + "attention"] + found[b + "mlp"], **EXACT)
        mixer = stack.blocks[index].mixer
        scores = found[b + "attention.q"] @ found[b + "attention.k"].transpose(2, 3) / mixer.head_dim**0.5
        future = torch.ones_like(scores, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -torch.inf).softmax(-1)
        torch.testing.assert_close(found[b + "attention.pattern"], weights, rtol=0, atol=1e-6)
        mixed = (found[b + "attention.pattern"] @ found[b + "attention.v"]).transpose(1, 2).flatten(2)
        torch.testing.assert_close(mixer.out(mixed), found[b + "attention"], rtol=0, atol=1e-6)
        torch.testing.assert_close(stack.blocks[index].mlp.down(found[b + "mlp.hidden"]), found[b + "mlp"], **EXACT)
        before = found[b + "residual"]
    torch.testing.assert_close(stack.norm(before), found["norm"], **EXACT)
    torch.testing.assert_close(each.module.head(found["norm"]), found["head"], **EXACT)


def test_a_convolution_is_its_value_times_its_gate() -> None:
    each = made("clm cnn")
    found = read(each, "blocks.0.conv*")
    product = found["blocks.0.conv.value"] * found["blocks.0.conv.gate"]
    torch.testing.assert_close(each.module.stack.blocks[0].mixer.out(product), found["blocks.0.conv"], **EXACT)


@pytest.mark.parametrize(
    "case", ["clm transformer", "clm transformer grouped", "clm transformer window", "clm hybrid pattern", "clm lstm",
             "clm gru", "clm rnn", "clm cnn", "preset gpt2"],
)  # fmt: skip
def test_writing_step_by_step_tells_the_same_as_reading(case: str) -> None:
    """What was captured at each written token is the row that one pass over the whole text has at its place."""
    each = made(case)
    module, tokenizer = each.module.eval(), each.objective.task.tokenizer
    with capture(module, "*") as steps:
        text = generate(module, tokenizer, "abba", context=16, max_tokens=6, seed=3, stop_at_eos=False)[0]
    ids = [*tokenizer.encode("abba").ids, *text.ids]
    with torch.no_grad(), capture(module, "*") as whole:
        module(torch.tensor([ids[:-1]]))
    for name in whole:
        expected, calls = whole[name], steps.calls(name)
        assert len(calls) == 6
        if name == "head":
            torch.testing.assert_close(calls[-1], expected[:, -1], **EXACT)
        elif name.endswith((".k", ".v")):
            torch.testing.assert_close(calls[-1], expected, **EXACT)
        elif name.endswith(".pattern"):
            for index, each_call in enumerate(calls):
                seen = 4 + index
                torch.testing.assert_close(each_call[:, :, -1], expected[:, :, seen - 1, :seen], rtol=0, atol=1e-6)
        else:
            places = 2 if name.endswith(".q") else 1
            joined = torch.cat(calls, dim=places)
            torch.testing.assert_close(joined, expected, **EXACT)


def test_gates_go_on_from_a_state() -> None:
    for mixer in (each for case in ("clm lstm", "clm gru", "clm rnn") for each in made(case).module.mixers()):
        assert isinstance(mixer, Recurrent)
        x_BTD = torch.randn(2, 7, 12, dtype=torch.float64)
        begin = mixer.init_state(2, 7, x_BTD.device, x_BTD.dtype)
        with torch.no_grad():
            _, state = mixer(x_BTD[:, :4], state=begin)
            whole, rest = mixer.gates(x_BTD), mixer.gates(x_BTD[:, 4:], state)
        assert set(whole) == set(mixer.gate_names)
        for name in whole:
            torch.testing.assert_close(rest[name], whole[name][:, 4:], **EXACT)


def test_hooks_go_however_the_block_is_left() -> None:
    module = made("clm transformer").module
    hooked = lambda: sum(len(part._forward_hooks) for part in module.modules())  # noqa: E731
    assert hooked() == 0
    with capture(module, "*.pattern"):
        assert hooked() > 0
    with pytest.raises(RuntimeError, match="in the middle"), capture(module, "*"):
        raise RuntimeError("in the middle")
    assert hooked() == 0
    with pytest.raises(ModelError, match=r"no internal 'blocks\.0\.atention'.*blocks\.0\.attention"):
        with capture(module, "*", "blocks.0.atention"):
            pass
    assert hooked() == 0


def test_a_network_of_ones_own_shows_the_attention_of_its_layers() -> None:
    """A module of another make that holds a layer of ours: its pattern has a name, and `attention` finds it."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(9, 8)
            self.layer = Attention(ModelConfig(width=8, heads=2), None)

        def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
            return self.layer(self.embed(tokens_BT))[0]

    module = Own()
    assert "layer.pattern" in internals(module)
    weights = attention(module, torch.tensor([[1, 2, 3]]))
    assert weights.shape == (1, 1, 2, 3, 3)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 1, 2, 3))


def test_what_was_not_asked_or_not_read_is_said() -> None:
    each = made("clm transformer")
    with capture(each.module, "blocks.*.mlp", dtype=torch.float16) as found:
        with pytest.raises(ModelError, match=r"not computed meanwhile.*model\.read"):
            found["blocks.0.mlp"]
        each.module(torch.tensor([[1, 2, 3]]))
    assert list(found) == ["blocks.0.mlp", "blocks.1.mlp"]
    assert found["blocks.1.mlp"].dtype == torch.float16
    assert not found["blocks.1.mlp"].requires_grad
    assert "blocks.0.mlp (1, 3, 12)" in repr(found)
    with pytest.raises(ModelError, match="was not captured"):
        found["blocks.0.attention"]


def test_a_model_in_hand(tmp_path: Path) -> None:
    """`Model.internals`, `.capture` and `.read`, of ours and of transformers."""
    each = made("clm transformer")
    model = Model(each.module.float(), each.objective, each.config, tmp_path, 0)
    assert model.internals()[0] == "embedding"
    with model.capture("blocks.*.attention.pattern") as found:
        assert model.read("abba") == list("abba")
    weights = model.attention("abba").weights
    torch.testing.assert_close(torch.stack([found[name][0] for name in found]), torch.from_numpy(weights))
    with model.capture("norm") as found:
        model.generate("abba", max_tokens=3, seed=1, stop_at_eos=False)
    assert len(found.calls("norm")) == 3
    foreign = nbllm.load(f"hf:{make('bert', tmp_path / 'bert')}")
    assert "model.bert.encoder.layer.0.attention.self" in foreign.internals()
    with foreign.capture("model.bert.encoder.layer.*.output", "model.bert.embeddings") as found:
        tokens = foreign.read("the lazy dog", pair="a fox")
    assert [tuple(value.shape) for value in found.values()] == [(1, len(tokens), 32)] * 5

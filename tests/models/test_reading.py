"""The extras to how tokens are read, each as it is defined. That reading token by token agrees is in the contract."""

from __future__ import annotations

import pytest
import torch

from nbllm.config import ModelConfig, resolve
from nbllm.models.estimate import Shape
from nbllm.models.huggingface.layouts import NoLayout, layout
from nbllm.models.language_model import LanguageModel
from nbllm.models.reading import Bigrams, Mix, Smear
from nbllm.models.stack import Stack


def test_every_pair_has_a_row_where_there_are_rows_enough() -> None:
    config = ModelConfig(bigrams=100)
    assert config.pair_rows(4) == 20
    pairs = Bigrams(config.pair_rows(4), 4, 3)
    with torch.no_grad():
        pairs.embedding_table.copy_(torch.arange(20.0)[:, None].expand(-1, 3))
    tokens_BT = torch.tensor([[2, 0, 3], [1, 1, 1]])
    before_B1 = torch.tensor([[4], [3]])  # nothing, and a 3
    assert pairs(tokens_BT, before_B1)[..., 0].tolist() == [[18.0, 8.0, 3.0], [13.0, 5.0, 5.0]]


def test_pairs_share_rows_evenly_where_there_are_fewer() -> None:
    pairs = Bigrams(64, 50, 1)
    with torch.no_grad():
        pairs.embedding_table.copy_(torch.arange(64.0)[:, None])
    first, second = torch.meshgrid(torch.arange(50), torch.arange(50), indexing="ij")
    rows = pairs(second.reshape(-1, 1), first.reshape(-1, 1)).flatten().int()
    counts = torch.bincount(rows, minlength=64)
    assert counts.min() > 0
    assert counts.max() < 3 * 2500 / 64


def test_smear_and_mix_do_nothing_at_first_and_then_what_they_say() -> None:
    x_BTD, before_B1D = torch.randn(2, 4, 6), torch.randn(2, 1, 6)
    smear, mix = Smear(6), Mix(2)
    assert torch.equal(smear(x_BTD, before_B1D), x_BTD)
    assert torch.equal(mix(2, x_BTD, before_B1D), x_BTD)
    with torch.no_grad():
        smear.share.fill_(0.5)
        mix.input[1] = 2.0
    torch.testing.assert_close(smear(x_BTD, before_B1D)[:, 0], x_BTD[:, 0] + 0.5 * before_B1D[:, 0])
    torch.testing.assert_close(smear(x_BTD, before_B1D)[:, 3], x_BTD[:, 3] + 0.5 * x_BTD[:, 2])
    torch.testing.assert_close(mix(2, x_BTD, before_B1D), x_BTD + 2 * before_B1D)


def test_what_is_embedded_is_what_the_first_block_reads() -> None:
    config = ModelConfig(layers=1, width=8, heads=2, bigrams=50, smear=True)
    stack = Stack(config, ["attention"], 6, 8)
    for parameter in stack.parameters():
        parameter.data = torch.randn_like(parameter)
    seen = []
    stack.blocks[0].register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    tokens_BT = torch.tensor([[1, 2, 3, 3]])
    stack(tokens_BT)
    torch.testing.assert_close(stack.embed(tokens_BT), seen[0])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bigrams": 10}, "a network with a table of token pairs"),
        ({"smear": True, "mix_input": True}, "smeared embeddings and embeddings mixed into its blocks"),
        ({"activation": "relu2"}, "Qwen3's layout with activation: relu2"),
    ],
)
def test_the_extras_have_no_home_in_transformers(fields: dict[str, object], said: str) -> None:
    with pytest.raises(NoLayout, match=said) as caught:
        layout(ModelConfig(**fields), Shape(20))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_fast_has_a_size_of_its_own_unless_one_is_asked_for() -> None:
    own = resolve([("call", {"preset": "fast"})])
    assert own.model.bigrams
    assert own.train.steps
    sized = resolve([("call", {"preset": "fast", "size": "mini"})])
    assert (sized.model.layers, sized.model.width, sized.train.steps) == (4, 128, resolve([]).train.steps)
    assert sized.model.bigrams == own.model.bigrams
    timed = resolve([("call", {"preset": "fast", "minutes": 2})])
    assert (timed.train.steps, timed.train.minutes) == (None, 2)
    said = resolve([("call", {"preset": "fast", "model.width": 96})])
    assert said.model.width == 96
    assert isinstance(LanguageModel(said.model, 20, 8), LanguageModel)

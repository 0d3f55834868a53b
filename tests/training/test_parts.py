"""Schedules, optimizers, checkpoints: each against what it is defined by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from nbllm.config import ModelConfig, TrainConfig
from nbllm.errors import RunError
from nbllm.models.language_model import LanguageModel
from nbllm.training import checkpoint
from nbllm.training.diagnosis import overfits
from nbllm.training.optim import Muon, Optimizers, is_hidden_matrix, orthogonalize, rate_of
from nbllm.training.schedules import lr_factor


def test_wsd_warms_up_holds_and_falls_to_its_end() -> None:
    train = TrainConfig(schedule="wsd", warmup=10, cooldown=0.4, lr_end=0.1)
    course = [lr_factor(step, 100, train) for step in range(100)]
    assert course[0] == pytest.approx(0.1)
    assert course[9:60] == pytest.approx([1.0] * 51)
    assert course[80] == pytest.approx(0.1 + 0.9 * 0.5)
    assert course[99] == pytest.approx(0.1 + 0.9 / 40)
    assert sorted(course[60:], reverse=True) == course[60:]


def test_cosine_is_half_way_down_in_the_middle() -> None:
    train = TrainConfig(schedule="cosine", warmup=0, lr_end=0.0)
    assert lr_factor(50, 100, train) == pytest.approx(0.5)
    assert lr_factor(100, 100, train) == pytest.approx(0.0)


def test_an_unknown_budget_holds_the_peak_and_a_short_one_warms_up_quickly() -> None:
    train = TrainConfig(warmup=20)
    assert lr_factor(500, None, train) == 1.0
    assert lr_factor(2, 20, train) == 1.0, "a tenth of 20 steps is 2"


@pytest.mark.parametrize("shape", [(8, 8), (32, 8), (8, 32)])
def test_orthogonalize_evens_out_the_singular_values(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], 8, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(shape[1], 8, generator=generator))
    matrix = left @ torch.diag(torch.linspace(0.1, 2.0, 8)) @ right.T
    found = orthogonalize(matrix[None], torch.float32)[0]
    singular = torch.linalg.svdvals(found)
    assert (singular > 0.6).all()
    assert (singular < 1.3).all()
    overlap = torch.sum(found * (left @ right.T)) / 8
    assert overlap > 0.8, "it points where U V^T does"


def test_muon_steps_as_defined_for_one_matrix() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(6, 4))
    before, gradient = weight.detach().clone(), torch.randn(6, 4)
    weight.grad = gradient.clone()
    muon = Muon({"w": weight}, weight_decay=0.1)
    muon._dtype = torch.float32
    muon.step(lr=0.01)
    momentum = 0.05 * gradient
    direction = orthogonalize((0.05 * gradient + 0.95 * momentum)[None], torch.float32)[0]
    expected = before * (1 - 0.01 * 0.1) - 0.01 * 0.2 * 6**0.5 * direction
    assert torch.allclose(weight, expected, atol=1e-6)


def test_matrices_together_step_as_each_alone_also_where_some_have_no_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {f"w{n}": nn.Parameter(torch.randn(6, 4, generator=generator)) for n in range(4)}
    alone = {name: nn.Parameter(weight.detach().clone()) for name, weight in weights.items()}
    together = Muon(weights, weight_decay=0.1)
    each = {name: Muon({name: weight}, weight_decay=0.1) for name, weight in alone.items()}
    for muon in (together, *each.values()):
        muon._dtype = torch.float32
    for step in range(3):
        for number, name in enumerate(weights):
            gradient = torch.randn(6, 4, generator=generator) if (number + step) % 3 else None
            weights[name].grad = alone[name].grad = gradient
            each[name].step(0.01)
        together.step(0.01)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, alone[name], rtol=0, atol=1e-5)
        torch.testing.assert_close(together.momentum[name], each[name].momentum[name], rtol=0, atol=1e-6)


def test_embeddings_and_a_head_of_its_own_learn_at_their_own_rates() -> None:
    train = TrainConfig(embedding_rate=3.0, head_rate=0.5, weight_decay=0.0, optimizer="adamw", lr=0.1)
    names = {"stack.embedding.weight": 3.0, "head.linear.weight": 0.5, "stack.blocks.0.mlp.up.weight": 1.0}
    assert {name: rate_of(name, train) for name in names} == names
    module = LanguageModel(ModelConfig(layers=1, width=8, heads=2, tied=False, bigrams=9), 5, 4)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimizers = Optimizers(module, train)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers.step(0.01)  # AdamW's first step is of the size of its rate
    moved = {name: float((before[name] - p).detach().mean()) for name, p in module.named_parameters()}
    assert moved["stack.embedding.weight"] == pytest.approx(0.03, rel=1e-3)
    assert moved["stack.bigrams.embedding_table"] == pytest.approx(0.03, rel=1e-3)
    assert moved["head.linear.weight"] == pytest.approx(0.005, rel=1e-3)
    assert moved["stack.blocks.0.mlp.up.weight"] == pytest.approx(0.01, rel=1e-3)


def test_who_takes_what() -> None:
    matrix = torch.zeros(4, 4)
    assert is_hidden_matrix("blocks.0.mlp.up.weight", matrix)
    assert not is_hidden_matrix("embedding.weight", matrix)
    assert not is_hidden_matrix("blocks.0.mixer.weight_hh", matrix)
    assert not is_hidden_matrix("blocks.0.norm.weight", torch.zeros(4))


def test_adamw_for_all_is_torchs_own() -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    theirs = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    theirs.load_state_dict(ours.state_dict())
    config = TrainConfig(optimizer="adamw", weight_decay=0.1)
    optimizers = Optimizers(ours, config)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim == 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-9)
    for seed in range(4):
        x = torch.randn(7, 3, generator=torch.Generator().manual_seed(seed))
        for module in (ours, theirs):
            module.zero_grad()
            module(x).square().mean().backward()
        optimizers.step(1e-2)
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight


def save(folder: Path, module: nn.Module) -> Path:
    place = folder / "run" / "checkpoints" / "step-3"
    optimizers = Optimizers(module, TrainConfig())
    checkpoint.save(place, module, optimizers.state(), {"step": 3}, {})
    return place


def test_tied_weights_are_written_once_and_stay_tied(tmp_path: Path) -> None:
    module = Tied()
    place = save(tmp_path, module)
    assert (place / "model.safetensors").stat().st_size < 400
    other = Tied()
    checkpoint.load_weights(other, place)
    assert torch.equal(other.embedding.weight, module.embedding.weight)
    assert other.head.weight is other.embedding.weight


def test_a_checkpoint_replaces_an_earlier_one_of_its_step_and_leaves_nothing_beside(tmp_path: Path) -> None:
    save(tmp_path, Tied())
    place = save(tmp_path, Tied())
    assert [path.name for path in place.parent.iterdir()] == ["step-3"]


@pytest.mark.parametrize("file", ["model.safetensors", "state.json", "optimizer.safetensors"])
def test_damage_is_told_in_one_line(tmp_path: Path, file: str) -> None:
    place = save(tmp_path, Tied())
    (place / file).write_bytes(b"\x80\x04torn")
    with pytest.raises(RunError, match=r"step-3 of 'run' is damaged .* earlier checkpoint"):
        _load(place)


def _load(place: Path) -> None:
    checkpoint.load_weights(Tied(), place)
    checkpoint.load_state(place)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    place = save(tmp_path, Tied())
    with pytest.raises(RunError, match="do not fit the model"):
        checkpoint.load_weights(nn.Linear(4, 4), place)
    wider = Tied()
    wider.embedding.weight = nn.Parameter(torch.zeros(5, 8))
    wider.head.weight = wider.embedding.weight
    with pytest.raises(RunError, match=r"shape \(5, 4\)"):
        checkpoint.load_weights(wider, place)


def test_state_json_is_plain(tmp_path: Path) -> None:
    place = save(tmp_path, Tied())
    assert json.loads((place / "state.json").read_text()) == {"format": 1, "step": 3}


def test_overfitting_is_said_with_its_evidence() -> None:
    assert overfits([1, 2, 3], [3.0, 2.0, 2.5]) == ""
    assert overfits([1, 2, 3, 4, 5], [3.0, 2.0, 1.9, 1.8, 1.7]) == ""
    assert "since step 200 (2.000 to 2.400)" in overfits([100, 200, 300, 400, 500], [3.0, 2.0, 2.1, 2.2, 2.4])

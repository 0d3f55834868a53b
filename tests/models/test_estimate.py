"""The estimates against real modules."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nbllm.config import ModelConfig, RunConfig, TrainConfig
from nbllm.errors import ModelError
from nbllm.models import estimate
from nbllm.models.language_model import LanguageModel
from nbllm.training.optim import Optimizers
from tests.contract.cases import CASES, made

CONFIGS: list[dict[str, Any]] = [
    {},
    {"layers": 3, "width": 48, "heads": 4, "kv_heads": 2, "head_width": 10, "tied": False},
    {"layers": 2, "width": 32, "heads": 2, "qk_norm": False, "mlp_width": 50},
    {"layers": 2, "width": 32, "heads": 2, "mlp": False},
    {"kind": "lstm", "layers": 3, "width": 32},
    {"kind": "lstm", "layers": 2, "width": 32, "mlp_width": 40, "tied": False},
    {"kind": "lstm", "layers": 2, "width": 32, "plain": True},
]


@pytest.mark.parametrize("fields", CONFIGS)
def test_parameters_equal_the_modules(fields: dict[str, Any]) -> None:
    config = ModelConfig(**fields)
    module = LanguageModel(config, 77, 16)
    counted = estimate.parameters(config, 77)
    assert counted["total"] == sum(p.numel() for p in module.parameters())
    assert counted["total"] == sum(count for part, count in counted.items() if part != "total")
    mixers = sum(
        p.numel() for name, p in module.named_parameters() if ".mixer." in name and not name.endswith("_norm.weight")
    )
    assert counted["mixers"] == mixers


def test_a_kind_of_ones_own_cannot_be_counted() -> None:
    with pytest.raises(ModelError, match="built"):
        estimate.parameters(ModelConfig(kind="mine"), 77)


@pytest.mark.parametrize("fields", [{}, {"qk_norm": False, "kv_heads": 2}, {"kind": "lstm", "layers": 2, "width": 192}])
def test_memory_is_near_what_a_step_holds(fields: dict[str, Any]) -> None:
    """Weights, gradients and moments exactly; what autograd keeps, within a factor of 2."""
    torch.set_num_threads(1)
    config = RunConfig(model=fields, train={"optimizer": "adamw"})
    module = LanguageModel(config.model, 65, 64)
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept: dict[int, tuple[torch.Tensor, int]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    window = torch.zeros(16, 65, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = module(window[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
    activations = sum(size for _, size in kept.values()) + 2 * logits.nbytes
    loss.backward()
    optimizer = torch.optim.AdamW(module.parameters())
    optimizer.step()
    moments = sum(t.nbytes for state in optimizer.state.values() for t in state.values() if t.dim())
    guess = estimate.memory(config, 65)
    assert guess["weights"] == guess["gradients"] == sum(p.nbytes for p in module.parameters())
    assert guess["optimizer"] == moments
    assert 0.5 < guess["activations"] / activations < 2
    assert guess["total"] == sum(size for part, size in guess.items() if part != "total")


def test_muon_keeps_one_moment_a_hidden_matrix() -> None:
    plain, muon = (estimate.memory(RunConfig(train={"optimizer": o}), 65) for o in ("adamw", "muon"))
    count = estimate.parameters(ModelConfig(), 65)
    assert plain["optimizer"] - muon["optimizer"] == 4 * (count["mixers"] + count["mlps"])


def test_estimating_needs_no_torch() -> None:
    code = "import sys, nbllm.models.estimate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("case", CASES)
def test_muon_takes_the_matrices_that_are_counted(case: str) -> None:
    model = made(case, fresh=True)
    taken = Optimizers(model.module, TrainConfig(optimizer="muon")).muon.momentum
    shape = estimate.Shape.of(model.config, model.objective.task.tokenizer.get_vocab_size())
    assert sum(each.numel() for each in taken.values()) == estimate.hidden_matrices(model.config.model, shape)

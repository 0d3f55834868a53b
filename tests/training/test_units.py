"""Dead parts are found, living ones are not, and the module is left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nbllm.training.checkpoint import generator_states
from nbllm.training.observer import Observer, dead_parts
from nbllm.training.units import DeadPart, constant_share, inspect_units, without_gradient
from tests.training.test_loop import VOCABULARY, Small, run, training_of


class Rectified(nn.Module):
    """A network with a ReLU whose units can be made to die."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.up, self.act, self.down = nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16)
        self.head = nn.Linear(16, VOCABULARY)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        x_BTD = self.embedding(tokens_BT)
        return self.head(x_BTD + self.down(self.act(self.up(x_BTD))))


def test_a_healthy_training_has_no_dead_part() -> None:
    for module in (Small(), Rectified()):
        training = training_of(module, steps=20)
        run(training)
        assert dead_parts(training) == []


def test_units_that_died_are_named_by_layer_with_the_gradient_that_no_longer_comes() -> None:
    module = Rectified()
    with torch.no_grad():
        module.up.bias.fill_(-100.0)  # what a step that was too large does
    training = training_of(module, steps=5)
    run(training)
    found = dead_parts(training)
    assert DeadPart("act", "activations") in found
    assert DeadPart("down", "activations") in found
    assert DeadPart("up", "gradient") in found
    assert not {part.name for part in found} & {"embedding", "head"}
    assert str(found[0]) == "act (all units give the same whatever they read)"


def test_a_dead_part_counts_when_it_was_dead_before_too() -> None:
    observer, dead = Observer(), [DeadPart("act", "activations")]
    assert observer.advice(dead=dead) == ""
    assert "dead part: act (all units give the same" in observer.advice(dead=dead)
    assert observer.advice() == ""
    assert observer.advice(dead=dead) == ""


def test_the_module_is_left_as_it_was() -> None:
    training = training_of(steps=3)
    run(training)
    module = training.module
    before = {name: tensor.clone() for name, tensor in generator_states(module).items()}
    gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    assert gradients
    dead_parts(training)
    assert all(not part._forward_hooks for part in module.modules())
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator_states(module).items())
    assert all(torch.equal(p.grad, g) for p, g in zip(module.parameters(), gradients, strict=True))

    def fails() -> None:
        module(torch.zeros(1, 4, dtype=torch.long))
        raise RuntimeError("a model of the user's own")

    with pytest.raises(RuntimeError):
        inspect_units(module, fails)
    assert all(not part._forward_hooks for part in module.modules())


def test_a_compiled_module_is_looked_into_without_being_compiled_again() -> None:
    compiled = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        compiled.append(graph)
        return graph.forward

    module = Rectified()
    module.compile(backend=backend)
    tokens = torch.zeros(2, 16, dtype=torch.long)
    module(tokens)
    first = len(compiled)
    assert first
    with torch.no_grad():
        module.up.bias.fill_(-100.0)
    assert "act" in {part.name for part in inspect_units(module, lambda: module(tokens))}
    module(tokens)
    assert len(compiled) == first


def test_parts_without_a_gradient_are_not_dead() -> None:
    module = Rectified()
    assert without_gradient(module) == []
    module(torch.arange(8)[None]).sum().backward()
    assert without_gradient(module) == []
    module.up.weight.grad = torch.zeros_like(module.up.weight)
    assert without_gradient(module) == [], "its bias still learns"
    module.up.bias.grad = torch.zeros_like(module.up.bias)
    assert without_gradient(module) == ["up"]
    module.up.requires_grad_(False)
    assert without_gradient(module) == []


def test_a_constant_means_something_only_over_enough_places() -> None:
    assert constant_share(torch.ones(4, 3)) is None
    assert constant_share(torch.ones(4, 8, 3)) == 1.0
    assert constant_share(torch.arange(32.0).reshape(16, 2)) == 0.0
    assert constant_share(torch.full((32, 2), 1e6) + torch.rand(32, 2) * 1e-3) == 1.0, "rounding is no life"
    assert constant_share(torch.ones(32, 2, dtype=torch.long)) is None
    assert constant_share("a word") is None

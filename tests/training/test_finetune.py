"""What is frozen, how fast each part learns and from which step, and weights put into another network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nbllm.errors import ConfigError, ModelError
from nbllm.training.checkpoint import weights
from nbllm.training.events import Step
from nbllm.training.finetune import freeze, layer_rates, unfreeze_steps
from nbllm.training.loop import Progress, Training, train
from nbllm.training.optim import Optimizers
from nbllm.training.transfer import transfer
from tests.contract.cases import Made, batch, made


class Quiet:
    """A control that says nothing."""

    def take(self, step: int) -> list[dict[str, Any]]:
        return []

    def idle(self) -> None:
        raise AssertionError("nothing was paused")


def training(found: Made, steps: int, **settings: Any) -> Training:
    settings = {"weight_decay": 0.0, "schedule": "constant", "warmup": 0, "lr": 1e-3, "clip": 0.0, **settings}
    config = found.config.train.model_copy(update=settings)
    return Training(
        module=found.module, optimizers=Optimizers(found.module, config), objective=found.objective, config=config,
        batch=lambda step: batch(found, seed=step), held_out=lambda: [batch(found, seed=99)],
        progress=Progress(steps=steps, lr=config.lr),
    )  # fmt: skip


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def moved(module: nn.Module, before: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: parameter.detach() - before[name] for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_what_is_frozen_stays_as_it_is(optimizer: str) -> None:
    found = made("clm transformer learned after")
    frozen = freeze(found.module, ["*embedding*", "stack.blocks.0.*"])
    before = copied(found.module)
    list(train(training(found, 3, optimizer=optimizer), Quiet()))
    changes = moved(found.module, before)
    assert frozen
    assert all((changes[name] == 0).all() for name in frozen)
    assert all((change != 0).any() for name, change in changes.items() if name not in frozen)


def test_a_pattern_that_fits_nothing_is_refused_with_a_name_that_does() -> None:
    module = made("clm lstm").module
    with pytest.raises(ConfigError, match=r"No parameter fits train.freeze 'stack.embeding.weight'.*'stack.embedding"):
        freeze(module, ["stack.embeding.weight"])
    with pytest.raises(ConfigError, match=r"fits train.freeze 'nothing'\. Names look like \S+, \S+, \S+, \S+$"):
        freeze(module, ["nothing"])
    with pytest.raises(ConfigError, match="leaves nothing to learn"):
        freeze(module, ["*"])


@pytest.mark.parametrize("case", ["clm transformer learned after", "seq2seq seq2seq", "clm cnn"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_lower_blocks_learn_more_slowly(case: str, optimizer: str) -> None:
    """The first step of each parameter is its share of the step that it makes where all learn alike."""
    alike, slower = made(case), made(case)
    rates = layer_rates(slower.module, 0.5)
    changes = []
    for found, decay in ((alike, 1.0), (slower, 0.5)):
        before = copied(found.module)
        list(train(training(found, 1, layer_decay=decay, optimizer=optimizer), Quiet()))
        changes.append(moved(found.module, before))
    for name, change in changes[0].items():
        torch.testing.assert_close(changes[1][name], change * rates[name], rtol=1e-6, atol=1e-12, msg=name)
    stacks = ("encoder", "decoder") if case.startswith("seq2seq") else ("stack",)
    for stack in stacks:
        assert {rate for name, rate in rates.items() if name.startswith(f"{stack}.blocks.1.")} == {1.0}
        assert {rate for name, rate in rates.items() if name.startswith(f"{stack}.blocks.0.")} == {0.5}
    assert {rate for name, rate in rates.items() if "embedding" in name} == {0.25}


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("case", ["classification transformer", "seq2seq seq2seq additive", "clm lstm plain"])
def test_blocks_wait_for_their_step_from_the_top_down(case: str, optimizer: str) -> None:
    found = made(case)
    every = 2
    starts = unfreeze_steps(found.module, every)
    before = copied(found.module)
    for event in train(training(found, 9, unfreeze_every=every, optimizer=optimizer), Quiet()):
        if isinstance(event, Step):
            for name, change in moved(found.module, before).items():
                assert bool((change != 0).any()) == (event.step > starts[name]), (name, event.step)
    lowest = 0 if case == "clm lstm plain" else every  # a plain tied network has nothing above its blocks
    steps = {start for name, start in starts.items() if "blocks.1." in name}
    assert steps == {lowest}
    assert {start for name, start in starts.items() if "blocks.0." in name} == {lowest + every}
    assert {start for name, start in starts.items() if "embedding" in name} == {lowest + 2 * every}
    assert {start for name, start in starts.items() if name.startswith(("head", "bridges"))} <= {0}


def put(child: Made, parent: Made) -> Any:
    return transfer(child.module, weights(parent.module), "'parent'", parent.head)


TOKENS = torch.randint(2, 10, (2, 7), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("clm transformer", "classification transformer causal"),
        ("clm lstm", "classification lstm causal"),
        ("mlm bert", "classification bert"),
        ("mlm gru", "classification gru"),
        ("nsp bert", "classification bert several"),
        ("classification bert", "mlm bert"),
    ],
)
def test_a_stack_goes_on_under_a_new_head(parent: str, child: str) -> None:
    old, new = made(parent), made(child, seed=5)
    before = copied(new.module)
    done = put(new, old)
    vocabulary = min(old.module.stack.embedding.num_embeddings, new.module.stack.embedding.num_embeddings)
    assert vocabulary > 10
    torch.testing.assert_close(new.module.stack(TOKENS)[0], old.module.stack(TOKENS)[0], rtol=0, atol=0)
    assert {name for name in done.taken if name.startswith("stack.")} == {
        name for name in weights(new.module) if name.startswith("stack.")
    }
    after = copied(new.module)
    assert done.fresh
    assert {name for name in done.fresh if not torch.equal(after[name], before[name])} == set()
    head = {name for name in weights(new.module) if name.startswith("head.") and "norm" not in name}
    assert head <= set(done.fresh), "the answers of the parent are not the child's"


@pytest.mark.parametrize(
    ("parent", "choice"),
    [
        ("clm transformer", {"model.positions": "rope", "model.norm": "rms", "model.qk_norm": True}),
        ("clm lstm", {"model.encoder": "2*lstm", "model.decoder": "2*lstm", "model.norm": "rms"}),
    ],
)
def test_a_language_model_becomes_a_decoder(parent: str, choice: dict[str, Any]) -> None:
    same = {"model.embedding_norm": False, "model.bias": False, "model.activation": "swiglu", "model.norm_eps": 1e-6}
    old, new = made(parent), made("seq2seq seq2seq", seed=5, **same, **choice)
    done = put(new, old)
    own = new.module.decoder.state_dict()
    for name, tensor in old.module.stack.state_dict().items():
        if name != "norm.weight":
            assert torch.equal(own[name], tensor), name
    assert torch.equal(new.module.encoder.embedding.weight, old.module.stack.embedding.weight), "they share it"
    assert any(".cross" in name for name in done.fresh)
    assert all(name.startswith("encoder.blocks") for name in done.fresh if ".mixer." in name)


def test_an_encoder_becomes_the_encoder_of_two_stacks() -> None:
    same = {"model.positions": "learned", "model.norm": "layer", "model.activation": "gelu", "model.bias": True}
    same |= {"model.qk_norm": False, "model.embedding_norm": True, "model.norm_eps": 1e-5, "model.first_norm": True}
    old, new = (
        made("mlm bert", **same),
        made("seq2seq seq2seq", seed=5, **{k: v for k, v in same.items() if "first" not in k}),
    )
    put(new, old)
    tokens = TOKENS[:, :5]
    torch.testing.assert_close(new.module.encode(tokens)[0].x, old.module.stack(tokens)[0], rtol=0, atol=0)


def test_two_stacks_become_one_again() -> None:
    """A language model takes the decoder, an encoder the encoder."""
    old = made("elbo vae gru")
    lm, encoder = made("clm gru", seed=5), made("mlm gru", seed=5)
    put(lm, old)
    put(encoder, old)
    for new, half in ((lm, old.module.decoder), (encoder, old.module.encoder)):
        for name, tensor in half.blocks.state_dict().items():
            assert torch.equal(new.module.stack.blocks.state_dict()[name], tensor), name


@pytest.mark.parametrize("case", ["clm transformer grouped", "clm rnn relu", "mlm bert"])
def test_a_larger_vocabulary_keeps_the_rows_that_both_have(case: str) -> None:
    old = made(case)
    new = made(case, seed=5)
    from nbllm.models.factory import Sizes, build

    vocabulary = old.objective.task.tokenizer.get_vocab_size()
    module = build(new.config.model, Sizes(vocabulary + 4, new.config.train.context), new.head).double()
    done = transfer(module, weights(old.module), "'parent'", old.head)
    assert not done.fresh
    for name, tensor in weights(old.module).items():
        assert torch.equal(module.state_dict()[name][: len(tensor)], tensor), name
    shorter = transfer(made(case, seed=5).module, weights(module), "'parent'", old.head)
    assert not shorter.fresh


def test_what_fits_nowhere_is_refused_with_the_shape_that_differs() -> None:
    with pytest.raises(ModelError, match=r"No block of 'parent' fits this model: .stack.* has shape"):
        transfer(made("clm transformer").module, weights(made("clm transformer", **{"model.width": 24}).module),
                 "'parent'", "next")  # fmt: skip
    with pytest.raises(ModelError, match="No block of 'parent' fits this model"):
        put(made("clm lstm"), made("clm transformer"))

"""What every family promises under every objective that it learns.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nbllm.models import estimate
from nbllm.models.estimate import Shape
from nbllm.objectives.base import IGNORED, Batch
from nbllm.objectives.evaluate import evaluate
from nbllm.training import update
from nbllm.training.loop import Progress, Training
from nbllm.training.optim import Optimizers
from nbllm.training.parallel import Peers
from tests.contract.cases import CASES, Made, batch, cases, configure, made, row, writing

EXACT = {"rtol": 0.0, "atol": 1e-8}


def whole_loss(found: Made, each: Batch) -> tuple[Tensor, int]:
    """The sum of the loss over a batch's answers, and their number."""
    loss, _ = found.objective.loss(found.module, each, 0)
    return loss, found.objective.weight(each)


@pytest.mark.parametrize("case", CASES)
def test_shapes_and_counts(case: str) -> None:
    found = made(case)
    each = batch(found)
    rows = len(next(iter(each.values())))
    vocabulary = (found.objective.task.target_tokenizer or found.objective.task.tokenizer).get_vocab_size()
    if found.head == "labels":
        assert found.module(each["tokens"], each["real"], each["segments"]).shape == (rows, found.objective.outputs)
    elif found.head in ("tags", "ends"):
        assert found.module(each["tokens"], each["real"]).shape == (*each["tokens"].shape, found.objective.outputs)
    elif found.head == "masked":
        logits = found.module(each["tokens"], each.get("real"), each.get("segments"))
        assert logits.shape == (*each["tokens"].shape, vocabulary)
    else:
        written = writing(found, each)
        assert written.whole(written.tokens).shape == (*written.tokens.shape, vocabulary)
    logits_NV, targets_N = found.objective.predict(found.module, each)
    assert len(logits_NV) == len(targets_N)
    loss, told = found.objective.loss(found.module, each, 0)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in told.values())
    shape = Shape(
        found.objective.task.tokenizer.get_vocab_size(), found.config.train.context, found.head,
        vocabulary if found.config.tokenizer.separate else None, found.config.train.target_context,
        found.objective.outputs,
    )  # fmt: skip
    counted = estimate.parameters(found.config.model, shape)["total"]
    assert counted == sum(parameter.numel() for parameter in found.module.parameters())


@pytest.mark.parametrize("case", CASES)
def test_every_weight_is_reached_by_the_gradient(case: str) -> None:
    """What never gets a gradient is a part that was built and is not used."""
    found = made(case)
    loss, _ = found.objective.loss(found.module, batch(found), 1000)
    loss.backward()
    without = {name for name, p in found.module.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    if found.config.objective.kind == "nsp":
        without = {name for name in without if not name.startswith("head.")}  # the words' head waits for another run
    elif found.head == "masked" and not found.config.objective.next_sentence:
        without = {name for name in without if not name.startswith("pair_head.")}
    elif case == "classification gru first":  # the forward units of the first place have no past
        without -= {"stack.blocks.1.mixer.rnn.weight_hh_l0"}
    elif found.config.model.cross == "none":  # the last state goes over, not what the final norm gives
        without -= {"encoder.norm.weight", "encoder.norm.bias"}
    assert not without


@pytest.mark.parametrize("case", cases("next", "target", "latent"))
def test_nothing_leaks_from_the_future(case: str) -> None:
    found = made(case)
    each = batch(found)
    written = writing(found, each)
    length = written.tokens.shape[1]
    place = length // 2
    if found.config.objective.kind == "prefix-lm":
        each["prefix"] = torch.full_like(each["prefix"], 4)  # places behind the prefix see no more than the past
        gradient = embedding_gradient(written.stack, lambda: logits_of(found, each)[:, place])
        inside = embedding_gradient(written.stack, lambda: logits_of(found, each)[:, 1])
        assert (inside[:, 2:4].abs().amax(-1) > 0).all()
        assert (inside[:, 4:] == 0).all()
    else:
        gradient = embedding_gradient(written.stack, lambda: written.whole(written.tokens)[:, place])
    assert (gradient[:, place + 1 :] == 0).all()
    assert (gradient[:, place].abs().amax(-1) > 0).all()


def logits_of(found: Made, each: Batch) -> Tensor:
    """The logits of a prefix model, over whole windows: logits_BTV."""
    everything = {**each, "targets": each["targets"].clamp(min=0)}
    return found.objective.predict(found.module, everything)[0].unflatten(0, each["tokens"].shape)


def embedding_gradient(stack: Any, forward: Any) -> Tensor:
    """The gradient of the sum of an answer with respect to what the embedding gave: (B, T, D)."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _arguments: object, output: Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    hook = stack.embedding.register_forward_hook(keep)
    try:
        forward().square().sum().backward()
    finally:
        hook.remove()
    gradient = seen[0].grad
    assert gradient is not None
    return gradient


@pytest.mark.parametrize("case", cases("masked", "labels", "tags"))
def test_a_two_way_network_sees_both_sides_and_a_one_way_network_one(case: str) -> None:
    found = made(case)
    tokens = torch.randint(2, 10, (2, 9), generator=torch.Generator().manual_seed(0))
    gradient = embedding_gradient(found.module.stack, lambda: found.module.stack(tokens)[0][:, 4]).abs().amax(-1)
    assert (gradient[:, 3:5] > 0).all()
    assert (gradient[:, 5] > 0).all() == found.config.model.bidirectional
    if not found.config.model.bidirectional:
        assert (gradient[:, 5:] == 0).all()


@pytest.mark.parametrize("case", cases("target"))
def test_a_decoder_sees_the_whole_source_and_nothing_that_fills_it(case: str) -> None:
    found = made(case)
    each = batch(found)
    gradient = embedding_gradient(
        found.module.encoder, lambda: found.module(each["source"], each["inputs"], each["real"])[:, -1]
    ).abs()
    if found.config.objective.kind == "seq2seq":
        assert not each["real"].all()
    assert (gradient.amax(-1)[each["real"]] > 0).all()
    assert (gradient.amax(-1)[~each["real"]] == 0).all()


@pytest.mark.parametrize("case", cases("next", "target", "latent"))
@pytest.mark.parametrize("pieces", ["one by one", "ragged"])
def test_step_by_step_equals_the_whole(case: str, pieces: str) -> None:
    found = made(case)
    found.module.eval()
    written = writing(found, batch(found))
    rows, length = written.tokens.shape
    sizes = [1] * length if pieces == "one by one" else [4, 1, 2, length - 7] if length > 7 else [2, length - 2]
    with torch.no_grad():
        whole = written.whole(written.tokens)
        state, place = written.begin(), 0
        for size in sizes:
            tokens = written.tokens[:, place : place + size]
            place += size
            logits_BV, state = written.step(tokens, state, torch.arange(rows))
            torch.testing.assert_close(logits_BV, whole[:, place - 1], **EXACT)


@pytest.mark.parametrize("case", cases("next", "target", "latent"))
def test_select_goes_on_with_other_rows(case: str) -> None:
    found = made(case)
    found.module.eval()
    written = writing(found, batch(found))
    rows = torch.tensor([2, 0, 0, 3, 1])
    with torch.no_grad():
        state = written.begin()
        _, state = written.step(written.tokens[:, :3], state, torch.arange(len(written.tokens)))
        expected = written.whole(written.tokens)
        state = found.module.select(state, rows)
        for place in range(3, written.tokens.shape[1]):
            logits_BV, state = written.step(written.tokens[rows, place : place + 1], state, rows)
            torch.testing.assert_close(logits_BV, expected[rows, place], **EXACT)


@pytest.mark.parametrize("case", [c for c in CASES if "real" in batch(made(c))])
def test_padding_never_changes_a_result(case: str) -> None:
    """A row alone, without what fills it up, gives the logits and the loss that it gives beside longer ones."""
    found = made(case)
    found.module.eval()
    each = batch(found)
    assert not each["real"].all() or found.config.objective.kind == "span"
    losses, weights = [], []
    with torch.no_grad():
        together = found.objective.predict(found.module, each)[0]
        alone = []
        for index in range(len(each["real"])):
            trimmed = row(each, index, trim=True)
            assert trimmed["real"].all()
            alone.append(found.objective.predict(found.module, trimmed)[0])
            loss, weight = whole_loss(found, trimmed)
            padded_loss, _ = whole_loss(found, row(each, index, trim=False))
            torch.testing.assert_close(loss, padded_loss, rtol=0, atol=1e-6 if loss.dtype == torch.float32 else 1e-8)
            losses.append(loss * weight)
            weights.append(weight)
        torch.testing.assert_close(torch.cat(alone), together, **EXACT)
        if not found.config.objective.next_sentence:
            total = torch.stack(losses).sum() / sum(weights)
            torch.testing.assert_close(whole_loss(found, each)[0].double(), total.double(), rtol=0, atol=1e-6)
        filled = {**each}
        for name in {"tokens", "source"} & set(each):  # what stands in the filling is never read
            filled[name] = torch.where(each["real"], each[name], torch.full_like(each[name], 3))
        torch.testing.assert_close(found.objective.predict(found.module, filled)[0], together, **EXACT)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_in_parts_is_the_same_step(case: str) -> None:
    """Whether one process works through its parts, or several through their rows."""
    more = {"objective.free_bits": 0.0} if case.startswith("elbo") else {}  # they cost by the whole batch's mean
    found = made(case, **more)
    each = batch(found, rows=6)
    loss, wanted = gradients(found, each, 1)
    pair = [gradients(found, each, 1, Alone(rank, 2, 0)) for rank in range(2)]
    summed = {name: sum((by_name[name] for _, by_name in pair), torch.zeros(())) for name in wanted}
    for seen, by_name in [gradients(found, each, 3), gradients(found, each, 6), (sum(s for s, _ in pair), summed)]:
        assert seen == pytest.approx(loss, abs=1e-6)
        for name, gradient in by_name.items():
            torch.testing.assert_close(gradient, wanted[name], rtol=0, atol=2e-6)


class Alone(Peers):
    """One of several processes, whose sums are made by the test."""

    def add_up(self, parameters: Any, total: float, sums: dict[str, float]) -> tuple[float, dict[str, float]]:
        return total, sums


def gradients(found: Made, each: Batch, parts: int, peers: Peers | None = None) -> tuple[float, dict[str, Tensor]]:
    """The loss and the gradients of one step of the loop, worked through in so many parts."""
    config = found.config.train.model_copy(update={"clip": 0.0})
    training = Training(
        module=found.module, optimizers=Optimizers(found.module, config), objective=found.objective, config=config,
        batch=lambda step: each, held_out=list, progress=Progress(step=1, steps=10, accumulate=parts), peers=peers,
    )  # fmt: skip
    loss, _, _ = update.gradients(training)
    return loss, {n: p.grad.clone() for n, p in found.module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("case", CASES)
def test_an_evaluation_is_the_same_in_batches_of_any_size(case: str) -> None:
    found = made(case)
    each = batch(found, rows=6)
    one, few = (
        evaluate(found.objective, found.module, [dict(zip(each, rows, strict=True)) for rows in cut])
        for cut in ([tuple(each.values())], list(zip(*(t.chunk(3) for t in each.values()), strict=True)))
    )
    assert few[0] == pytest.approx(one[0], abs=1e-6)
    assert few[1].keys() == one[1].keys()
    for name, value in one[1].items():
        if name not in ("active_units", "perplexity"):
            assert few[1][name] == pytest.approx(value, abs=1e-5), name


@pytest.mark.parametrize("case", CASES)
def test_it_overfits_one_batch(case: str) -> None:
    """From the fresh weights, whose guess is near to even, to nearly no loss."""
    torch.set_num_threads(1)
    found = made(case, fresh=True, **{"model.dropout": 0.0})
    each = batch(found, double=False)
    each = {n: t[:3] for n, t in each.items()}
    found.module.train()
    found.objective.task.config.label_smoothing = 0.0
    found.objective.task.config.word_dropout = 0.0
    optimizer = torch.optim.AdamW(found.module.parameters(), lr=0.02, weight_decay=0.0, betas=(0.9, 0.95))
    losses = []
    for _ in range(250):
        loss, _ = found.objective.loss(found.module, each, 0)  # step 0: the weight of a KL term is still zero
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < 0.02:
            break
    choices = 2 if found.config.objective.multi_label else max(2, found.objective.outputs)
    if found.config.objective.kind == "clm":
        choices = found.objective.task.tokenizer.get_vocab_size()
    known = found.config.objective.kind in ("nsp", "classification", "clm")
    if known and not (found.config.model.plain or found.config.model.embedding_scale):
        assert losses[0] == pytest.approx(math.log(choices), abs=0.4)
    assert losses[-1] < 0.1, (losses[0], losses[-1])


@pytest.mark.parametrize("case", CASES)
def test_a_configuration_comes_back_from_its_file(case: str) -> None:
    config = configure(case)
    assert type(config).from_yaml(config.to_yaml()) == config


def test_ignored_places_do_not_count() -> None:
    found = made("mlm bert")
    each = batch(found)
    each["targets"] = torch.full_like(each["targets"], IGNORED)
    loss, _ = found.objective.loss(found.module, each, 0)
    assert loss.item() == 0.0
    loss.backward()
    assert np.isfinite(loss.item())

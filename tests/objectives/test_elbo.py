"""The evidence lower bound against its formula.

B examples, T tokens, N answers that count, V vocabulary.
"""

from __future__ import annotations

import torch

from nbllm.models.vae import kl_to_prior
from nbllm.objectives.base import IGNORED
from tests.contract.cases import batch, made


def test_the_bound_is_reconstruction_and_what_the_latent_costs() -> None:
    found = made("elbo vae", **{"objective.kl_steps": 10, "objective.free_bits": 0.0, "objective.kl_weight": 2.0})
    each = batch(found)
    module = found.module
    mean, log_var = module.encode(each["tokens"], each["real"])
    z = mean + each["noise"] * (0.5 * log_var).exp()
    counts = each["targets"] != IGNORED
    kl = kl_to_prior(mean, log_var).sum(1)
    tokens, sentences = int(counts.sum()), len(kl)

    def bound(inputs: torch.Tensor, beta: float) -> torch.Tensor:
        logs = module.decode(inputs, z).log_softmax(-1)
        nats = -logs.gather(2, each["targets"].clamp(min=0).unsqueeze(-1)).squeeze(-1)[counts].sum()
        return (nats + beta * kl.sum()) / tokens

    module.eval()
    loss, told = found.objective.loss(module, each, 0)
    torch.testing.assert_close(loss, bound(each["inputs"], 1.0), rtol=0, atol=1e-8)
    torch.testing.assert_close(told["kl"], kl.mean(), rtol=0, atol=1e-8)
    torch.testing.assert_close(told["reconstruction"] + told["kl"], loss * tokens / sentences, rtol=0, atol=1e-8)
    module.train()
    hidden = found.objective.hidden  # type: ignore[attr-defined]
    dropped = each["inputs"].masked_fill(each["draws"] < 0.2, hidden)
    assert (dropped[:, 0] == each["inputs"][:, 0]).all()
    assert (dropped != each["inputs"]).any()
    for step, beta in ((0, 0.0), (5, 1.0), (10, 2.0), (99, 2.0)):
        loss, _ = found.objective.loss(module, each, step)
        torch.testing.assert_close(loss, bound(dropped, beta), rtol=0, atol=1e-8)


def test_free_bits_cost_nothing_up_to_their_number_a_unit() -> None:
    found = made("elbo vae", **{"objective.kl_steps": 0, "objective.free_bits": 0.7, "objective.word_dropout": 0.0})
    each = batch(found)
    module = found.module.train()
    kl = kl_to_prior(*module.encode(each["tokens"], each["real"])).mean(0)
    found.objective.task.config.free_bits = 0.0
    plain = found.objective.loss(module, each, 5)[0]
    found.objective.task.config.free_bits = threshold = float(kl.detach().median())
    cost = (kl.clamp(min=threshold).sum() - kl.sum()) * len(each["tokens"]) / found.objective.weight(each)
    assert cost > 0
    torch.testing.assert_close(found.objective.loss(module, each, 5)[0], plain + cost, rtol=0, atol=1e-8)

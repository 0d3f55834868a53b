"""The language model: causal, the same numbers whole and step by step, and equal to torch's and the written LSTM."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.language_model import LanguageModel
from nbllm.models.mixers.lstm import LSTM

V, T = 19, 12
KINDS: dict[str, dict[str, Any]] = {
    "transformer": {"layers": 2, "width": 24, "heads": 3},
    "grouped": {"layers": 2, "width": 24, "heads": 4, "kv_heads": 2, "head_width": 8, "tied": False},
    "no-qk-norm": {"layers": 2, "width": 24, "heads": 2, "qk_norm": False},
    "lstm": {"kind": "lstm", "layers": 2, "width": 24},
    "lstm-mlp": {"kind": "lstm", "layers": 2, "width": 24, "mlp_width": 32, "tied": False},
    "lstm-plain": {"kind": "lstm", "layers": 2, "width": 24, "plain": True},
}


@pytest.fixture(params=KINDS, autouse=False)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return ModelConfig(**KINDS[request.param])


def randomised(config: ModelConfig, context: int = T) -> LanguageModel:
    """A float64 model in which no weight is zero, as a trained one has."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = LanguageModel(config, V, context).double()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3 + 0.1
    return module


def tokens(batch: int = 3, length: int = T) -> torch.Tensor:
    return torch.randint(V, (batch, length), generator=torch.Generator().manual_seed(1))


def test_nothing_leaks_from_the_future(config: ModelConfig) -> None:
    module = randomised(config)
    seen: list[torch.Tensor] = []

    def keep(_module: nn.Module, _arguments: object, output: torch.Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    module.stack.embedding.register_forward_hook(keep)
    module(tokens())[:, 5].sum().backward()
    gradient = seen[0].grad
    assert gradient is not None
    assert (gradient[:, 6:] == 0).all()
    assert (gradient[:, :6].abs().amax(-1) > 0).all()


@pytest.mark.parametrize("pieces", [[1] * T, [5, 1, 1, 3, 2], [T]])
def test_step_by_step_equals_the_whole_window(config: ModelConfig, pieces: list[int]) -> None:
    module = randomised(config).eval()
    whole = module(tokens())
    state = module.init_state(3, T)
    with torch.no_grad():
        found = []
        for piece in tokens().split(pieces, dim=1):
            x_BTD, state = module.stack(piece, state=state)
            found.append(module.head(x_BTD))
    torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=0, atol=1e-8)


def test_step_gives_the_logits_after_the_last_token(config: ModelConfig) -> None:
    module = randomised(config).eval()
    logits_BV, state = module.step(tokens()[:, :7], module.init_state(3, T))
    torch.testing.assert_close(logits_BV, module(tokens())[:, 6], rtol=0, atol=1e-8)
    logits_BV, _ = module.step(tokens()[:, 7:], state)
    torch.testing.assert_close(logits_BV, module(tokens())[:, -1], rtol=0, atol=1e-8)


def test_a_fresh_model_expects_nothing_and_learns_one_batch(config: ModelConfig) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = LanguageModel(config, V, T)
    window = tokens(length=T + 1)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.02, weight_decay=0.0)
    losses = []
    for _ in range(120):
        loss = F.cross_entropy(module(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert abs(losses[0] - math.log(V)) < 0.35
    assert losses[-1] < 0.1


def test_the_same_seed_gives_the_same_weights(config: ModelConfig) -> None:
    torch.manual_seed(3)
    first = LanguageModel(config, V, T).state_dict()
    torch.manual_seed(3)
    second = LanguageModel(config, V, T).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any("rope" in name for name in first)


def test_dropout_only_while_training() -> None:
    module = randomised(ModelConfig(**KINDS["transformer"], dropout=0.5))
    assert not torch.equal(module(tokens()), module(tokens()))
    module.eval()
    assert torch.equal(module(tokens()), module(tokens()))


def test_places_beyond_the_context_are_computed_when_asked() -> None:
    config = ModelConfig(**KINDS["transformer"])
    short, long = randomised(config, context=4), randomised(config, context=64)
    with torch.inference_mode():
        assert torch.equal(short(tokens()), long(tokens()))
    short(tokens()).sum().backward()  # a table grown while generating serves training too


@pytest.mark.parametrize("kind", ["grouped", "lstm"])
def test_trains_in_bfloat16(kind: str) -> None:
    module = randomised(ModelConfig(**KINDS[kind])).float()
    wide = module(tokens())
    with torch.autocast("cpu", torch.bfloat16):
        narrow = module(tokens())
    assert (narrow - wide).abs().max() < 0.05 * wide.abs().max()
    narrow.float().square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


def test_compiles_as_one_graph() -> None:
    module = randomised(ModelConfig(**KINDS["grouped"]))
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(tokens()), module(tokens()), rtol=0, atol=1e-8)


def test_plain_lstm_equals_torch() -> None:
    module = randomised(ModelConfig(**KINDS["lstm-plain"]))
    reference = nn.LSTM(24, 24, num_layers=2, batch_first=True).double()
    for layer, mixer in enumerate(module.mixers()):
        assert isinstance(mixer, LSTM)
        for name, weight in mixer.rnn.named_parameters():
            getattr(reference, name.replace("l0", f"l{layer}")).data = weight.data
    embedding = module.stack.embedding
    expected = reference(embedding(tokens()))[0] @ embedding.weight.T
    torch.testing.assert_close(module(tokens()), expected, rtol=0, atol=1e-8)


def test_lstm_equals_the_written_equations() -> None:
    module = randomised(ModelConfig(**{**KINDS["lstm-plain"], "layers": 1}))
    mixer = module.mixers()[0]
    assert isinstance(mixer, LSTM)
    embedding = module.stack.embedding
    weight_ih, weight_hh, bias_ih, bias_hh = mixer.rnn.all_weights[0]
    W = dict(zip("ifgo", weight_ih.chunk(4), strict=True))
    U = dict(zip("ifgo", weight_hh.chunk(4), strict=True))
    b = dict(zip("ifgo", (bias_ih + bias_hh).chunk(4), strict=True))
    h = c = torch.zeros(24, dtype=torch.float64)
    expected = []
    for x in embedding(tokens(1))[0]:
        a = {gate: W[gate] @ x + U[gate] @ h + b[gate] for gate in "ifgo"}
        c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
        h = torch.sigmoid(a["o"]) * torch.tanh(c)
        expected.append(embedding.weight @ h)
    torch.testing.assert_close(module(tokens(1))[0], torch.stack(expected), rtol=0, atol=1e-8)


def test_lstm_begins_orthogonal_with_forget_bias_one() -> None:
    mixer = LSTM(16)
    mixer.init_weights()
    _, weight_hh, bias_ih, bias_hh = mixer.rnn.all_weights[0]
    for gate in weight_hh.detach().chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(16), rtol=0, atol=1e-5)
    bias = (bias_ih + bias_hh).detach()
    assert bias.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32


def test_plain_has_no_mlp() -> None:
    with pytest.raises(ValueError, match="plain network has no MLP"):
        ModelConfig(kind="lstm", plain=True, mlp_width=32)
    assert not any("mlp" in name for name, _ in randomised(ModelConfig(**KINDS["lstm-plain"])).named_parameters())


def test_attention_alone_has_no_mlp() -> None:
    module = randomised(ModelConfig(layers=2, width=24, mlp=False))
    assert not any("mlp" in name for name, _ in module.named_parameters())
    with pytest.raises(ValueError, match="mlp: false means no MLP"):
        ModelConfig(mlp=False, mlp_width=32)


def test_a_cache_refuses_more_than_it_was_made_for() -> None:
    module = randomised(ModelConfig(**KINDS["transformer"]))
    with pytest.raises(AssertionError, match="cache for 4"):
        module.step(tokens(), module.init_state(3, 4))

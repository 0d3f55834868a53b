"""Each part against torch's own and against its published equations, written out step by step, in float64.

B batch, T tokens, D width, U units of one direction.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbllm.config import ModelConfig
from nbllm.models.classifier import pooled
from nbllm.models.mixers.base import Memory
from nbllm.models.mixers.conv import Conv
from nbllm.models.mixers.cross import CrossAttention
from nbllm.models.mixers.gru import GRU
from nbllm.models.mixers.lstm import LSTM
from nbllm.models.mixers.rnn import RNN
from nbllm.models.positions import Sinusoidal, sinusoids
from nbllm.models.rope import Rope
from nbllm.models.vae import kl_to_prior
from tests.contract.cases import batch, made, randomised

B, T, D = 3, 7, 6
EXACT = {"rtol": 0.0, "atol": 1e-8}
CELLS: dict[str, tuple[Any, Any]] = {"rnn": (RNN, nn.RNN), "gru": (GRU, nn.GRU), "lstm": (LSTM, nn.LSTM)}


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rnn_by_hand(x_BTD: Tensor, W: Tensor, U: Tensor, b: Tensor, relu: bool = False) -> Tensor:
    """h_t = f(W x_t + U h_{t-1} + b) (Elman 1990)."""
    h, found = torch.zeros(len(x_BTD), U.shape[1], dtype=x_BTD.dtype), []
    for t in range(x_BTD.shape[1]):
        a = x_BTD[:, t] @ W.T + h @ U.T + b
        h = a.clamp(min=0) if relu else torch.tanh(a)
        found.append(h)
    return torch.stack(found, 1)


def lstm_by_hand(x_BTD: Tensor, W: Tensor, U: Tensor, b: Tensor) -> Tensor:
    """Hochreiter and Schmidhuber 1997 with forget gates: gates i, f, g, o."""
    units = U.shape[1]
    h = c = torch.zeros(len(x_BTD), units, dtype=x_BTD.dtype)
    found = []
    for t in range(x_BTD.shape[1]):
        part = [
            x_BTD[:, t] @ W[n * units : (n + 1) * units].T
            + h @ U[n * units : (n + 1) * units].T
            + b[n * units : (n + 1) * units]
            for n in range(4)
        ]
        i, f, o = (1 / (1 + torch.exp(-part[n])) for n in (0, 1, 3))
        c = f * c + i * torch.tanh(part[2])
        h = o * torch.tanh(c)
        found.append(h)
    return torch.stack(found, 1)


def gru_by_hand(x_BTD: Tensor, W: Tensor, U: Tensor, b_in: Tensor, b_at: Tensor) -> Tensor:
    """Cho et al. 2014, the reset gate behind the matrix: gates r, z, n."""
    units = U.shape[1]
    h, found = torch.zeros(len(x_BTD), units, dtype=x_BTD.dtype), []
    rows = [slice(n * units, (n + 1) * units) for n in range(3)]
    for t in range(x_BTD.shape[1]):
        into = [x_BTD[:, t] @ W[r].T + b_in[r] for r in rows]
        at = [h @ U[r].T + b_at[r] for r in rows]
        r, z = (1 / (1 + torch.exp(-(into[n] + at[n]))) for n in (0, 1))
        n = torch.tanh(into[2] + r * at[2])
        h = (1 - z) * n + z * h
        found.append(h)
    return torch.stack(found, 1)


def by_hand(kind: str, x_BTD: Tensor, weights: list[Tensor], relu: bool = False) -> Tensor:
    W, U, b_in, b_at = weights
    if kind == "gru":
        return gru_by_hand(x_BTD, W, U, b_in, b_at)
    if kind == "lstm":
        return lstm_by_hand(x_BTD, W, U, b_in + b_at)
    return rnn_by_hand(x_BTD, W, U, b_in + b_at, relu)


@pytest.mark.parametrize("two_way", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_a_recurrent_layer_equals_torchs_and_its_equations(kind: str, two_way: bool) -> None:
    ours, theirs = CELLS[kind]
    mixer = randomised(ours(D, two_way).double())
    units = D // 2 if two_way else D
    reference = theirs(D, units, batch_first=True, bidirectional=two_way).double()
    reference.load_state_dict(mixer.rnn.state_dict())
    x_BTD = numbers(B, T, D)
    found, state = mixer(x_BTD)
    assert state is None
    torch.testing.assert_close(found, reference(x_BTD)[0], **EXACT)
    forward = by_hand(kind, x_BTD, mixer.rnn.all_weights[0])
    if two_way:
        backward = by_hand(kind, x_BTD.flip(1), mixer.rnn.all_weights[1]).flip(1)
        forward = torch.cat((forward, backward), dim=2)
    torch.testing.assert_close(found, forward, **EXACT)
    torch.testing.assert_close(mixer.gates(x_BTD)["hidden"], forward, **EXACT)


def test_a_simple_layer_with_relu() -> None:
    mixer = randomised(RNN(D, nonlinearity="relu").double())
    x_BTD = numbers(B, T, D)
    torch.testing.assert_close(mixer(x_BTD)[0], by_hand("rnn", x_BTD, mixer.rnn.all_weights[0], relu=True), **EXACT)
    torch.testing.assert_close(mixer.gates(x_BTD)["hidden"], mixer(x_BTD)[0], **EXACT)


@pytest.mark.parametrize("case", ["preset textbook-lstm", "clm rnn", "clm gru", "clm lstm"])
def test_the_textbook_network_equals_its_equations(case: str) -> None:
    """Embedding, recurrent layer, dense: logits = V h_t + c, and log softmax of them in the loss."""
    more = {"model.plain": True, "model.tied": False, "model.layers": 1}
    found = made(case, **({} if case.startswith("preset") else more))
    each = batch(found)
    module, kind = found.module, found.config.model.kind
    assert [name for name, _ in module.named_parameters()] == [
        "stack.embedding.weight",
        *(f"stack.blocks.0.mixer.rnn.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        "head.linear.weight",
        "head.linear.bias",
    ]
    x_BTD = module.stack.embedding.weight[each["tokens"]]
    hidden = by_hand(kind, x_BTD, module.stack.blocks[0].mixer.rnn.all_weights[0])
    logits = hidden @ module.head.linear.weight.T + module.head.linear.bias
    torch.testing.assert_close(module(each["tokens"]), logits, **EXACT)
    shares = logits.exp() / logits.exp().sum(-1, keepdim=True)
    nats = [
        -math.log(shares[b, t, each["targets"][b, t]].item())
        for b in range(logits.shape[0])
        for t in range(logits.shape[1])
    ]
    assert found.objective.loss(module, each, 0)[0].item() == pytest.approx(sum(nats) / len(nats), abs=1e-8)


def test_the_two_way_textbook_network_joins_its_last_states() -> None:
    found = made("preset textbook-bilstm")
    each = batch(found)
    module = found.module
    weights = module.stack.blocks[0].mixer.rnn.all_weights
    logits = found.objective.predict(module, each)[0]
    for row in range(len(logits)):
        tokens = each["tokens"][row, : int(each["real"][row].sum())]
        x_1TD = module.stack.embedding.weight[tokens][None]
        both = zip((x_1TD, x_1TD.flip(1)), weights, strict=True)
        ends = [lstm_by_hand(x, W, U, b + c)[0, -1] for x, (W, U, b, c) in both]
        expected = module.head.weight @ torch.cat(ends) + module.head.bias
        torch.testing.assert_close(logits[row], expected, **EXACT)


def test_the_textbook_encoder_and_decoder_hand_over_their_state() -> None:
    """The decoder's first state is the encoder's last; it sees nothing else of the source (Sutskever et al. 2014)."""
    found = made("preset textbook-seq2seq")
    each = batch(found)
    module = found.module
    reader, writer = (part.blocks[0].mixer.rnn for part in (module.encoder, module.decoder))
    for row in range(len(each["source"])):
        source = each["source"][row, : int(each["real"][row].sum())]
        _, state = reader(module.encoder.embedding(source)[None])
        y_1TD, _ = writer(module.decoder.embedding(each["inputs"][row])[None], state)
        expected = module.head.linear(y_1TD[0])
        logits = module(each["source"], each["inputs"], each["real"])[row]
        torch.testing.assert_close(logits, expected, **EXACT)


def test_a_two_way_encoder_hands_over_through_its_bridge() -> None:
    """tanh(W [forward; backward] + b), a matrix for the hidden state and one for the cell."""
    found = made("seq2seq seq2seq lstm")
    source = torch.randint(2, 9, (2, 5), generator=torch.Generator().manual_seed(0))
    _, finals = found.module.encode(source)
    block, bridge = found.module.encoder.blocks[0], found.module.bridges[0]
    _, (hidden_2BU, cell_2BU) = block.mixer.rnn(block.mixer_norm(found.module.encoder.embed(source)))
    for given, layer, part in zip((hidden_2BU, cell_2BU), bridge.layers, finals[0], strict=True):
        torch.testing.assert_close(part[0], torch.tanh(layer(torch.cat((given[0], given[1]), dim=1))), **EXACT)


def test_additive_attention_is_bahdanaus() -> None:
    """a(s, h) = v . tanh(W s + U h); weights by softmax; context = sum_j weight_j h_j (Bahdanau et al. 2015, A.1.2)."""
    config = ModelConfig(kind="seq2seq", width=8, heads=1, cross="additive")
    mixer: Any = randomised(CrossAttention(config).double())
    s_BTD, h_BSD = numbers(B, 2, 8), numbers(B, 5, 8, seed=1)
    found, _ = mixer(s_BTD, memory=Memory(h_BSD))
    for b in range(B):
        for t in range(2):
            e = torch.stack([
                mixer.score[0] @ torch.tanh(mixer.query.weight @ s_BTD[b, t] + mixer.key.weight @ h_BSD[b, j])
                for j in range(5)
            ])  # fmt: skip
            alpha = e.exp() / e.exp().sum()
            context = torch.stack([alpha[j] * (mixer.value.weight @ h_BSD[b, j]) for j in range(5)]).sum(0)
            torch.testing.assert_close(found[b, t], mixer.out.weight @ context, **EXACT)
            torch.testing.assert_close(mixer.weights(s_BTD, Memory(h_BSD))[b, 0, t], alpha, **EXACT)


def test_cross_attention_by_dot_products_is_torchs() -> None:
    config = ModelConfig(kind="seq2seq", width=8, heads=2, bias=True)
    mixer: Any = randomised(CrossAttention(config).double())
    reference = nn.MultiheadAttention(8, 2, batch_first=True).double()
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([p.weight for p in (mixer.query, mixer.key, mixer.value)]))
        reference.in_proj_bias.copy_(torch.cat([p.bias for p in (mixer.query, mixer.key, mixer.value)]))
    reference.out_proj.load_state_dict(mixer.out.state_dict())
    x, memory = numbers(2, 3, 8), numbers(2, 5, 8, seed=1)
    real = torch.tensor([[True] * 5, [True, True, False, False, False]])
    expected, weights = reference(x, memory, memory, key_padding_mask=~real, average_attn_weights=False)
    torch.testing.assert_close(mixer(x, memory=Memory(memory, real))[0], expected, **EXACT)
    torch.testing.assert_close(mixer.weights(x, Memory(memory, real)), weights, **EXACT)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (3, 1), (3, 2), (2, 4), (4, 3)])
def test_a_convolution_against_a_loop_over_its_taps(kernel: int, dilation: int, causal: bool) -> None:
    """y = W ((U * x) . sigmoid(V * x)), each tap by itself; what lies outside the text is zero."""
    mixer: Any = randomised(Conv(D, kernel, dilation, causal).double())
    x_BTD = numbers(B, 9, D)
    found, _ = mixer(x_BTD)
    back = (kernel - 1) * dilation if causal else (kernel - 1) * dilation // 2
    for t in range(9):
        sums = mixer.taps.bias.expand(B, -1)
        for tap in range(kernel):
            at = t - back + tap * dilation
            if 0 <= at < 9:
                sums = sums + x_BTD[:, at] @ mixer.taps.weight[:, :, tap].T
        gated = sums[:, :D] / (1 + torch.exp(-sums[:, D:]))
        torch.testing.assert_close(found[:, t], gated @ mixer.out.weight.T + mixer.out.bias, **EXACT)


def test_sinusoids_by_the_formula() -> None:
    """sin(t / 10000^(2i/D)) and cos of the same (Vaswani et al. 2017, 3.5), sines in the first half."""
    table = sinusoids(9, 6)
    for t in range(9):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            assert table[t, i].item() == pytest.approx(math.sin(angle), abs=1e-12)
            assert table[t, 3 + i].item() == pytest.approx(math.cos(angle), abs=1e-12)
    positions = Sinusoidal(6, 4).double()
    torch.testing.assert_close(positions(3, 5), table[3:8], **EXACT)  # past the length that it was made for
    torch.testing.assert_close(positions.float().double()(0, 9), table, **EXACT)


def test_rotary_positions_turn_pairs_by_their_place() -> None:
    rope = Rope(6, 8, 100.0).double()
    x = numbers(1, 1, 4, 6)
    found = rope(x, 2)
    for t in range(4):
        for i in range(3):
            angle = (2 + t) * 100.0 ** (-2 * i / 6)
            a, b = x[0, 0, t, i], x[0, 0, t, i + 3]
            assert found[0, 0, t, i].item() == pytest.approx((a * math.cos(angle) - b * math.sin(angle)).item())
            assert found[0, 0, t, i + 3].item() == pytest.approx((a * math.sin(angle) + b * math.cos(angle)).item())


def test_kl_to_the_prior_is_torchs() -> None:
    mean, log_var = numbers(4, 5), numbers(4, 5, seed=1)
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(posterior, prior)
    torch.testing.assert_close(kl_to_prior(mean, log_var), expected, **EXACT)


@pytest.mark.parametrize("how", ["first", "last", "mean", "max", "ends"])
def test_pooling_reads_the_real_places_alone(how: str) -> None:
    x = numbers(3, 4, D)
    lengths = [4, 2, 1]
    real = torch.arange(4) < torch.tensor(lengths)[:, None]
    found = pooled(x, real, how)
    for row, n in enumerate(lengths):
        own = x[row, :n]
        expected = {
            "first": own[0], "last": own[-1], "mean": own.mean(0), "max": own.amax(0),
            "ends": torch.cat((own[-1, : D // 2], own[0, D // 2 :])),
        }[how]  # fmt: skip
        torch.testing.assert_close(found[row], expected, **EXACT)
    torch.testing.assert_close(pooled(x, None, how), pooled(x, torch.ones_like(real), how), **EXACT)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_and_decoder_blocks_equal_torchs(place: str, activation: str) -> None:
    """torch.nn.TransformerEncoderLayer and DecoderLayer, over padded sources."""
    found = made("seq2seq seq2seq", **{
        "model.positions": "none", "model.norm_place": place, "model.activation": activation,
        "model.embedding_norm": False, "model.mlp_width": 20,
    })  # fmt: skip
    each = batch(found)
    module, width = found.module, found.config.model.width
    settings: dict[str, Any] = {
        "d_model": width, "nhead": 2, "dim_feedforward": 20, "dropout": 0.0, "activation": activation,
        "batch_first": True, "norm_first": place == "before", "dtype": torch.float64,
    }  # fmt: skip
    source, real, target = each["source"], each["real"], each["inputs"]
    memory, y = module.encoder.embedding(source), module.decoder.embedding(target)
    future = nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.float64)
    for block in module.encoder.blocks:
        layer = nn.TransformerEncoderLayer(**settings).train()
        copy(layer, block)
        memory = layer(
            memory, src_key_padding_mask=torch.zeros(real.shape, dtype=torch.float64).masked_fill(~real, -math.inf)
        )
    memory = module.encoder.norm(memory)
    for block in module.decoder.blocks:
        layer = nn.TransformerDecoderLayer(**settings).train()
        copy(layer, block)
        y = layer(
            y,
            memory,
            tgt_mask=future,
            memory_key_padding_mask=torch.zeros(real.shape, dtype=torch.float64).masked_fill(~real, -math.inf),
        )
    logits = F.linear(module.decoder.norm(y), module.decoder.embedding.weight)
    torch.testing.assert_close(module(source, target, real), logits, **EXACT)


@torch.no_grad()
def copy(layer: Any, block: Any) -> None:
    """The weights of a block of ours into a layer of torch's."""
    parts = [
        (layer.self_attn, block.mixer),
        *([(layer.multihead_attn, block.cross)] if block.cross is not None else []),
    ]
    for theirs, ours in parts:
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    norms = [block.mixer_norm, *([block.cross_norm] if block.cross is not None else []), block.mlp_norm]
    for index, norm in enumerate(norms, 1):
        getattr(layer, f"norm{index}").load_state_dict(norm.state_dict())
    layer.linear1.load_state_dict(block.mlp.up.state_dict())
    layer.linear2.load_state_dict(block.mlp.down.state_dict())

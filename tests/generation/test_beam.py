"""Beam search against every continuation there is, on a vocabulary of two letters and the end."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import nn

from nbllm.config import ModelConfig, TokenizerConfig
from nbllm.data import tokenizers
from nbllm.generation.beam import Hypothesis, beam_search, length_penalty
from nbllm.generation.begin import begin
from nbllm.generation.decode import generate
from nbllm.models.factory import Sizes, build
from tests.contract.cases import randomised

CONTEXT, COUNT = 12, 4
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "transformer": ("next", {"layers": 2, "heads": 2}),
    "lstm": ("next", {"kind": "lstm", "layers": 1}),
    "cnn": ("next", {"kind": "cnn", "layers": 2}),
    "seq2seq": ("target", {"kind": "seq2seq", "layers": 1, "heads": 2}),
    "seq2seq lstm": ("target", {"kind": "seq2seq", "encoder": "lstm", "decoder": "lstm", "positions": "none"}),
    "vae": ("latent", {"kind": "vae", "layers": 1, "latent": 4}),
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tokenizers.train(TokenizerConfig(kind="char"), iter(["ab"]))


@pytest.fixture(params=KINDS)
def module(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> nn.Module:
    head, fields = KINDS[request.param]
    config = ModelConfig(**{"width": 16, **fields})
    return randomised(build(config, Sizes(tokenizer.get_vocab_size(), CONTEXT), head), seed=3).eval()


def search(module: nn.Module, tokenizer: Tokenizer, width: int, **settings: Any) -> list[Hypothesis]:
    return beam_search(beginning(module, tokenizer), width, COUNT, end=tokenizer.token_to_id("<eos>"), **settings)


def beginning(module: nn.Module, tokenizer: Tokenizer) -> Any:
    return begin(
        module, tokenizer, "abba", samples=1, count=COUNT, context=CONTEXT,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


@torch.inference_mode()
def log_probability(module: nn.Module, tokenizer: Tokenizer, ids: list[int]) -> list[float]:
    """log p of each token after the ones before it, <unk> left out, read anew from the beginning."""
    start = beginning(module, tokenizer)
    logits_BV = start.reader.read(start.first_BT)
    logs = []
    for number, token in enumerate(ids):
        logits_BV[:, tokenizer.token_to_id("<unk>")] = -math.inf
        logs.append(logits_BV.log_softmax(-1)[0, token].item())
        if number + 1 < len(ids):
            logits_BV = start.reader.read(torch.tensor([[token]]))
    return logs


def every_continuation(module: nn.Module, tokenizer: Tokenizer, alpha: float) -> list[Hypothesis]:
    """All that end, or are as long as may be, the best first."""
    letters = [tokenizer.token_to_id(c) for c in "ab"]
    end = tokenizer.token_to_id("<eos>")
    found = []
    for length in range(COUNT + 1):
        for text in itertools.product(letters, repeat=length):
            ids = [*text, end] if length < COUNT else list(text)
            logs = log_probability(module, tokenizer, ids)
            score = sum(logs) / ((5 + len(ids)) / 6) ** alpha
            found.append(Hypothesis(list(text), [math.exp(each) for each in logs[:length]], score))
    return sorted(found, key=lambda each: -each.score)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_the_best_of_all_continuations(module: nn.Module, tokenizer: Tokenizer, alpha: float) -> None:
    expected = every_continuation(module, tokenizer, alpha)
    assert len(expected) == 2**COUNT + sum(2**n for n in range(COUNT))
    for best in (1, 5, len(expected)):
        found = search(module, tokenizer, 3**COUNT, alpha=alpha, best=best)
        assert len(found) == best
        for ours, theirs in zip(found, expected, strict=False):
            assert ours.ids == theirs.ids
            assert ours.score == pytest.approx(theirs.score, abs=1e-4)
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_narrow_beam_scores_what_it_finds_rightly(module: nn.Module, tokenizer: Tokenizer, width: int) -> None:
    """Select goes on with the right rows: the score of what is found is that of the same text read anew."""
    end = tokenizer.token_to_id("<eos>")
    for hypothesis in search(module, tokenizer, width, alpha=0.6, best=width):
        ids = hypothesis.ids if len(hypothesis.ids) == COUNT else [*hypothesis.ids, end]
        logs = log_probability(module, tokenizer, ids)
        assert hypothesis.score == pytest.approx(sum(logs) / length_penalty(len(ids), 0.6), abs=1e-4)


def test_the_penalty_is_that_of_wu_and_others() -> None:
    """((5 + L) / 6)^alpha (2016, equation 14); 0 favours short texts, more of it long ones."""
    assert length_penalty(7, 0.0) == 1.0
    assert length_penalty(1, 0.6) == 1.0
    assert length_penalty(7, 1.0) == 2.0
    assert length_penalty(7, 0.5) == pytest.approx(math.sqrt(2))


def test_a_larger_penalty_gives_longer_texts(tokenizer: Tokenizer) -> None:
    config = ModelConfig(kind="lstm", width=16, layers=1)
    lengths = []
    for alpha in (0.0, 4.0):
        total = 0
        for seed in range(6):
            module = randomised(build(config, Sizes(tokenizer.get_vocab_size(), CONTEXT)), seed=seed).eval()
            total += len(search(module, tokenizer, 8, alpha=alpha)[0].ids)
        lengths.append(total)
    assert lengths[0] < lengths[1]


def test_a_search_goes_on_behind_the_end_where_it_is_told_to(tokenizer: Tokenizer) -> None:
    """A module that wants to end at once, and to write a's after that."""
    module = randomised(build(ModelConfig(kind="lstm", width=16, layers=1), Sizes(tokenizer.get_vocab_size(), 12)))
    end, letter = tokenizer.token_to_id("<eos>"), tokenizer.token_to_id("a")
    wanted = [end]

    def want(*call: Any) -> torch.Tensor:
        token = torch.tensor([wanted.pop() if wanted else letter])
        return torch.as_tensor(call[2]).index_fill(-1, token, 30.0)

    module.eval().head.register_forward_hook(want)
    settings: dict[str, Any] = {"context": 12, "max_tokens": COUNT, "beams": 2, "seed": 0}
    assert generate(module, tokenizer, "ab", **settings)[0].ids == []
    wanted.append(end)
    assert generate(module, tokenizer, "ab", stop_at_eos=False, **settings)[0].ids == [end, *[letter] * (COUNT - 1)]


def test_generate_gives_the_best_with_their_scores(module: nn.Module, tokenizer: Tokenizer) -> None:
    settings: dict[str, Any] = {"context": CONTEXT, "max_tokens": COUNT, "seed": 0}
    found = generate(module, tokenizer, "abba", samples=3, beams=81, length_penalty=0.6, **settings)
    expected = every_continuation(module, tokenizer, 0.6)
    if "VAE" not in type(module).__name__:  # which draws its point from the seed
        assert [text.ids for text in found] == [each.ids for each in expected[:3]]
    scores = [text.score for text in found]
    assert None not in scores
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    assert [str(text) for text in found] == [tokenizer.decode(text.ids) for text in found]
    (plain,) = generate(module, tokenizer, "abba", temperature=0, **settings)
    assert plain.score is None

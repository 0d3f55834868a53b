"""Generation end to end with real small models."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from nbllm.config import ModelConfig, TokenizerConfig
from nbllm.data import tokenizers
from nbllm.errors import ModelError
from nbllm.generation.decode import generate, stream
from nbllm.generation.score import score
from nbllm.models import masks
from nbllm.models.language_model import LanguageModel

CONTEXT = 8
LETTERS = "abcdefghijklmnop \n你好<&"
CONFIGS: dict[str, dict[str, Any]] = {
    "transformer": {"layers": 2, "width": 16, "heads": 4, "kv_heads": 2},
    "lstm": {"kind": "lstm", "layers": 2, "width": 16},
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tokenizers.train(TokenizerConfig(kind="char"), iter([LETTERS]))


class Stateless(nn.Module):
    """A model of the user's own: it sees the last token and the one three before it."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.now = nn.Embedding(vocab_size, vocab_size)
        self.before = nn.Embedding(vocab_size, vocab_size)

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.now(tokens_BT) + self.before(F.pad(tokens_BT, (3, 0))[:, : tokens_BT.shape[1]])


def model(kind: str, tokenizer: Tokenizer) -> nn.Module:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size()
    module = Stateless(size) if kind == "stateless" else LanguageModel(ModelConfig(**CONFIGS[kind]), size, CONTEXT)
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.5
    return module


@pytest.fixture(params=[*CONFIGS, "stateless"])
def module(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> nn.Module:
    return model(request.param, tokenizer)


def end_id(tokenizer: Tokenizer) -> int:
    found = tokenizer.token_to_id("<eos>")
    assert found is not None
    return found


class Script(nn.Module):
    """Writes a fixed text after a prompt of one token, whatever it is asked."""

    def __init__(self, tokenizer: Tokenizer, text: str):
        super().__init__()
        self.ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)
        self.size = tokenizer.get_vocab_size()

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        places = torch.arange(tokens_BT.shape[1]).clamp(max=len(self.ids) - 1)
        return 20.0 * F.one_hot(self.ids[places], self.size).float().expand(tokens_BT.shape[0], -1, -1)


def greedy_by_hand(module: nn.Module, tokenizer: Tokenizer, prompt: list[int], count: int) -> list[int]:
    """The rule of the context written out: a full window is begun anew from its last half; an LSTM reads everything.

    What stands for nothing (<unk>) is never written.
    """
    unknown = tokenizer.token_to_id("<unk>")
    unbounded = isinstance(module, LanguageModel) and module.unbounded
    halving = isinstance(module, LanguageModel) and not unbounded
    ids, window = list(prompt), list(prompt) if unbounded else prompt[-CONTEXT:]
    with torch.no_grad():
        for _ in range(count):
            logits_V = module(torch.tensor([window]))[0, -1]
            logits_V[unknown] = -math.inf
            ids.append(int(logits_V.argmax()))
            window = window + ids[-1:]
            if not unbounded and len(window) > CONTEXT:
                window = ids[-CONTEXT // 2 :] if halving else ids[-CONTEXT:]
    return ids[len(prompt) :]


@pytest.mark.parametrize("prompt", ["a", "abcdefgh", "abcdefghijklmn"])
def test_goes_on_past_the_context_by_the_rule(module: nn.Module, tokenizer: Tokenizer, prompt: str) -> None:
    [found] = generate(module, tokenizer, prompt, context=CONTEXT, max_tokens=30, temperature=0, stop_at_eos=False)
    assert found.ids == greedy_by_hand(module, tokenizer, tokenizer.encode(prompt).ids, 30)


def test_stream_and_generate_agree(module: nn.Module, tokenizer: Tokenizer) -> None:
    settings: dict[str, Any] = {
        "context": CONTEXT,
        "max_tokens": 25,
        "temperature": 0.9,
        "top_k": 8,
        "top_p": 0.95,
        "seed": 4,
    }
    pieces = list(stream(module, tokenizer, "你好", **settings))
    [found] = generate(module, tokenizer, "你好", **settings)
    assert "".join(piece.text for piece in pieces) == found
    assert [piece.token_id for piece in pieces] == found.ids
    assert found == tokenizer.decode(found.ids)


def test_a_seed_repeats_and_another_differs(module: nn.Module, tokenizer: Tokenizer) -> None:
    first, again, other = (
        generate(module, tokenizer, "a", context=CONTEXT, max_tokens=20, temperature=2, seed=seed, stop_at_eos=False)[0]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_several_samples_are_written_side_by_side(module: nn.Module, tokenizer: Tokenizer) -> None:
    settings: dict[str, Any] = {"context": CONTEXT, "max_tokens": 20, "stop_at_eos": False}
    likeliest = generate(module, tokenizer, "ab", samples=3, temperature=0, **settings)
    assert likeliest == generate(module, tokenizer, "ab", temperature=0, **settings) * 3
    assert len(set(generate(module, tokenizer, "ab", samples=3, temperature=2, seed=0, **settings))) == 3


def test_probabilities_are_the_models_own(module: nn.Module, tokenizer: Tokenizer) -> None:
    [found] = generate(
        module, tokenizer, "abc", context=CONTEXT, max_tokens=4, temperature=3, seed=0, stop_at_eos=False
    )
    ids = tokenizer.encode("abc").ids + found.ids
    with torch.no_grad():
        shares = module(torch.tensor([ids]))[0].softmax(-1)
    expected = [shares[place, token].item() for place, token in enumerate(found.ids, start=2)]
    assert found.probabilities == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("stop", "expected"), [("\n", "abc"), (["bcd", "c\na"], "ab"), (["<", "好<"], "abc\nab 你")])
def test_stop_strings(tokenizer: Tokenizer, stop: str | list[str], expected: str) -> None:
    script = Script(tokenizer, "abc\nab 你好<&")
    [found] = generate(script, tokenizer, "a", context=64, max_tokens=11, temperature=0, stop=stop)
    assert found == expected
    assert len(found.ids) == len(found.tokens) == len(found.probabilities) == len(expected)


def test_end_of_text_ends_unless_told_otherwise(tokenizer: Tokenizer) -> None:
    script = Script(tokenizer, "abcdef")
    script.ids[3] = end_id(tokenizer)
    [found] = generate(script, tokenizer, "a", context=64, max_tokens=6, temperature=0)
    assert found == "abc"
    [found] = generate(script, tokenizer, "a", context=64, max_tokens=6, temperature=0, stop_at_eos=False)
    assert found.ids == script.ids.tolist()


def test_an_empty_prompt_begins_a_text(module: nn.Module, tokenizer: Tokenizer) -> None:
    [found] = generate(module, tokenizer, "", context=CONTEXT, max_tokens=5, temperature=0, stop_at_eos=False)
    assert found.ids == greedy_by_hand(module, tokenizer, [end_id(tokenizer)], 5)


def test_repetition_penalty_reaches_prompt_and_written_text(tokenizer: Tokenizer) -> None:
    module = model("transformer", tokenizer)
    [found] = generate(
        module, tokenizer, "a", context=CONTEXT, max_tokens=15, temperature=0, repetition_penalty=1e9, stop_at_eos=False
    )
    assert len({*found.ids, *tokenizer.encode("a").ids}) == 16


def test_streaming_leaves_the_caller_and_the_module_as_they_were(tokenizer: Tokenizer) -> None:
    module = model("transformer", tokenizer).train()
    pieces = stream(module, tokenizer, "a", context=CONTEXT, max_tokens=5, stop_at_eos=False)
    next(pieces)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    list(pieces)
    assert module.training
    module(torch.tensor([[1, 2]])).sum().backward()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"samples": 0}, "samples is 0"),
        ({"stop": [""]}, "stop is"),
        ({"top_p": 7}, "top_p is 7"),
    ],
)
def test_wrong_settings_are_one_line(tokenizer: Tokenizer, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        generate(model("lstm", tokenizer), tokenizer, "a", context=CONTEXT, **settings)


def test_wrong_settings_of_a_stream_are_told_at_once(tokenizer: Tokenizer) -> None:
    with pytest.raises(ModelError, match="temperature"):
        stream(model("lstm", tokenizer), tokenizer, "a", context=CONTEXT, temperature=-1)


def test_a_diverged_model_says_so(tokenizer: Tokenizer) -> None:
    module = model("transformer", tokenizer)
    next(module.parameters()).data.fill_(math.nan)
    with pytest.raises(ModelError, match="NaN"):
        generate(module, tokenizer, "a", context=CONTEXT)


def test_the_result_is_a_string_that_shows_itself_safely(tokenizer: Tokenizer) -> None:
    script = Script(tokenizer, "a<b &你\nc")
    [found] = generate(script, tokenizer, "<p", context=64, max_tokens=7, temperature=0)
    assert isinstance(found, str)
    html = found._repr_html_()
    assert "&lt;p" in html
    assert ">&lt;</span>" in html
    assert ">&amp;</span>" in html
    assert "<p" not in html
    assert found.prompt == "<p"
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):  # noqa: S301 - our own bytes
        assert twin == found
        assert (twin.ids, twin.tokens, twin.prompt) == (found.ids, found.tokens, found.prompt)


def test_score_of_a_model_that_knows_nothing(tokenizer: Tokenizer) -> None:
    module = Stateless(tokenizer.get_vocab_size())
    for parameter in module.parameters():
        parameter.data.zero_()
    text = "abc 你好\n" * 5
    bits = math.log2(tokenizer.get_vocab_size()) * len(text) / len(text.encode())
    assert score(module, tokenizer, text, context=CONTEXT) == pytest.approx(bits, rel=1e-6)


def test_score_sums_over_windows_that_follow_each_other(module: nn.Module, tokenizer: Tokenizer) -> None:
    text = "abcdefghijklmnop 你好"
    ids = [end_id(tokenizer), *tokenizer.encode(text).ids]
    nats = 0.0
    with torch.no_grad():
        for place in range(1, len(ids)):
            start = (place - 1) // CONTEXT * CONTEXT
            logits = module(torch.tensor([ids[start:place]]))[0, -1]
            nats -= logits.log_softmax(-1)[ids[place]].item()
    expected = nats / math.log(2) / len(text.encode())
    assert score(module, tokenizer, text, context=CONTEXT) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ModelError, match="too short"):
        score(module, tokenizer, "", context=CONTEXT)


@pytest.mark.parametrize("length", [1, 3, 4, 7])
def test_a_prefix_is_read_both_ways_as_in_training(tokenizer: Tokenizer, length: int) -> None:
    """The first answer is that of the whole window under the prefix's mask; of a longer text half a context is one."""
    module = model("transformer", tokenizer)
    ids = tokenizer.encode("abcdefg"[:length]).ids
    mask = masks.prefix(torch.tensor([min(length, CONTEXT // 2)]), length)
    with torch.no_grad():
        expected_V = module(torch.tensor([ids]), mask)[0, -1].softmax(-1)
        causal_V = module(torch.tensor([ids]))[0, -1].softmax(-1)
    settings: dict[str, Any] = {"context": CONTEXT, "max_tokens": 1, "temperature": 0, "stop_at_eos": False}
    (found,) = generate(module, tokenizer, "abcdefg"[:length], prefix=True, **settings)
    assert found.probabilities[0] == pytest.approx(expected_V[found.ids[0]].item(), abs=1e-5)
    assert length == 1 or not torch.allclose(expected_V, causal_V, atol=1e-4)

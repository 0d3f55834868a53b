"""Every family with every objective that it learns, every preset and the choices of each, at tiny widths; and batches
of each, made the way that training makes them.

B batch, T tokens, S source tokens, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from nbllm.config import FAMILIES, GOALS, PRESETS, RunConfig, TokenizerConfig, goal_of, resolve
from nbllm.data import tokenizers
from nbllm.models.stack import Stack
from nbllm.objectives.base import IGNORED, Batch, Objective
from nbllm.objectives.make import make, module_for, recipe

CONTEXT, WIDTH, LAYERS = 16, 12, 2
LETTERS = "abcdefghij ."
SENTENCES = ["abba cab.", "a bad cab.", "dad.", "he hid a jib.", "feed a big jig.", "bad.", "cafe.", "i did."]
PAIRS = [("abc", "cba"), ("defgh", "hg"), ("a", "abcdefgh"), ("jigabcd fad", "de"), ("bee", "eeb"), ("hid", "dihab")]
MARKED = [
    ("abba", [(0, 2, "x")]), ("he did a bad", [(3, 6, "y"), (7, 12, "z")]), ("dad", []), ("a", [(0, 1, "y")]),
    ("cafe bee", [(5, 8, "x")]), ("jibe", [(0, 4, "z")]),
]  # fmt: skip
LABELLED = [("abba", "x"), ("he did a bad", "y"), ("dad", "z"), ("a", "y"), ("cafe bee", "x"), ("jibe", "z")]

# What a case says beside its family and objective.
CHOICES: dict[str, dict[str, Any]] = {
    "clm transformer window": {"model.window": 3},
    "clm transformer grouped": {"model.heads": 3, "model.kv_heads": 1, "model.head_width": 6, "model.tied": False},
    "clm transformer sinusoidal": {"model.positions": "sinusoidal"},
    "clm transformer learned after": {
        "model.positions": "learned", "model.norm_place": "after", "model.norm": "layer", "model.bias": True,
        "model.activation": "gelu", "model.embedding_norm": True,
    },
    "clm transformer attention alone": {"model.mlp": False},
    "clm transformer extras": {
        "model.bigrams": 1000, "model.smear": True, "model.mix_input": True, "model.activation": "relu2",
    },
    "clm transformer hashed": {"model.bigrams": 7, "model.positions": "learned"},
    "mlm transformer extras": {"model.bigrams": 1000, "model.smear": True, "model.mix_input": True},
    "clm transformer nowhere": {"model.positions": "none", "model.qk_norm": False, "model.activation": "geglu"},
    "clm lstm plain": {"model.plain": True},
    "clm rnn relu": {"model.plain": True, "model.nonlinearity": "relu", "model.tied": False},
    "clm gru mlp": {"model.mlp_width": 16},
    "clm cnn plain": {"model.plain": True, "model.kernel": 2},
    "clm hybrid pattern": {"model.blocks": "conv+gru+attention", "model.window": 4},
    "prefix-lm transformer window": {"model.window": 5},
    "mlm transformer window": {"model.window": 2},
    "mlm bert words": {"objective.whole_words": True},
    "mlm bert pairs": {"objective.next_sentence": True, "model.segments": True},
    "mlm lstm pairs": {"objective.next_sentence": True},
    "mlm cnn pairs": {"objective.next_sentence": True},
    "mlm hybrid pairs": {"objective.next_sentence": True, "model.blocks": "conv+gru+attention"},
    "nsp bert after": {"model.norm_place": "after", "model.positions": "learned", "model.segments": True},
    "seq2seq seq2seq lstm": {"model.encoder": "lstm", "model.decoder": "lstm"},
    "seq2seq seq2seq additive": {"model.encoder": "2*lstm", "model.decoder": "2*lstm", "model.cross": "additive"},
    "seq2seq seq2seq gru none": {"model.encoder": "gru", "model.decoder": "2*gru", "model.cross": "none"},
    "seq2seq seq2seq rnn to lstm": {"model.encoder": "2*rnn", "model.decoder": "lstm"},
    "seq2seq seq2seq lstm to gru plain": {"model.encoder": "lstm", "model.decoder": "gru", "model.plain": True},
    "seq2seq seq2seq conv": {"model.encoder": "2*conv", "model.decoder": "2*conv"},
    "seq2seq seq2seq attention to lstm": {"model.encoder": "2*attention", "model.decoder": "lstm"},
    "seq2seq seq2seq lstm to attention": {"model.encoder": "lstm", "model.decoder": "2*attention"},
    "seq2seq seq2seq mixed": {"model.encoder": "conv+lstm+attention", "model.decoder": "lstm+attention"},
    "seq2seq seq2seq apart": {"tokenizer.separate": True, "model.tied": False, "train.target_context": 12},
    "seq2seq seq2seq smooth": {"objective.label_smoothing": 0.1, "model.positions": "rope", "model.kv_heads": 1},
    "seq2seq seq2seq scheduled": {"objective.scheduled_sampling": 0.5},
    "span seq2seq lstm": {"model.encoder": "lstm", "model.decoder": "lstm"},
    "classification transformer causal": {"model.bidirectional": False},
    "classification lstm causal": {"model.bidirectional": False},
    "classification lstm ends": {"model.pool": "ends"},
    "classification cnn max": {"model.pool": "max", "model.bag": True},
    "classification gru first": {"model.pool": "first"},
    "classification bert sigmoid": {"objective.answer": "sigmoid", "objective.labels": ["x", "y"]},
    "classification bert several": {"objective.multi_label": True},
    "classification bert pairs": {"data.pair_column": "other", "model.segments": True},
    "classification transformer balanced": {"objective.class_weights": "balanced"},
    "tagging lstm causal": {"model.bidirectional": False},
    "elbo vae attention": {"model.encoder": "2*attention", "model.decoder": "attention"},
    "elbo vae gru": {"model.encoder": "gru", "model.decoder": "gru", "model.tied": False},
    "elbo vae conv": {"model.encoder": "2*conv", "model.decoder": "2*conv", "model.shared_embedding": False},
}  # fmt: skip

EVERY = [f"{name} {kind}" for name, goal in GOALS.items() for kind in sorted(goal.kinds - {"huggingface"})]
CASES = [*EVERY, *CHOICES, *(f"preset {name}" for name in PRESETS)]


@dataclass(frozen=True)
class Made:
    """A case made: its configuration, its objective, and the module that it trains."""

    config: RunConfig
    objective: Objective
    module: Any

    @property
    def head(self) -> str:
        return goal_of(self.config.objective).head


def settings(case: str) -> dict[str, Any]:
    """What is asked for in a case."""
    first, second = case.split()[:2]
    asked: dict[str, Any] = {"train.context": CONTEXT, "train.batch_size": 4, "tokenizer.kind": "char"}
    if first == "preset":
        kind = PRESETS[second]["model.kind"]
        asked |= {"preset": second, "model.dropout": 0.0}
    else:
        kind = second
        asked |= {"objective.kind": first, "model.kind": second}
    own = PRESETS[second] if first == "preset" else {}
    tiny = {"layers": LAYERS, "width": WIDTH, "heads": 2, "latent": 4}
    known = (name for name in tiny if name in FAMILIES[kind].fields and f"model.{name}" not in own)
    asked |= {f"model.{name}": tiny[name] for name in known}
    return {**asked, **CHOICES.get(case, {})}


def configure(case: str, **more: Any) -> RunConfig:
    """The configuration of a case."""
    config = resolve([("test", {**settings(case), **more})])
    if goal_of(config.objective).head in ("labels", "tags") and not config.objective.labels:
        config.objective.labels = ["x", "y"] if config.objective.answer == "sigmoid" else ["x", "y", "z"]
    return config


def cases(*heads: str, objective: str = "") -> list[str]:
    """The cases whose model answers with one of these heads, or that learn the objective."""
    found = []
    for case in CASES:
        config = configure(case).objective
        if goal_of(config).head in heads or config.kind == objective:
            found.append(case)
    return found


def tokenizer(config: RunConfig, letters: str = LETTERS) -> Tokenizer:
    """A vocabulary of a few letters, with what the objective needs beside them."""
    return tokenizers.train(TokenizerConfig(kind="char"), iter([letters]), recipe(config).special)


def made(case: str, seed: int = 0, fresh: bool = False, **more: Any) -> Made:
    """A case in float64 with weights of which none is zero, as training leaves them; or `fresh`, as it finds them, in
    float32."""
    config = configure(case, **more)
    target = tokenizer(config, LETTERS[:8]) if config.tokenizer.separate else None
    objective = make(config, tokenizer(config), target)
    if config.objective.class_weights == "balanced":
        objective.balance([2, 4, 1])  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    module = module_for(config, objective)
    return Made(config, objective, module if fresh else randomised(module.double()))


@torch.no_grad()
def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with weights of which none is zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) + 0.1)
    return module


def batch(made: Made, rows: int = 4, seed: int = 0, double: bool = True) -> Batch:
    """A batch of the case's objective, its rows of different lengths where rows have lengths."""
    objective, config = made.objective, made.config
    rng = np.random.default_rng(seed)
    goal = goal_of(config.objective)
    if goal.data == "stream":
        found = objective.collate(windows(objective.task.tokenizer, rows, CONTEXT + 1, rng), rng)
    else:
        store = encoded(made)
        found = objective.collate(objective.examples(store, np.arange(rows) % len(store), rng), rng)
    return {n: t.double() if double and t.is_floating_point() else t for n, t in found.items()}


def encoded(made: Made) -> list[Any]:
    """Examples of the case's objective, of different lengths."""
    config = made.config
    if goal_of(config.objective).data == "sentences":
        rows = [{"text": text, "document": str(i // 4)} for i, text in enumerate(SENTENCES)]
    elif config.objective.kind == "tagging":
        rows = [{"text": text, "spans": json.dumps(spans)} for text, spans in MARKED]
    elif config.objective.kind == "answer-span":
        rows = [{"source": f"{text}\n{text[:2]}", "target": text[2:5]} for text, _ in LABELLED if len(text) > 4]
        rows.append({"source": "he did a bad\na", "target": "unknown"})
    elif config.objective.kind == "seq2seq":
        rows = [{"source": source, "target": target} for source, target in PAIRS]
    else:
        several = "|x" if config.objective.multi_label else ""
        known = config.objective.labels or []
        rows = [{"text": text, "label": label + several} for text, label in LABELLED if label in known]
        if config.data.pair_column:
            rows = [{**row, "pair": row["text"][::-1][:4]} for row in rows]
    return made.objective.encode(rows)


def windows(tokenizer: Tokenizer, rows: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """(rows, length) ordinary tokens drawn evenly."""
    return rng.choice(ordinary(tokenizer), (rows, length)).astype(np.int64)


@cache
def _ordinary(text: str) -> tuple[int, ...]:
    tokenizer = Tokenizer.from_str(text)
    return tuple(sorted(set(range(tokenizer.get_vocab_size())) - tokenizers.special_ids(tokenizer)))


def ordinary(tokenizer: Tokenizer) -> np.ndarray:
    """The ids that stand for text."""
    return np.array(_ordinary(tokenizer.to_str()))


@dataclass(frozen=True)
class Writing:
    """The side of a model that reads what it has written: its stack, the tokens, their logits over the whole text, a
    state before any of them, and a step further with these rows of the batch."""

    stack: Stack
    tokens: Tensor
    whole: Callable[[Tensor], Tensor]
    begin: Callable[[], Any]
    step: Callable[[Tensor, Any, Tensor], tuple[Tensor, Any]]


def writing(made: Made, batch: Batch) -> Writing:
    """The writing side of a language model, of an encoder-decoder over padded sources, or of a VAE at some points."""
    module = made.module
    if made.head == "latent":
        tokens, z = batch["inputs"], batch["noise"]
        return Writing(
            module.decoder,
            tokens,
            lambda each: module.decode(each, z),
            lambda: module.init_state(*tokens.shape),
            lambda each, state, rows: module.step(each, state, z[rows]),
        )
    if made.head == "next":
        tokens = batch["tokens"]
        begin = partial(module.init_state, *tokens.shape)
        return Writing(module.stack, tokens, module, begin, lambda each, state, rows: module.step(each, state))
    tokens, source, real = batch["inputs"], batch["source"], batch["real"]
    begin = partial(module.init_state, source, tokens.shape[1], real)
    whole = lambda each: module(source, each, real)  # noqa: E731
    return Writing(module.decoder, tokens, whole, begin, lambda each, state, rows: module.step(each, state))


def row(batch: Batch, index: int, trim: bool) -> Batch:
    """One row of a batch; `trim` cuts off what fills it up."""
    found = {name: tensor[index : index + 1] for name, tensor in batch.items()}
    if not trim or "real" not in found:
        return found
    length = int(found["real"].sum())
    lengths = {"tokens": length, "source": length, "real": length, "segments": length}
    if "inputs" in found:
        lengths |= dict.fromkeys(("inputs", "targets", "draws"), int((found["targets"] != IGNORED).sum()))
    elif found["targets"].dtype == torch.int64 and found["targets"].ndim == 2:
        lengths["targets"] = length
    return {name: tensor[:, : lengths[name]] if name in lengths else tensor for name, tensor in found.items()}

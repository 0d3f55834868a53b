"""How time grows with each size of a Transformer alone (from 4x128, 64 tokens, 256 entries): measured and by theory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from nbllm.config import ModelConfig, RunConfig, TrainConfig
from nbllm.generation.decode import generate
from nbllm.models.flops import per_token
from nbllm.models.language_model import LanguageModel
from nbllm.training.optim import Optimizers
from tests.benchmarks.generation import letters

BASE = {"context": 64, "width": 128, "layers": 4, "vocabulary": 256}
GROWN = {
    "context": (64, 128, 256, 512),
    "width": (64, 128, 256, 512),
    "layers": (2, 4, 8, 16),
    "vocabulary": (256, 1024, 4096, 16384),
}
LENGTHS = (250, 500, 1000, 2000)
TOKENS = 1024  # of a step: as many at every context
THREADS = 2
ROUNDS = 5

Way = Callable[[], Any]


def measure() -> list[dict[str, Any]]:
    """A row a size. The sizes of a kind take turns; told is the median of the ratios to the smallest beside it."""
    rows = []
    with _threads():
        for what, sizes in GROWN.items():
            shapes = [{**BASE, what: size} for size in sizes]
            measured = grown([step_of(**shape) for shape in shapes], ROUNDS)
            theory = [flops_of(**shape) for shape in shapes]
            rows += _rows(f"training step, {what}", sizes, measured, theory)
        rows += _rows("text written, tokens", LENGTHS, grown([written(n) for n in LENGTHS], ROUNDS), list(LENGTHS))
    return rows


def step_of(context: int, width: int, layers: int, vocabulary: int) -> Way:
    """A whole training step over 1,024 tokens."""
    torch.manual_seed(0)
    config = ModelConfig(layers=layers, width=width, heads=max(1, width // 32))
    module = LanguageModel(config, vocabulary, context)
    optimizers = Optimizers(module, TrainConfig())
    tokens = torch.randint(vocabulary, (TOKENS // context, context + 1))

    def step() -> None:
        optimizers.zero_grad()
        loss = F.cross_entropy(module(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizers.step(1e-3)

    return step


def flops_of(context: int, width: int, layers: int, vocabulary: int) -> float:
    """Floating-point operations of such a step's products."""
    config = RunConfig(
        model=ModelConfig(layers=layers, width=width, heads=max(1, width // 32)), train=TrainConfig(context=context)
    )
    return TOKENS * per_token(config, 0, vocabulary)


def written(count: int) -> Way:
    """A text of so many tokens, far past the context."""
    torch.manual_seed(0)
    module = LanguageModel(ModelConfig(layers=4, width=128, heads=4), 256, 64).eval()
    tokenizer = letters(256)
    prompt = tokenizer.id_to_token(1)
    return lambda: generate(module, tokenizer, prompt, context=64, max_tokens=count, seed=1, stop_at_eos=False)


def grown(ways: list[Way], rounds: int) -> list[tuple[float, float]]:
    """Of each way the milliseconds (median), and its time by that of the first beside it (median of the ratios)."""
    for way in ways:
        way()
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for each, way in zip(taken, ways, strict=True):
            start = time.perf_counter()
            way()
            each.append((time.perf_counter() - start) * 1e3)
    return [
        (statistics.median(each), statistics.median(a / b for a, b in zip(each, taken[0], strict=True)))
        for each in taken
    ]


def _rows(what: str, sizes: tuple[int, ...], measured: list[tuple[float, float]], theory: list[Any]) -> list[Any]:
    return [
        {
            "what": what,
            "size": size,
            "ms": round(ms, 2),
            "times the first": round(times, 2),
            "operations, times the first": round(each / theory[0], 2),
        }
        for size, (ms, times), each in zip(sizes, measured, theory, strict=True)
    ]


@contextmanager
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)

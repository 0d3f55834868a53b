"""What keeping attention costs: over a plain forward pass, for long texts, and while writing; and what it weighs.

    python -m tests.benchmarks.attention [OUT.json] [--repeats 9]

Random weights, since the cost does not hang on them; two threads. Plain and kept passes take turns, and what is shown
is the median of their ratios, which holds on a busy machine where the milliseconds do not. Memory is the peak of the
process above what it held before, each case in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.inspection.attention import gather, patterns
from nbllm.models.language_model import LanguageModel
from tests.benchmarks.table import options, write

SHAPES = {"4 layers of 128": (4, 128, 4), "6 layers of 384": (6, 384, 6), "12 layers of 768": (12, 768, 12)}
LENGTHS = (128, 512, 1024)
WAYS = ("plain", "before and after", "float32", "float16")
THREADS = 2


def made(shape: str, length: int) -> tuple[nn.Module, torch.Tensor]:
    """A network of a shape, and tokens for it."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    layers, width, heads = SHAPES[shape]
    module = LanguageModel(ModelConfig(layers=layers, width=width, heads=heads), 512, length).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.05
    return module, torch.randint(512, (1, length))


def passes(module: nn.Module, tokens_BT: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """A pass each way; `before and after` is the plain one of a module that was captured before and is no more."""
    names = patterns(module, "self")

    def plain() -> None:
        module(tokens_BT)

    def kept(dtype: torch.dtype) -> torch.Tensor:
        return gather(module, names, plain, dtype, row=0)

    return {
        "plain": plain,
        "before and after": plain,
        "float32": lambda: kept(torch.float32),
        "float16": lambda: kept(torch.float16),
    }


def times(shape: str, length: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of each way, and the median of its ratio to the plain pass beside it."""
    module, tokens_BT = made(shape, length)
    ways = passes(module, tokens_BT)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for name in ways:
            ways[name]()
        for _ in range(repeats):
            for name, run in ways.items():
                start = time.perf_counter()
                run()
                taken[name].append((time.perf_counter() - start) * 1e3)
    over = {
        name: statistics.median(kept / plain - 1 for kept, plain in zip(values, taken["plain"], strict=True))
        for name, values in taken.items()
    }
    return {"ms": {name: statistics.median(values) for name, values in taken.items()}, "over_plain": over}


def peak(shape: str, length: int, way: str) -> float:
    """Megabytes that one pass needs at most above what is held before it, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (shape, length, way))


def _peak(shape: str, length: int, way: str) -> float:
    module, tokens_BT = made(shape, length)
    short = passes(module, tokens_BT[:, :8])
    with torch.inference_mode():
        short[way]()  # what torch loads at its first pass
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = _status("VmRSS")
        kept = passes(module, tokens_BT)[way]()
        found = _status("VmHWM") - before
    del kept
    return found


def _status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    asked = options(__doc__, repeats=9)
    rows = []
    head = ["", "tokens", "plain", "off again", "float32", "float16", "peak MB: plain, f32, f16"]
    print("{:<18}{:>7}{:>10}{:>11}{:>10}{:>10}{:>28}".format(*head))
    for shape in SHAPES:
        for length in LENGTHS:
            found = times(shape, length, asked.repeats)
            memory = {}
            if length == max(LENGTHS) and sys.platform == "linux":
                memory = {way: peak(shape, length, way) for way in ("plain", "float32", "float16")}
            rows.append({"shape": shape, "tokens": length, **found, "peak_mb": memory})
            over = [f"{found['over_plain'][way]:+.0%}" for way in WAYS[1:]]
            held = ", ".join(f"{value:,.0f}" for value in memory.values())
            line = f"{shape:<18}{length:>7}{found['ms']['plain']:>7.1f} ms{over[0]:>11}{over[1]:>10}{over[2]:>10}"
            print(f"{line}{held:>28}", flush=True)
    write(rows, asked.out)


if __name__ == "__main__":
    main()

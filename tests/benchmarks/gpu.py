"""What one GPU does with nbllm, beside transformers on the same card and beside what the card can do at all.

    python -m tests.benchmarks.gpu [OUT.json] [--parts train,decode,watch]

One call, under 8 minutes on a card of this decade. Training: 124 million weights at context 1,024 in bf16, both
compiled, turns of each; model-FLOPs utilisation counts the products of `nbllm.models.flops` against the speed of a
large bf16 product measured in the same call. Decoding: one stream of 124 million and of one billion weights in bf16;
the bound is how often a second the weights could be moved at the speed of a copy. Watching: the same run with and
without samples, maps and metrics. Random weights; medians of the ratios of neighbours. `--tiny` runs the same on a CPU
in seconds, to see that it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nbllm.config import ModelConfig, RunConfig, TrainConfig
from nbllm.models.cheaper import size
from nbllm.models.flops import per_token
from nbllm.models.language_model import LanguageModel
from nbllm.training.optim import Optimizers
from tests.benchmarks.generation import copies, letters, ours, qwen3, row, theirs, turns, writes
from tests.benchmarks.table import write

Shape = dict[str, int]
SMALL: Shape = {"layers": 12, "width": 768, "heads": 12}
BILLION: Shape = {"layers": 20, "width": 2048, "heads": 16}
TINY: Shape = {"layers": 2, "width": 32, "heads": 2}


class Sizes:
    """What is measured: on a GPU, or tiny on a CPU."""

    def __init__(self, tiny: bool):
        self.tiny = tiny
        self.device = torch.device("cpu" if tiny else "cuda")
        self.vocabulary, self.context = (50, 16) if tiny else (50_257, 1024)
        self.rows, self.steps, self.rounds = (2, 2, 3) if tiny else (16, 10, 5)
        self.product, self.copied = (64, 1) if tiny else (8192, 1024)
        self.decoded = {"tiny": TINY} if tiny else {"124M": SMALL, "1B": BILLION}
        self.written = 8 if tiny else 200
        self.trained = TINY if tiny else SMALL

    def wait(self) -> None:
        """For all that the device was given to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def ceiling(sizes: Sizes) -> float:
    """FLOPs a second of a large product in bf16."""
    n = sizes.product
    a, b = (torch.randn(n, n, device=sizes.device, dtype=torch.bfloat16) for _ in range(2))
    found = []
    for _ in range(5 + sizes.rounds):
        sizes.wait()
        start = time.perf_counter()
        for _ in range(10):
            a @ b
        sizes.wait()
        found.append(20 * n**3 / (time.perf_counter() - start))
    return statistics.median(found[5:])


def steps(sizes: Sizes, loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], update: Any) -> Any:
    """A call that trains on a few batches and says how many tokens those were."""
    shape = (sizes.rows, sizes.context + 1)
    tokens = torch.randint(sizes.vocabulary, shape, device=sizes.device)
    narrow = nullcontext if sizes.tiny else lambda: torch.autocast("cuda", dtype=torch.bfloat16)

    def run() -> int:
        for _ in range(sizes.steps):
            with narrow():
                loss = loss_of(tokens[:, :-1], tokens[:, 1:])
            loss.backward()
            update()
        sizes.wait()
        return sizes.steps * sizes.rows * sizes.context

    return run


def training(sizes: Sizes) -> list[dict[str, Any]]:
    """Tokens a second against transformers, and the share of the card's ceiling."""
    best = ceiling(sizes)
    shape = ModelConfig(**sizes.trained)
    module = LanguageModel(shape, sizes.vocabulary, sizes.context).to(sizes.device)
    peer = qwen3(module, sizes.vocabulary, sizes.context).to(sizes.device).train()
    optimizers = Optimizers(module, TrainConfig())
    adam = torch.optim.AdamW(peer.parameters(), lr=1e-4, fused=True)
    if not sizes.tiny:
        module.compile()
        peer.compile()

    def own_update() -> None:
        optimizers.step(1e-4)
        optimizers.zero_grad()

    def peer_update() -> None:
        adam.step()
        adam.zero_grad(set_to_none=True)

    def own_loss(tokens_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(module(tokens_BT).flatten(0, 1).float(), targets_BT.flatten())

    def peer_loss(tokens_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(peer(tokens_BT).logits.flatten(0, 1).float(), targets_BT.flatten())

    found = turns(
        {"nbllm": steps(sizes, own_loss, own_update), "transformers": steps(sizes, peer_loss, peer_update)},
        sizes.rounds,
    )
    config = RunConfig(model=shape, train=TrainConfig(context=sizes.context))
    flops = per_token(config, 0, sizes.vocabulary)
    found["the card's ceiling"] = [best / flops] * sizes.rounds
    count = sum(p.numel() for p in module.parameters()) / 1e6
    name = f"training, {count:.0f}M, context {sizes.context:,}"
    return [
        row(name, found, "nbllm", "transformers", 1.3),
        row(f"{name}, model-FLOPs utilisation", found, "nbllm", "the card's ceiling", 0.5),
    ]


def decoding(sizes: Sizes) -> list[dict[str, Any]]:
    """One stream, against the copy bound and against transformers' `generate`."""
    rows = []
    for name, shape in sizes.decoded.items():
        module = ours(sizes.vocabulary, sizes.context, **shape).to(sizes.device, torch.bfloat16)
        peer = qwen3(module, sizes.vocabulary, sizes.context).to(sizes.device, torch.bfloat16)
        copy = copies(size(module), sizes.copied, sizes.device)

        def copied(copy: Callable[[], float] = copy) -> float:
            done = copy()
            sizes.wait()
            return done

        found = turns(
            {
                "copy bound": copied,
                "nbllm": writes(module, letters(sizes.vocabulary), sizes.context, min(sizes.written, sizes.context)),
                "transformers": theirs(peer, min(sizes.written, sizes.context)),
            },
            sizes.rounds,
        )
        rows += [
            row(f"decoding, {name}", found, "nbllm", "copy bound", 0.7),
            row(f"decoding, {name}", found, "nbllm", "transformers", 4.0),
        ]
        del module, peer
    return rows


def watching(sizes: Sizes) -> list[dict[str, Any]]:
    """The loop's own seconds of a run that is watched by all there is, and of one that is not."""
    import nbllm

    bare = {"sample.every": 0, "probe.every": 0, "train.leak_check": False}
    settings: dict[str, Any] = {"size": "tiny", "steps": 20, "wait": True, "runner": "inline", "train.queue": False}
    if not sizes.tiny:
        settings |= {"size": "base", "steps": 600}
    taken: dict[str, list[float]] = {"watched": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", folder)
        for number in range(sizes.rounds):
            for name, more in (("watched", {}), ("bare", bare)):
                run = nbllm.train(f"{name}-{number}", **settings, **more)
                frame = run.metrics
                taken[name].append(float(frame.tokens.dropna().iloc[-1]) / float(frame.seconds.dropna().iloc[-1]))
    return [row("a run that is watched", taken, "watched", "bare", 0.99)]


PARTS: dict[str, Callable[[Sizes], list[dict[str, Any]]]] = {"train": training, "decode": decoding, "watch": watching}


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    if not arguments.tiny and not torch.cuda.is_available():
        print("There is no GPU here: nothing was measured. --tiny runs the same on a CPU.")
        return
    os.environ.setdefault("NBLLM_CUDA_GRAPHS", "1")  # decoding by the recorded step is what is to be tried
    sizes = Sizes(arguments.tiny)
    card = "CPU" if arguments.tiny else torch.cuda.get_device_name()
    rows: list[dict[str, Any]] = []
    for name in arguments.parts.split(","):
        found = PARTS[name](sizes)
        rows += found
        for each in found:
            print("  ".join(f"{key} {value}" for key, value in each.items()), flush=True)
    write(rows, arguments.out, card=card, protocol=__doc__)


if __name__ == "__main__":
    main()

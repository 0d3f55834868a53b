"""What the benchmarks of training compare with: nanoGPT's recipe for a CPU, and transformers' own ways, on its GPT-2 of
that size; the same token files as ours.

B windows, T tokens.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nbllm.data.token_file import TokenFile

THREADS = int(os.environ.get("NBLLM_BENCH_THREADS", "2"))
ON_CPU = os.environ.get("NBLLM_BENCH_CLOCK") == "cpu"
now = time.process_time if ON_CPU else time.perf_counter
"""NBLLM_BENCH_CLOCK=cpu counts the processor's seconds, where the wall's clock would measure other people's work."""
CONTEXT = 64
BATCH = 12
RECIPE_STEPS = 2000
RECIPE = {"lr": 1e-3, "least": 1e-4, "warmup": 100, "betas": (0.9, 0.99), "decay": 0.1, "clip": 1.0}
"""nanoGPT's README, "i only have a macbook" (github.com/karpathy/nanoGPT): 4 layers, 4 heads, width 128, context 64,
batch 12, 2,000 steps, no dropout; its rate falls as a cosine from 1e-3 to 1e-4."""


def apart(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives in a fresh process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def gpt2(vocab_size: int) -> Any:
    """transformers' GPT-2 with four layers of 128."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1337)
    config = GPT2Config(
        vocab_size=vocab_size, n_positions=CONTEXT, n_embd=128, n_layer=4, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, use_cache=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def batches(ids: np.ndarray, seed: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Windows that begin anywhere, and what follows each token, as nanoGPT draws them."""
    rng = np.random.default_rng(seed)
    while True:
        starts = rng.integers(0, len(ids) - CONTEXT - 1, BATCH)
        windows_BT = torch.from_numpy(np.stack([ids[i : i + CONTEXT + 1] for i in starts]).astype(np.int64))
        yield windows_BT[:, :-1], windows_BT[:, 1:]


def optimizer(module: nn.Module) -> torch.optim.Optimizer:
    """AdamW as nanoGPT sets it up: decay on matrices alone."""
    parameters = list(module.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": RECIPE["decay"]},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=RECIPE["lr"], betas=RECIPE["betas"])


def bare_step(module: Any, adamw: torch.optim.Optimizer, tokens_BT: torch.Tensor, targets_BT: torch.Tensor) -> None:
    """One update."""
    logits_BTV = module(tokens_BT).logits
    loss = F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())
    adamw.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), RECIPE["clip"])
    adamw.step()


def recipe(folder: str, vocab_size: int, steps: int, evaluated: bool) -> dict[str, float]:
    """The first `steps` of the recipe on the token files of a folder: seconds of the loop, and the held-out loss."""
    torch.set_num_threads(THREADS)
    module = gpt2(vocab_size).train()
    adamw, source = optimizer(module), batches(TokenFile.open(Path(folder) / "train.bin").ids(), seed=1337)
    bare_step(module, adamw, *next(batches(TokenFile.open(Path(folder) / "train.bin").ids())))  # warm: not counted
    module, seconds = gpt2(vocab_size).train(), 0.0
    adamw = optimizer(module)
    began = now()
    for step in range(steps):
        for group in adamw.param_groups:
            group["lr"] = recipe_rate(step)
        bare_step(module, adamw, *next(source))
    seconds = now() - began
    held_out = TokenFile.open(Path(folder) / "held_out.bin").ids()
    return {"seconds": seconds, "loss": whole_loss(lambda t: module(t).logits, module, held_out) if evaluated else 0.0}


def recipe_rate(step: int) -> float:
    """nanoGPT's learning rate: a warm-up, then a cosine."""
    if step < RECIPE["warmup"]:
        return RECIPE["lr"] * (step + 1) / (RECIPE["warmup"] + 1)
    done = (step - RECIPE["warmup"]) / (RECIPE_STEPS - RECIPE["warmup"])
    return RECIPE["least"] + 0.5 * (1 + math.cos(math.pi * done)) * (RECIPE["lr"] - RECIPE["least"])


@torch.inference_mode()
def whole_loss(logits: Callable[[torch.Tensor], torch.Tensor], module: nn.Module, ids: np.ndarray) -> float:
    """Mean loss in nats a token over all windows of CONTEXT tokens, none overlapping, of a held-out text."""
    module.eval()
    count = (len(ids) - 1) // CONTEXT
    tokens = torch.from_numpy(ids[: count * CONTEXT + 1].astype(np.int64))
    inputs_NT, targets_NT = tokens[:-1].view(count, CONTEXT), tokens[1:].view(count, CONTEXT)
    total = 0.0
    for start in range(0, count, 128):
        logits_BTV = logits(inputs_NT[start : start + 128]).float()
        targets = targets_NT[start : start + 128].flatten()
        total += float(F.cross_entropy(logits_BTV.flatten(0, 1), targets, reduction="sum"))
    return total / (count * CONTEXT)


def spread(values: list[float]) -> str:
    """The median, and from the least to the most."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"

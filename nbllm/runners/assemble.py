"""From a run folder to what the loop works with: tokens, module, optimizers, sampler and probe."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nbllm.config import RunConfig
from nbllm.data import prepare as data_prepare
from nbllm.data import tokenizers
from nbllm.data.token_file import TokenFile
from nbllm.data.windows import Windows
from nbllm.errors import ConfigError
from nbllm.generation.decode import generate
from nbllm.inspection import probe as inspection
from nbllm.models import estimate
from nbllm.models.factory import build
from nbllm.registry import MODELS, OBJECTIVES
from nbllm.runners.machine import memory_limit
from nbllm.runners.plan import RECORDS
from nbllm.runners.reporter import Reporter
from nbllm.store.files import read_json, write_json
from nbllm.store.folder import RunFolder, user_folder
from nbllm.training.loop import Progress, Training
from nbllm.training.optim import Optimizers


def prepare(folder: RunFolder, config: RunConfig, reporter: Reporter) -> dict[str, Any]:
    """Token files and tokenizer in the run folder; from an earlier start where they are there. Returns the report."""
    done = read_json(folder.data / "report.json")
    if done and done.get("complete") and folder.tokenizer.is_file() and (folder.data / "train.bin").exists():
        return done

    def progress(message: str, share: float | None) -> None:
        reporter.update(message=message, progress=share)

    cache = user_folder("tokens") if config.data.cache else None
    prepared = data_prepare.prepare(config, _base(folder, config.data.source), folder.path, cache, progress)
    report = {**prepared.report, "vocab_size": prepared.vocab_size, "complete": True}
    write_json(folder.data / "report.json", report)
    reporter.update(message="", progress=None)
    return report


def _base(folder: RunFolder, source: str) -> Path:
    """The folder that a relative source starts from: where the run was asked for, or the run's own for its records."""
    if source == RECORDS:
        return folder.path
    environment = read_json(folder.environment, {})
    return Path(environment.get("cwd") or os.getcwd())


def assemble(folder: RunFolder, config: RunConfig, device: torch.device, report: dict[str, Any]) -> Training:
    """Module, optimizers, batches, sampler and probe of a run, as they are before the first step."""
    settings = config.train
    torch.manual_seed(settings.seed)
    tokenizer = tokenizers.load(folder.tokenizer)
    vocab_size = int(report["vocab_size"])
    check_memory(config, device, vocab_size)
    module = build(config.model, vocab_size, settings.context).to(device)
    tokens = TokenFile.open(folder.data / "train.bin")
    held_out = TokenFile.open(folder.data / "held_out.bin")
    windows = Windows(tokens.ids(), settings.context, config.data.stride or settings.context)
    test_windows = Windows(held_out.ids(), settings.context, settings.context)

    def batch(step: int) -> torch.Tensor:
        indices = windows.batch_indices(step, settings.batch_size, settings.seed)
        return torch.from_numpy(windows.batch(indices)).to(device, non_blocking=True)

    count = min(len(test_windows), max(1, settings.evaluate_tokens // settings.context))
    chosen = np.linspace(0, len(test_windows) - 1, count).round().astype(np.int64)

    def held_out_batches() -> Iterator[torch.Tensor]:
        at_once = max(1, 64 * settings.accumulate // training.progress.accumulate)
        for start in range(0, count, at_once):
            yield torch.from_numpy(test_windows.batch(chosen[start : start + at_once])).to(device)

    training = Training(
        module=module,
        optimizers=Optimizers(module, settings),
        objective=OBJECTIVES.get(config.objective.kind)(),
        config=settings,
        batch=batch,
        held_out=held_out_batches,
        tokens_per_byte=held_out.tokens / max(1, held_out.bytes),
        progress=Progress(steps=budget(config, len(tokens.ids())), lr=settings.lr, accumulate=settings.accumulate),
        autocast=_autocast(settings.precision, device),
    )
    start = [int(i) for i in held_out.ids()[: inspection.MAX_TOKENS]]
    if config.sample.every:
        prompt = config.sample.prompt or tokenizer.decode(start[:16])
        training.sampler = _sampler(module, tokenizer, config, prompt)
        training.sample_every = config.sample.every
    if config.probe.every:
        ids = (tokenizer.encode(config.probe.text).ids or start) if config.probe.text else start
        ids = ids[: min(inspection.MAX_TOKENS, settings.context)]
        training.probe = _probe(folder, module, tokenizer, ids)
        training.probe_every = config.probe.every if training.probe else 0
    if settings.compile == "on" or (settings.compile == "auto" and device.type == "cuda"):
        module.compile()
    return training


def check_memory(config: RunConfig, device: torch.device, vocab_size: int) -> None:
    """ConfigError with the figures where the training cannot fit into the device's memory."""
    if not MODELS.is_builtin(config.model.kind):
        return
    needed = estimate.memory(config, vocab_size)["total"]
    there = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else memory_limit()
    if needed > there:
        raise ConfigError(
            f"This needs about {needed / 1e9:.1f} GB of memory and {device} has {there / 1e9:.1f} GB.",
            "Take a smaller --size, model.width, train.context or train.batch_size, or train.accumulate.",
        )


def budget(config: RunConfig, corpus_tokens: int) -> int | None:
    """The budget in steps; None for one in minutes, which the loop calibrates."""
    settings = config.train
    a_step = settings.batch_size * settings.context
    if settings.steps:
        return settings.steps
    if settings.tokens:
        return max(1, math.ceil(settings.tokens / a_step))
    if settings.epochs:
        return max(1, math.ceil(settings.epochs * corpus_tokens / a_step))
    return None


def _autocast(precision: str, device: torch.device) -> Callable[[], Any] | None:
    """bf16 where it pays: on a GPU that has it. On a CPU it is slower at these sizes, and is used when asked for."""
    wanted = precision == "bf16" or (
        precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return (lambda: torch.autocast(device.type, dtype=torch.bfloat16)) if wanted else None


def _sampler(module: Any, tokenizer: Any, config: RunConfig, prompt: str) -> Any:
    sample = config.sample

    def draw(step: int) -> list[tuple[str, str]]:
        written = generate(
            module,
            tokenizer,
            prompt,
            max_tokens=sample.max_tokens,
            temperature=sample.temperature,
            top_k=sample.top_k,
            top_p=sample.top_p,
            seed=config.train.seed,
            context=config.train.context,
        )
        return [(prompt, str(text)) for text in written]

    return draw


def _probe(folder: RunFolder, module: Any, tokenizer: Any, ids: list[int]) -> Any:
    """The probe, where the model has something to show; its tokens are written down once."""
    if len(ids) < 2:
        return None
    found = inspection.probe(module, ids)
    if not found:
        return None
    folder.probes.mkdir(exist_ok=True)
    labels = tokenizers.token_strings(tokenizer, ids)
    described = {"kind": next(iter(found)), "tokens": labels, "text": tokenizer.decode(ids)}
    write_json(folder.probes / "probe.json", described)
    return lambda step: inspection.probe(module, ids)


def save_probe(folder: RunFolder, step: int, arrays: dict[str, np.ndarray], most: int = 200) -> None:
    """Keep the maps of a step; of more than `most` files every second is dropped, the first and the last kept."""
    folder.probes.mkdir(exist_ok=True)
    temporary = folder.probes / f".step-{step}.npz"
    with open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    os.replace(temporary, folder.probes / f"step-{step}.npz")
    files = sorted(folder.probes.glob("step-*.npz"), key=lambda path: int(path.stem.partition("-")[2]))
    if len(files) > most:
        for path in files[1:-1:2]:
            path.unlink(missing_ok=True)

"""Tokens a second of a training step at equal size: ours against transformers, in a loop of one's own and its Trainer.

    python -m tests.benchmarks.step [OUT.json] [--rounds 7] [--steps 60]

Four layers of 128, context 64, batch 12, a vocabulary of 65, two threads (or NBLLM_BENCH_THREADS), random tokens;
transformers' is GPT-2 of that size with torch's AdamW and clipping, ours the default layout, with AdamW too, in float32
alone and as it is by default (products in bfloat16 where the CPU has it), and with Muon, through the engine's own loop.
All take turns in one process; shown are medians of the rates, and of their ratios to the bare loop beside them. With
NBLLM_BENCH_CLOCK=cpu the seconds are those of the processor.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from nbllm.config import RunConfig, TokenizerConfig
from nbllm.data import tokenizers
from nbllm.models.language_model import LanguageModel
from nbllm.objectives.base import Batch
from nbllm.objectives.make import make
from nbllm.runners.assemble import narrowing
from nbllm.training.loop import Progress, Training, train
from nbllm.training.optim import Optimizers
from tests.benchmarks import peers
from tests.benchmarks.table import options, tell

VOCABULARY = 65
TOKENS = peers.BATCH * peers.CONTEXT


class Quiet:
    """A control that never says anything."""

    def take(self, step: int) -> list[dict[str, Any]]:
        return []

    def idle(self) -> None: ...


def ours(ids: np.ndarray, optimizer: str, precision: str = "auto") -> Callable[[int], float]:
    """So many further steps of our engine's loop: their seconds."""
    torch.manual_seed(0)
    config = RunConfig(
        model={"layers": 4, "width": 128, "heads": 4},
        train={"optimizer": optimizer, "batch_size": peers.BATCH, "evaluate_every": 10**9, "checkpoint_every": 10**9},
    )
    module, source = LanguageModel(config.model, VOCABULARY, peers.CONTEXT), peers.batches(ids)
    objective = make(config, tokenizers.train(TokenizerConfig(kind="char"), iter(["abc"])))

    def batch(step: int) -> Batch:
        tokens_BT, targets_BT = next(source)
        return {"tokens": tokens_BT, "targets": targets_BT}

    training = Training(
        module=module, optimizers=Optimizers(module, config.train), objective=objective, config=config.train,
        batch=batch, held_out=list, progress=Progress(lr=config.train.lr),
        autocast=narrowing(precision, torch.device("cpu")),
    )  # fmt: skip

    def run(steps: int) -> float:
        training.progress.steps = None  # no last step, at which it would evaluate
        events, began = train(training, Quiet()), peers.now()
        for count, _ in enumerate(events, 1):
            if count == steps:
                break
        taken = peers.now() - began
        events.close()  # type: ignore[attr-defined]
        return taken

    return run


def bare(ids: np.ndarray) -> Callable[[int], float]:
    """So many further steps of a plain loop over transformers' GPT-2."""
    module = peers.gpt2(VOCABULARY).train()
    adamw, source = peers.optimizer(module), peers.batches(ids)

    def run(steps: int) -> float:
        began = peers.now()
        for _ in range(steps):
            peers.bare_step(module, adamw, *next(source))
        return peers.now() - began

    return run


def trainer(ids: np.ndarray, folder: str) -> Callable[[int], float]:
    """So many steps of transformers' Trainer, between the first and the last of them."""
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_utils import IntervalStrategy, SaveStrategy

    module, source = peers.gpt2(VOCABULARY), peers.batches(ids)

    class Windows(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __init__(self, count: int):
            rows = torch.cat([next(source)[0] for _ in range(-(-count // peers.BATCH))])
            self.rows = [{"input_ids": row, "labels": row} for row in rows]

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return self.rows[index]

    class Clock(TrainerCallback):
        marks: list[float]

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.marks.append(peers.now())

    def run(steps: int) -> float:
        clock = Clock()
        clock.marks = []
        settings = TrainingArguments(
            output_dir=folder, max_steps=steps + 1, per_device_train_batch_size=peers.BATCH, learning_rate=1e-3,
            weight_decay=0.1, max_grad_norm=1.0, adam_beta2=0.99, report_to=[], save_strategy=SaveStrategy.NO,
            logging_strategy=IntervalStrategy.STEPS, logging_steps=100, disable_tqdm=True, use_cpu=True,
            dataloader_num_workers=0,
        )  # fmt: skip
        Trainer(module, settings, train_dataset=Windows((steps + 1) * peers.BATCH), callbacks=[clock]).train()
        return clock.marks[-1] - clock.marks[0]

    return run


def measure(rounds: int = 7, steps: int = 60) -> list[dict[str, Any]]:
    """A row a way to train."""
    torch.set_num_threads(peers.THREADS)
    ids = np.random.default_rng(0).integers(0, VOCABULARY, 200_000).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            "transformers, bare loop": bare(ids),
            "transformers, Trainer": trainer(ids, folder),
            "nbllm, AdamW, float32": ours(ids, "adamw", "fp32"),
            "nbllm, AdamW": ours(ids, "adamw"),
            "nbllm, Muon (its default)": ours(ids, "muon"),
        }
        for run in ways.values():
            run(5)
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                rates[way].append(steps * TOKENS / run(steps))
    return [
        {
            "training step": way,
            "tokens/s": round(statistics.median(found)),
            "lowest": round(min(found)),
            "highest": round(max(found)),
            "times the bare loop": round(_ratio(found, rates["transformers, bare loop"]), 2),
            "times the Trainer": round(_ratio(found, rates["transformers, Trainer"]), 2),
        }
        for way, found in rates.items()
    ]


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    asked = options(__doc__, rounds=7, steps=60)
    tell(measure(asked.rounds, asked.steps), asked.out)


if __name__ == "__main__":
    main()

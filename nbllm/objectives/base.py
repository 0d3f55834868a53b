"""What every objective is.

B examples of a batch, T tokens, N answers that count, V choices of an answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from nbllm.config import GOALS, Goal, ObjectiveConfig

Batch = dict[str, Tensor]
"""Named tensors whose first axis is the example: what one step learns from."""
Example = dict[str, np.ndarray]
"""A row as it is stored: named lists of whole numbers."""
Row = dict[str, str]
"""A row of a table, by the role of its columns (text, label, source, target, ...)."""

IGNORED = -100
"""The answer at places that do not count."""

PAD, CLS, SEP, MASK = "<pad>", "<cls>", "<sep>", "<mask>"


@dataclass(frozen=True)
class Task:
    """What an objective knows of its run: its settings, the tokenizers, the labels, the longest texts."""

    config: ObjectiveConfig
    tokenizer: Tokenizer
    context: int
    target_tokenizer: Tokenizer | None = None
    target_context: int | None = None
    labels: tuple[str, ...] = ()
    latent: int = 0

    @property
    def end(self) -> int:
        """Id of the token that ends a text, and begins a target."""
        from nbllm.data.tokenizers import end_id

        return end_id(self.tokenizer) or 0

    def token(self, name: str) -> int | None:
        """Id of a special token of ours, or of another's name for it; None where the tokenizer has none."""
        from nbllm.data.tokenizers import special_id

        return special_id(self.tokenizer, name)


class Objective(ABC):
    """From examples to a loss. A subclass says what a batch is (`collate`) and what is asked of the model (`predict`).

    `goal` says what data it wants; a `stream` objective is given windows of `context` + 1 tokens, the others rows that
    `encode` has turned into examples once.
    """

    goal: ClassVar[Goal] = GOALS["clm"]
    special_tokens: ClassVar[tuple[str, ...]] = ()
    """Tokens that the tokenizer needs beside <unk> and <eos>."""
    version: ClassVar[int] = 1
    """Raised when the same rows would give other examples."""
    prefix: ClassVar[bool] = False
    """Whether a text to go on from is read both ways."""

    def __init__(self, task: Task):
        self.task = task
        self.cut = 0
        """Texts that were longer than the context and were cut, counted by `encode`."""

    @property
    def outputs(self) -> int:
        """Answers that a model with a head over labels gives."""
        return 0

    def encode(self, rows: Sequence[Row]) -> list[Example | None]:
        """An example a row, None for one that holds nothing to learn from."""
        raise NotImplementedError(f"{type(self).__name__} learns from windows, not from rows")

    def row(self, example: Example) -> Row:
        """The row that an example was made of, as far as its tokens tell: what is shown of it, and augmented."""
        raise NotImplementedError(f"{type(self).__name__} learns from windows, not from rows")

    def examples(self, store: Any, indices: np.ndarray, rng: np.random.Generator) -> list[Example]:
        """The examples of a batch, from the store (`len`, `[index]`)."""
        return [store[int(index)] for index in indices]

    @abstractmethod
    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """A batch of examples, or of windows (B, context + 1) of int64 for a stream; `rng` is a function of seed and
        step, so that a resumed run draws the same."""

    @abstractmethod
    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """logits_NV and targets_N of every answer that counts."""

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy over the answers, in nats, and what is measured beside it (means over the same answers):

        loss = -1/N * sum_n log p(target_n)
        """
        logits_NV, targets_N = self.predict(module, batch)
        return cross_entropy(logits_NV, targets_N), {}

    def learn_from(self, teacher: nn.Module) -> None:
        """Let another network's predictions be learned too, which only some objectives know how to."""
        raise NotImplementedError(f"{type(self).__name__} learns from no teacher")

    def weight(self, batch: Batch) -> float:
        """Answers that the loss is a mean over, or the sum of their weights."""
        targets = batch.get("targets")
        if targets is None:
            return len(next(iter(batch.values())))
        return int((targets != IGNORED).sum()) if targets.dtype == torch.int64 else targets.numel()

    def tokens(self, batch: Batch) -> int:
        """Tokens that the batch holds, for the counter of tokens."""
        return sum(t.numel() for name, t in batch.items() if name in ("tokens", "source", "inputs"))

    def measures(self, module: nn.Module, batch: Batch) -> dict[str, tuple[float, float]]:
        """What is measured on a held-out batch beside the loss: name to (sum, count); the ratio of the sums is told."""
        return {}

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """What an evaluation tells beside the loss."""
        return measures


def cross_entropy(logits_NV: Tensor, targets_N: Tensor, smoothing: float = 0.0, weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy in float32 or wider; answers that are IGNORED do not count; zero where none counts."""
    wide = logits_NV if logits_NV.dtype == torch.float64 else logits_NV.float()
    if targets_N.numel() and bool((targets_N != IGNORED).any()):
        weight = None if weight is None else weight.to(wide)
        return F.cross_entropy(wide, targets_N, weight=weight, ignore_index=IGNORED, label_smoothing=smoothing)
    return wide.sum() * 0.0


def padded(lists: Sequence[np.ndarray], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Lists of ids as one block (B, T) of int64, filled up at the end, and real (B, T): True where an id is."""
    longest = max(1, max((len(ids) for ids in lists), default=1))
    block = np.full((len(lists), longest), fill, dtype=np.int64)
    real = np.zeros((len(lists), longest), dtype=bool)
    for row, ids in enumerate(lists):
        block[row, : len(ids)] = ids
        real[row, : len(ids)] = True
    return torch.from_numpy(block), torch.from_numpy(real)


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in about equal parts along its examples."""
    names = list(batch)
    pieces = zip(*(batch[name].chunk(parts) for name in names), strict=True)
    return [dict(zip(names, piece, strict=True)) for piece in pieces]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}

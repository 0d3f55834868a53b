"""The batches of a run: windows of a corpus, or examples of its rows, in the order that the seed and the step say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.config import RunConfig
from nbllm.data.augment import augment_record
from nbllm.data.examples import Examples
from nbllm.data.order import Order
from nbllm.data.token_file import TokenFile
from nbllm.data.windows import Windows
from nbllm.objectives.base import Batch, Example, Objective

TRAIN, HELD_OUT, SHUFFLE = 2, 3, 4  # streams of random numbers of their own


def open_corpus(
    data: Path, config: RunConfig, objective: Objective, base: Path | None = None, cache: Path | None = None
) -> Corpus:
    """The corpus whose files lie in `data`; a stream reads its source, which may be relative to `base`, anew."""
    if (data / "stream.json").exists():
        from nbllm.runners.streamed import StreamCorpus

        return StreamCorpus(data, config, objective, base or Path.cwd(), cache)
    if (data / "train.bin").exists():
        return WindowCorpus(data, config, objective)
    return ExampleCorpus(data, config, objective)


class Corpus(ABC):
    """`batch(step)` is a pure function of the step; `held_out` gives the same batches every time."""

    tokens_per_byte: float
    """Answers a byte of the held-out text."""
    epoch_steps: float
    """Steps that show every example once."""

    def __init__(self, config: RunConfig, objective: Objective):
        self.train, self.objective = config.train, objective

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """What the step learns from."""

    @abstractmethod
    def held_out(self, at_once: int) -> Iterator[Batch]:
        """The held-out examples that an evaluation reads, at most `at_once` a batch."""

    @abstractmethod
    def start(self, count: int) -> list[int]:
        """The first tokens of the held-out text: what is watched and gone on from where nothing else is said."""

    def start_of_target(self, count: int) -> list[int]:
        """What a decoder reads of the target that belongs to `start`; empty where there is none."""
        return []

    def state(self, step: int) -> dict[str, Any]:
        """What a checkpoint before this step holds so that `batch` is as quick after it; nothing where it always is."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        assert not state, "a corpus that has a state takes it back"

    def rng(self, stream: int, number: int) -> np.random.Generator:
        """Random numbers that are a function of the seed, the stream and the number."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.train.seed, stream, number))))


class TextCorpus(Corpus):
    """Windows of `context` + 1 tokens: here those of the held-out text."""

    def __init__(self, data: Path, config: RunConfig, objective: Objective):
        super().__init__(config, objective)
        held, context = TokenFile.open(data / "held_out.bin"), config.train.context
        self.held_ids = held.ids()
        self.held_windows = Windows(self.held_ids, context, context)
        self.tokens_per_byte = held.tokens / max(1, held.bytes)
        count = min(len(self.held_windows), max(1, config.train.evaluate_tokens // context))
        self.chosen = np.linspace(0, len(self.held_windows) - 1, count).round().astype(np.int64)

    def held_out(self, at_once: int) -> Iterator[Batch]:
        for start in range(0, len(self.chosen), at_once):
            windows = self.held_windows.batch(self.chosen[start : start + at_once])
            yield self.objective.collate(windows, self.rng(HELD_OUT, start))

    def start(self, count: int) -> list[int]:
        return [int(i) for i in self.held_ids[:count]]


class WindowCorpus(TextCorpus):
    """Windows of a token file."""

    def __init__(self, data: Path, config: RunConfig, objective: Objective):
        super().__init__(data, config, objective)
        tokens, context = TokenFile.open(data / "train.bin"), config.train.context
        self.ids = tokens.ids()[: max(context + 1, round(tokens.tokens * config.data.use))]
        self.windows = Windows(self.ids, context, config.data.stride or context)
        self.order = Order(len(self.windows))
        self.epoch_steps = len(self.ids) / (config.train.batch_size * context)

    def batch(self, step: int) -> Batch:
        indices = self.order.batch(step, self.train.batch_size, self.train.seed)
        return self.objective.collate(self.windows.batch(indices), self.rng(TRAIN, step))


class ExampleCorpus(Corpus):
    """Examples of rows or sentences; those of a batch are of like length."""

    def __init__(self, data: Path, config: RunConfig, objective: Objective):
        super().__init__(config, objective)
        self.examples, self.held = Examples.open(data / "train"), Examples.open(data / "held_out")
        count = max(1, round(len(self.examples) * config.data.use))
        self.used = np.linspace(0, len(self.examples) - 1, count).round().astype(np.int64)
        self.lengths = self.examples.lengths[self.used]
        self.order = Order(count)
        about = self.held.about
        self.tokens_per_byte = about["tokens"] / max(1, about["bytes"])
        self.epoch_steps = count / config.train.batch_size
        self.augmented = config.data.augment
        held_lengths = self.held.lengths
        fits = max(1, int(len(held_lengths) * config.train.evaluate_tokens / max(1, held_lengths.sum())))
        chosen = np.linspace(0, len(self.held) - 1, min(len(self.held), fits)).round().astype(np.int64)
        self.chosen = chosen[np.argsort(held_lengths[chosen], kind="stable")]

    def batch(self, step: int) -> Batch:
        indices = self.order.batch_of_like_length(step, self.train.batch_size, self.train.seed, self.lengths)
        rng = self.rng(TRAIN, step)
        examples = self.objective.examples(self.examples, self.used[indices], rng)
        if self.augmented.active:
            epoch = step * self.train.batch_size // len(self.used)
            examples = [self._augment(e, int(i), epoch) for e, i in zip(examples, indices, strict=True)]
        return self.objective.collate(examples, rng)

    def held_out(self, at_once: int) -> Iterator[Batch]:
        for start in range(0, len(self.chosen), at_once):
            rng = self.rng(HELD_OUT, start)
            examples = self.objective.examples(self.held, self.chosen[start : start + at_once], rng)
            yield self.objective.collate(examples, rng)

    def start(self, count: int) -> list[int]:
        first = self.held[0]
        ids = first.get("source", first.get("tokens", np.zeros(1, dtype=np.int64)))
        return [int(i) for i in ids[:count]]

    def start_of_target(self, count: int) -> list[int]:
        first = self.held[0]
        if "target" not in first:
            return []
        batch = self.objective.collate([first], self.rng(HELD_OUT, 0))
        return [int(i) for i in batch["inputs"][0][:count]]

    def _augment(self, example: Example, index: int, epoch: int) -> Example:
        """The example of a changed text: its first column's, the answer stays."""
        row = self.objective.row(example)
        changed = augment_record(
            row, self.augmented, seed=self.train.seed, index=index, epoch=epoch, columns=(next(iter(row)),)
        )
        return self.objective.encode([changed])[0] or example

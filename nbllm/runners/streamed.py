"""The batches of a text that is tokenized while training."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.config import RunConfig
from nbllm.data import tokenizers
from nbllm.data.encode import encoder
from nbllm.data.make_stream import open_stream
from nbllm.data.text_stream import Place, TokenStream
from nbllm.data.windows import Windows
from nbllm.objectives.base import Batch, Objective
from nbllm.runners.corpus import SHUFFLE, TRAIN, TextCorpus


@dataclass(frozen=True)
class _Group:
    """Windows that are shuffled together: the tokens that they are cut from, and the place where the next begin."""

    number: int
    ids: np.ndarray
    after: Place


class StreamCorpus(TextCorpus):
    """Windows packed from an endless stream of tokens: documents one after another, <eos> between them, no filling.

    The windows of some steps make a group (`data.shuffle`), shuffled within it by a function of the seed and the number
    of the group. So `batch` is still a pure function of the step: where it goes on step by step, or from the place that
    `load_state` was given, one group is tokenized; a step further back or ahead costs the way there.

    While a group is learned from, a thread makes the next one. It changes nothing but the waiting.
    """

    def __init__(self, data: Path, config: RunConfig, objective: Objective, base: Path, cache: Path | None = None):
        super().__init__(data, config, objective)
        self.epoch_steps = math.inf
        self._text, self._start = open_stream(data, config, base, cache)
        self._encode = encoder(tokenizers.load(data.parent / "tokenizer.json"))  # of its own: a thread works with it
        self._steps = max(1, config.data.shuffle // config.train.batch_size)  # of a group
        self._stride = config.data.stride or config.train.context
        self._stream = TokenStream(self._text, self._encode, self._start)
        self._places: dict[int, Place | None] = {0: None}  # where groups begin; None: at the start
        self._now: _Group | None = None
        self._ahead: _Ahead | None = None

    def batch(self, step: int) -> Batch:
        number, within = divmod(step, self._steps)
        size = self.train.batch_size
        order = self.rng(SHUFFLE, number).permutation(self._steps * size)
        windows = Windows(self._group(number).ids, self.train.context, self._stride)
        indices = order[within * size : (within + 1) * size]
        return self.objective.collate(windows.batch(indices), self.rng(TRAIN, step))

    def state(self, step: int) -> dict[str, Any]:
        """The place where the step's group begins."""
        number = step // self._steps
        if number not in self._places:
            self._group(number)
        return {"group": number, "place": self._places[number]}

    def load_state(self, state: dict[str, Any]) -> None:
        self._places = {0: None, state["group"]: state["place"]}
        self._now = self._ahead = None

    def _group(self, number: int) -> _Group:
        if self._now is None or self._now.number != number:
            if self._ahead is not None and self._ahead.number == number:
                group = self._ahead.result()
            else:
                group = self._walk(number)
            self._now = group
            self._places = {0: None, number: self._places.get(number), number + 1: group.after}
            self._ahead = _Ahead(number + 1, partial(self._make, self._stream, number + 1))
        return self._now

    def _walk(self, number: int) -> _Group:
        """The group, by way of the nearest one before it whose place is known."""
        nearest = max(each for each in self._places if each <= number)
        self._stream = TokenStream(self._text, self._encode, self._start, self._places[nearest])
        group = self._make(self._stream, nearest)
        while group.number < number:
            self._places[group.number + 1] = group.after
            group = self._make(self._stream, group.number + 1)
        return group

    def _make(self, stream: TokenStream, number: int) -> _Group:
        """The next group of the stream."""
        used = self._steps * self.train.batch_size * self._stride
        ids = stream.take(used - self._stride + self.train.context + 1, used)
        return _Group(number, ids, stream.place)


class _Ahead(threading.Thread):
    """Makes a group in the background. What goes wrong is raised where the group is wanted."""

    def __init__(self, number: int, make: Callable[[], _Group]):
        super().__init__(name="nbllm-stream", daemon=True)
        self.number = number
        self._make = make
        self._made: _Group | BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._made = self._make()
        except BaseException as error:
            self._made = error

    def result(self) -> _Group:
        """The group, once it is made."""
        self.join()
        if isinstance(self._made, BaseException):
            raise self._made
        assert self._made is not None, "run has ended"
        return self._made

"""Where in a text the answer to a question begins and where it ends (BERT's span head, Devlin et al. 2019, 4.2).

B texts, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from nbllm.config import GOALS, Goal
from nbllm.data.questions import says_unsaid
from nbllm.objectives.base import CLS, PAD, SEP, Batch, Example, Objective, Row, Task, cross_entropy, padded

Offsets = list[tuple[int, int]]
"""First and last (exclusive) character of each token."""
_QUESTION = 0.5  # of the context, at most


class AnswerSpan(Objective):
    """The mean cross-entropy of both ends over all places, in nats; the first place stands for no answer:

    loss = -1/(2B) sum_b log p(start_b | x_b) + log p(end_b | x_b)

    A row's `source` is a text with the question in its last line, its `target` words of the text, or that it holds no
    answer. An answer that is not in the text word for word cannot be marked: such rows are left out.
    """

    goal: ClassVar[Goal] = GOALS["answer-span"]

    def __init__(self, task: Task):
        super().__init__(task)
        cls, sep = task.token(CLS), task.token(SEP)
        own = ([] if cls is None else [cls], [task.end] if sep is None else [sep], [] if sep is None else [sep])
        self.before, self.between, self.behind = pair_frame(task.tokenizer) or own

    @property
    def outputs(self) -> int:
        """The start and the end."""
        return 2

    def encode(self, rows: Sequence[Row]) -> list[Example | None]:
        """tokens, segments, and the places of both ends, of the window that holds the answer."""
        return [self._example(*parted(row["source"]), row["target"]) for row in rows]

    def _example(self, text: str, question: str, answer: str) -> Example | None:
        windows = self.windows(text, question)
        self.cut += len(windows) > 1
        if not windows:
            return None
        if says_unsaid(answer):
            return _example(windows[0], 0, 0)
        begin = text.lower().find(answer.strip().lower())
        end = begin + len(answer.strip())
        for window in windows if begin >= 0 else []:
            inside = [i for i, (a, b) in enumerate(window.offsets) if a < end and b > begin]
            if inside and window.offsets[inside[0]][0] <= begin and window.offsets[inside[-1]][1] >= end:
                return _example(window, window.ahead + inside[0], window.ahead + inside[-1])
        return None

    def windows(self, text: str, question: str) -> list[Window]:
        """<cls> question <sep> text <sep>, the text in as many windows as it takes, each half over the one before; []
        where either holds no token."""
        encoded = self.task.tokenizer.encode(text, add_special_tokens=False)
        asked = self.task.tokenizer.encode(question, add_special_tokens=False).ids
        asked = asked[: max(1, int(self.task.context * _QUESTION))]
        if not encoded.ids or not asked:
            return []
        head = [*self.before, *asked, *self.between]
        room = max(1, self.task.context - len(head) - len(self.behind))
        step = room if len(encoded.ids) <= room else max(1, room // 2)
        found = []
        for start in range(0, max(1, len(encoded.ids) - room + step), step):
            ids = encoded.ids[start : start + room]
            tokens = [*head, *ids, *self.behind]
            segments = [0] * len(head) + [1] * (len(tokens) - len(head))
            found.append(Window(tokens, segments, len(head), encoded.offsets[start : start + room]))
        return found

    def row(self, example: Example) -> Row:
        """The text with its question, and the answer."""
        tokens, second = example["tokens"], example["segments"] == 1
        decode = self.task.tokenizer.decode
        start, end = (int(place) for place in example["ends"])
        answer = decode(tokens[start : end + 1].tolist()) if start else "unknown"
        return {"source": f"{decode(tokens[second].tolist())}\n{decode(tokens[~second].tolist())}", "target": answer}

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """tokens_BT, real_BT, segments_BT, and the places of both ends, targets_B2."""
        tokens, real = padded([e["tokens"] for e in examples], self.task.token(PAD) or 0)
        segments, _ = padded([e["segments"] for e in examples])
        targets = torch.from_numpy(np.stack([np.asarray(e["ends"], dtype=np.int64) for e in examples]))
        return {"tokens": tokens, "real": real, "segments": segments, "targets": targets}

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """logits over the places of the context, and the right ones: of each text the start and the end."""
        logits_BT2 = module(batch["tokens"], batch["real"], batch["segments"])
        least = torch.finfo(logits_BT2.dtype).min
        logits_BT2 = logits_BT2.masked_fill(~batch["real"].unsqueeze(-1), least)
        logits_NT = logits_BT2.transpose(1, 2).flatten(0, 1)
        beyond = self.task.context - logits_NT.shape[1]
        return F.pad(logits_NT, (0, max(0, beyond)), value=least), batch["targets"].flatten()

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        logits_NT, targets_N = self.predict(module, batch)
        right = (logits_NT.argmax(-1) == targets_N).float().mean()
        return cross_entropy(logits_NT, targets_N), {"accuracy": right}

    def measures(self, module: nn.Module, batch: Batch) -> dict[str, tuple[float, float]]:
        """The share of ends that are right, and of texts of which both are."""
        logits_NT, targets_N = self.predict(module, batch)
        right_B2 = (logits_NT.argmax(-1) == targets_N).view(-1, 2)
        return {
            "accuracy": (float(right_B2.sum()), float(right_B2.numel())),
            "span_accuracy": (float(right_B2.all(1).sum()), float(len(right_B2))),
        }


def pair_frame(tokenizer: Tokenizer) -> tuple[list[int], list[int], list[int]] | None:
    """The ids that a tokenizer itself puts before, between and behind two texts (RoBERTa's has two between); None where
    it puts none."""
    first, second = (tokenizer.encode(text, add_special_tokens=False).ids for text in "ab")
    whole = tokenizer.encode("a", "b", add_special_tokens=True).ids
    for start in range(len(whole)):
        for behind in range(start + len(first), len(whole)):
            parts = whole[start : start + len(first)], whole[behind : behind + len(second)]
            if parts == (first, second) and len(whole) > len(first) + len(second):
                return whole[:start], whole[start + len(first) : behind], whole[behind + len(second) :]
    return None


class Window:
    """A part of a text behind its question: tokens, segments, how many tokens stand before the text, and the characters
    of each of the text's tokens."""

    def __init__(self, tokens: list[int], segments: list[int], ahead: int, offsets: Offsets):
        self.tokens, self.segments, self.ahead, self.offsets = tokens, segments, ahead, offsets


def parted(source: str) -> tuple[str, str]:
    """A text and the question in its last line; a source of one line is a question without a text."""
    text, _, question = source.rstrip("\n").rpartition("\n")
    return text, question


def _example(window: Window, start: int, end: int) -> Example:
    return {
        "tokens": np.array(window.tokens), "segments": np.array(window.segments), "ends": np.array([start, end]),
    }  # fmt: skip

"""A label, or several, for a text or a pair of texts.

B texts, T tokens, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbllm.config import GOALS, Goal
from nbllm.errors import DataError
from nbllm.objectives.base import CLS, PAD, SEP, Batch, Example, Objective, Row, Task, cross_entropy, padded

PARTED_BY = "|"
"""What stands between the labels of one text, where a text may have several."""


class Classify(Objective):
    """One of L labels by a softmax, in nats a text (w the weight of a label, 1 or n / (L n_l)):

        loss = -sum_b w_{y_b} log p(y_b | x_b) / sum_b w_{y_b}

    or yes and no by sigmoids, one for two labels and one a label where a text may have several, in nats an answer:

        loss = -1/(B L) * sum_{b,l} y_{bl} log s_{bl} + (1 - y_{bl}) log(1 - s_{bl})
    """

    goal: ClassVar[Goal] = GOALS["classification"]

    def __init__(self, task: Task):
        super().__init__(task)
        self.labels = {label: index for index, label in enumerate(task.labels)}
        self.several = task.config.multi_label
        self.sigmoid = self.several or (task.config.answer == "sigmoid" and len(task.labels) == 2)
        if task.config.answer == "sigmoid" and not self.sigmoid and task.labels:
            raise DataError(
                f"One sigmoid answers yes or no, and the data has {len(task.labels)} labels.",
                "Use objective: {answer: softmax}, or multi_label: true where a text may have several.",
            )
        self.weights: Tensor | None = None
        """(L,) the weight of each label; set from their counts where `class_weights` is balanced."""

    @property
    def outputs(self) -> int:
        """One for one sigmoid, else one a label."""
        return 1 if self.sigmoid and not self.several else len(self.labels)

    def balance(self, counts: Sequence[int]) -> None:
        """Weigh each label by n / (L n_l), from how often each stands in the training data."""
        if self.task.config.class_weights == "balanced":
            total = sum(counts)
            self.weights = torch.tensor([total / (len(counts) * max(1, count)) for count in counts])

    def encode(self, rows: Sequence[Row]) -> list[Example | None]:
        """tokens, their segment (0 or 1) and the numbers of the labels. A label that is not known is a DataError."""
        firsts = self._ids([row["text"] for row in rows])
        seconds = self._ids([row["pair"] for row in rows]) if rows and "pair" in rows[0] else [[]] * len(rows)
        found: list[Example | None] = []
        for row, first, second in zip(rows, firsts, seconds, strict=True):
            tokens, segments = self.framed(first, second)
            example = {"tokens": tokens, "segments": segments, "labels": self._numbers(row["label"])}
            found.append(example if first else None)
        return found

    def row(self, example: Example) -> Row:
        decode = self.task.tokenizer.decode
        first, second = (example["tokens"][example["segments"] == part].tolist() for part in (0, 1))
        label = PARTED_BY.join(self.task.labels[int(i)] for i in example["labels"])
        return {"text": decode(first), "label": label, **({"pair": decode(second)} if second else {})}

    def framed(self, first: list[int], second: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """<cls> first <sep> second <sep> where the tokenizer has them, else first <eos> second; cut to the context from
        the longer of the two. With it to which of the two each token belongs."""
        cls, sep = self.task.token(CLS), self.task.token(SEP)
        framing = ([cls] if cls is not None else [], [sep] if sep is not None else [])
        between = framing[1] or ([self.task.end] if second else [])
        room = self.task.context - len(framing[0]) - len(between) - (len(framing[1]) if second else 0)
        if len(first) + len(second) > room:
            self.cut += 1
            keep = max(room - min(len(second), room // 2), room // 2 if second else room)
            first, second = first[:keep], second[: room - min(keep, len(first))]
        tokens = [*framing[0], *first, *between]
        segments = [0] * len(tokens)
        if second:
            tail = [*second, *framing[1]]
            tokens, segments = tokens + tail, segments + [1] * len(tail)
        return np.array(tokens), np.array(segments)

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """tokens_BT, real_BT, segments_BT, and targets: numbers_B, or zeros and ones (B, L) for sigmoids."""
        tokens, real = padded([e["tokens"] for e in examples], self.task.token(PAD) or 0)
        segments, _ = padded([e["segments"] for e in examples])
        if not self.sigmoid:
            targets = torch.tensor([int(e["labels"][0]) for e in examples])
        elif not self.several:
            targets = torch.tensor([[float(e["labels"][0])] for e in examples])
        else:
            targets = torch.zeros(len(examples), len(self.labels))
            for row, example in enumerate(examples):
                targets[row, torch.from_numpy(np.asarray(example["labels"], dtype=np.int64))] = 1.0
        return {"tokens": tokens, "real": real, "segments": segments, "targets": targets}

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """logits_BL and the targets as `collate` made them."""
        return module(batch["tokens"], batch["real"], batch["segments"]), batch["targets"]

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        logits_BL, targets = self.predict(module, batch)
        if self.sigmoid:
            wide_BL = logits_BL if logits_BL.dtype == torch.float64 else logits_BL.float()
            weights = None if self.weights is None else self.weights.to(wide_BL)
            positive = weights[1] / weights[0] if weights is not None and not self.several else weights
            loss = F.binary_cross_entropy_with_logits(wide_BL, targets.to(wide_BL), pos_weight=positive)
            right = ((logits_BL > 0) == (targets > 0.5)).float().mean()
        else:
            smoothing = self.task.config.label_smoothing if module.training else 0.0
            loss = cross_entropy(logits_BL, targets, smoothing, self.weights)
            right = (logits_BL.argmax(-1) == targets).float().mean()
        return loss, {"accuracy": right}

    def weight(self, batch: Batch) -> float:
        """Texts, or the sum of their labels' weights."""
        if self.weights is None or self.sigmoid:
            return len(batch["targets"])
        return float(self.weights[batch["targets"].cpu()].sum())

    def measures(self, module: nn.Module, batch: Batch) -> dict[str, tuple[float, float]]:
        """Accuracy, and the counts that F1 is made of: right, said and there, a label."""
        logits_BL, targets = self.predict(module, batch)
        if self.several:
            said_BL, there_BL = logits_BL > 0, targets > 0.5
        else:
            choice_B = (logits_BL[:, 0] > 0).long() if self.sigmoid else logits_BL.argmax(-1)
            truth_B = targets[:, 0].long() if self.sigmoid else targets
            said_BL, there_BL = (F.one_hot(each, len(self.labels)).bool() for each in (choice_B, truth_B))
        found = {"accuracy": (float((said_BL == there_BL).all(1).sum()), float(len(said_BL)))}
        for index in range(len(self.labels)):
            said, there = said_BL[:, index], there_BL[:, index]
            found[f"right.{index}"] = (float((said & there).sum()), 1.0)
            found[f"said.{index}"] = (float(said.sum()) + float(there.sum()), 1.0)
        return found

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """Accuracy and macro-averaged F1: the mean over the labels of 2 right / (said + there). A label that is neither
        said nor there counts as 0, as in scikit-learn."""
        sums = [(measures[f"right.{i}"], measures[f"said.{i}"]) for i in range(len(self.labels))]
        scores = [2 * right / said if said else 0.0 for right, said in sums]
        return {"accuracy": measures["accuracy"], "f1": sum(scores) / max(1, len(scores))}

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.task.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def _numbers(self, label: str) -> np.ndarray:
        names = [name.strip() for name in label.split(PARTED_BY)] if self.several else [label]
        names = [name for name in names if name]
        for name in names:
            if name not in self.labels:
                raise DataError(
                    f"The label '{name}' is not among objective.labels.", f"Known: {', '.join(self.labels)}."
                )
        return np.array([self.labels[name] for name in names], dtype=np.int64)

"""A tag for each token: where entities begin and go on (BIO, Ramshaw & Marcus 1995).

B texts, T tokens, K kinds, L = 1 + 2 K tags: O, then B and I of each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.config import GOALS, Goal
from nbllm.data.entities import Span, parse_spans
from nbllm.errors import DataError
from nbllm.objectives.base import CLS, IGNORED, PAD, SEP, Batch, Example, Objective, Row, Task, cross_entropy, padded


class Tag(Objective):
    """The mean cross-entropy of the tags of all tokens of the text, in nats a token:

    loss = -1/N sum_{b,t} log p(y_bt | x_b)
    """

    goal: ClassVar[Goal] = GOALS["tagging"]

    def __init__(self, task: Task):
        super().__init__(task)
        self.kinds = {kind: index for index, kind in enumerate(task.labels)}

    @property
    def outputs(self) -> int:
        """O, and B and I of each kind."""
        return 1 + 2 * len(self.kinds)

    def encode(self, rows: Sequence[Row]) -> list[Example | None]:
        """tokens, and their tags from 1 on; 0 where a token belongs to the frame."""
        encodings = self.task.tokenizer.encode_batch([row["text"] for row in rows], add_special_tokens=False)
        found: list[Example | None] = []
        for row, encoding in zip(rows, encodings, strict=True):
            tags = self.tags(parse_spans(row["text"], row["spans"]), encoding.offsets)
            tokens, marked = self._cut(encoding.ids, tags)
            found.append({"tokens": tokens, "tags": marked} if encoding.ids else None)
        return found

    def tags(self, spans: Sequence[Span], offsets: Sequence[tuple[int, int]]) -> list[int]:
        """The tag of each token by the characters it stands for. A kind that is not known is a DataError."""
        found, begun = [], set()
        for start, end in offsets:
            inside = next((i for i, (first, last, _) in enumerate(spans) if start < last and end > first), None)
            if inside is None:
                found.append(0)
                continue
            kind = spans[inside][2]
            if kind not in self.kinds:
                raise DataError(f"The kind '{kind}' is not among objective.labels.", f"Known: {', '.join(self.kinds)}.")
            found.append(1 + 2 * self.kinds[kind] + (inside in begun))
            begun.add(inside)
        return found

    def spans(self, tags: Sequence[int], offsets: Sequence[tuple[int, int]], text: str) -> list[tuple[int, Span]]:
        """The spans that tags say, each with the token that it begins at; an I that goes on from nothing begins one.
        White space at the ends belongs to none."""
        found: list[list[Any]] = []
        before = 0
        for place, (tag, (start, end)) in enumerate(zip(tags, offsets, strict=True)):
            kind = (tag - 1) // 2 if tag else -1
            goes_on = tag and tag % 2 == 0 and before and (before - 1) // 2 == kind
            if goes_on:
                found[-1][2] = end
            elif tag:
                found.append([place, start, end, kind])
            before = tag
        spans = []
        for place, start, end, kind in found:
            whole = text[start:end]
            first, last = start + len(whole) - len(whole.lstrip()), end - (len(whole) - len(whole.rstrip()))
            if first < last:
                spans.append((place, (first, last, self.task.labels[kind])))
        return spans

    def row(self, example: Example) -> Row:
        """The text; its spans are not told, since the characters of the tokens are gone."""
        ids = example["tokens"][example["tags"] > 0].tolist()
        return {"text": self.task.tokenizer.decode(ids), "spans": "[]"}

    def framed(self, first: list[int], second: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """<cls> text <sep> where the tokenizer has them; cut to the context."""
        tokens, _ = self._cut(first, [0] * len(first))
        return tokens, np.zeros(len(tokens), dtype=np.int64)

    @property
    def ahead(self) -> int:
        """Tokens of the frame before the text."""
        return int(self.task.token(CLS) is not None)

    def _cut(self, ids: Sequence[int], tags: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        cls, sep = self.task.token(CLS), self.task.token(SEP)
        before, behind = ([] if cls is None else [cls]), ([] if sep is None else [sep])
        room = self.task.context - len(before) - len(behind)
        self.cut += len(ids) > room
        marked = [0] * len(before) + [tag + 1 for tag in tags[:room]] + [0] * len(behind)
        return np.array([*before, *ids[:room], *behind]), np.array(marked)

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """tokens_BT, real_BT, and targets_BT: a tag a token, IGNORED where there is none."""
        tokens, real = padded([e["tokens"] for e in examples], self.task.token(PAD) or 0)
        tags, _ = padded([e["tags"] for e in examples])
        return {"tokens": tokens, "real": real, "targets": torch.where(tags > 0, tags - 1, IGNORED)}

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """logits_NL and targets_N of the tokens that have a tag."""
        counts_BT = batch["targets"] != IGNORED
        return module(batch["tokens"], batch["real"])[counts_BT], batch["targets"][counts_BT]

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        logits_NL, targets_N = self.predict(module, batch)
        smoothing = self.task.config.label_smoothing if module.training else 0.0
        right = (logits_NL.argmax(-1) == targets_N).float().mean()
        return cross_entropy(logits_NL, targets_N, smoothing), {"accuracy": right}

    def measures(self, module: nn.Module, batch: Batch) -> dict[str, tuple[float, float]]:
        """The share of tokens that are tagged rightly, and of those inside an entity."""
        logits_NL, targets_N = self.predict(module, batch)
        right_N, inside_N = logits_NL.argmax(-1) == targets_N, targets_N > 0
        return {
            "accuracy": (float(right_N.sum()), float(len(targets_N))),
            "entity_accuracy": (float((right_N & inside_N).sum()), float(inside_N.sum())),
        }

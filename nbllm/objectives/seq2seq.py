"""From a source text to a target text, and the span corruption that pre-trains for it.

B pairs, S source tokens, T target tokens, N target tokens that count, V target vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.config import GOALS, Goal
from nbllm.objectives.base import IGNORED, Batch, Example, Objective, Row, Task, cross_entropy, padded

SAMPLING_STEPS = 1000
SENTINELS = 32


class Translate(Objective):
    """Teacher forcing: each target token from the source and the target tokens before it, in nats a target token:

        loss = -1/N * sum_n log p(y_n | y_{<n}, x)

    With `label_smoothing` e the answer is 1 - e on y_n and e spread evenly (Szegedy et al. 2016). With
    `scheduled_sampling` p a share of the target tokens that the decoder reads, rising to p over 1,000 steps, is what
    the model itself held likeliest in a first pass (Bengio et al. 2015; in parallel, Mihaylova and Martins 2019).
    """

    goal: ClassVar[Goal] = GOALS["seq2seq"]

    def __init__(self, task: Task):
        super().__init__(task)
        self.target_tokenizer = task.target_tokenizer or task.tokenizer
        from nbllm.data.tokenizers import end_id, source_frame

        self.target_end = end_id(self.target_tokenizer) or 0
        self.before, self.behind = source_frame(task.tokenizer)
        self.most = task.context - len(self.before) - len(self.behind)

    def encode(self, rows: Sequence[Row]) -> list[Example | None]:
        """source and target without their ends, cut to the contexts; None where either is empty."""
        sources = self.task.tokenizer.encode_batch([row["source"] for row in rows], add_special_tokens=False)
        targets = self.target_tokenizer.encode_batch([row["target"] for row in rows], add_special_tokens=False)
        most, most_target = self.most, (self.task.target_context or self.task.context) - 1
        found: list[Example | None] = []
        for source, target in zip(sources, targets, strict=True):
            self.cut += len(source.ids) > most or len(target.ids) > most_target
            example = {"source": np.array(source.ids[:most]), "target": np.array(target.ids[:most_target])}
            found.append(example if len(source.ids) and len(target.ids) else None)
        return found

    def row(self, example: Example) -> Row:
        return {
            "source": self.task.tokenizer.decode(example["source"].tolist()),
            "target": self.target_tokenizer.decode(example["target"].tolist()),
        }

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """source_BS and real_BS; inputs_BT, the target behind its beginning; targets_BT, the target and its end."""
        source, real = padded([self._framed(e["source"]) for e in examples], self.task.end)
        inputs, _ = padded([np.append([self.target_end], e["target"]) for e in examples], self.target_end)
        targets, _ = padded([np.append(e["target"], self.target_end) for e in examples], IGNORED)
        batch = {"source": source, "real": real, "inputs": inputs, "targets": targets}
        if self.task.config.scheduled_sampling:
            batch["draws"] = torch.from_numpy(rng.random(inputs.shape, dtype=np.float32))
        return batch

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Every target token and every end."""
        logits_BTV = module(batch["source"], batch["inputs"], batch["real"])
        return _counting(logits_BTV, batch["targets"])

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        smoothing, share = self.task.config.label_smoothing, self.task.config.scheduled_sampling
        share *= min(1.0, step / SAMPLING_STEPS)
        if share and module.training:
            batch = self._own_inputs(module, batch, share)
        logits_NV, targets_N = self.predict(module, batch)
        accuracy = (logits_NV.argmax(-1) == targets_N).float().mean()
        return cross_entropy(logits_NV, targets_N, smoothing if module.training else 0.0), {"token_accuracy": accuracy}

    def measures(self, module: nn.Module, batch: Batch) -> dict[str, tuple[float, float]]:
        """Accuracy a token, and a whole sentence, each token judged with the right ones before it."""
        counts_BT = batch["targets"] != IGNORED
        right_BT = module(batch["source"], batch["inputs"], batch["real"]).argmax(-1) == batch["targets"]
        whole_B = (right_BT | ~counts_BT).all(1)
        return {
            "token_accuracy": (float((right_BT & counts_BT).sum()), float(counts_BT.sum())),
            "sentence_accuracy": (float(whole_B.sum()), len(whole_B)),
        }

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """Perplexity of a target token, bits per byte of the target text, and the accuracies."""
        bits = loss / math.log(2) * tokens_per_byte
        return {"bits_per_byte": bits, "perplexity": math.exp(min(loss, 700.0)), **measures}

    def _framed(self, source: np.ndarray) -> np.ndarray:
        return np.array([*self.before, *source[: self.most], *self.behind])

    def _own_inputs(self, module: nn.Module, batch: Batch, share: float) -> Batch:
        """The batch with some target tokens that the decoder reads replaced by the model's own answers."""
        with torch.no_grad():
            answers_BT = module(batch["source"], batch["inputs"], batch["real"]).argmax(-1)
        own_BT = torch.cat((batch["inputs"][:, :1], answers_BT[:, :-1]), dim=1)
        swapped_BT = batch["draws"] < share
        swapped_BT[:, 0] = False
        return {**batch, "inputs": torch.where(swapped_BT, own_BT, batch["inputs"])}


class SpanCorruption(Translate):
    """Spans of a text are hidden behind <hidden-0>, <hidden-1>, ... in the source, and are the target (Raffel et al.
    2020, "T5", section 3.1.4). The loss is that of Translate over the target.
    """

    goal: ClassVar[Goal] = GOALS["span"]
    special_tokens: ClassVar[tuple[str, ...]] = tuple(f"<hidden-{i}>" for i in range(SENTINELS))

    def __init__(self, task: Task):
        super().__init__(task)
        found = [task.token(name) for name in self.special_tokens]
        self.sentinels = [i for i in found if i is not None]

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """Windows cut into shown and hidden spans."""
        pairs = [self._corrupt(window[: self.task.context - 1], rng) for window in examples]
        return super().collate([{"source": source, "target": target} for source, target in pairs], rng)

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """Perplexity of a target token, and the accuracies. Bits per byte of the text are none of what is hidden."""
        return {"perplexity": math.exp(min(loss, 700.0)), **measures}

    def _corrupt(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The text with its hidden spans marked, and the spans behind their marks."""
        config = self.task.config
        room = (self.task.target_context or self.task.context) - 1  # a mark a span stands there too
        hidden = max(1, min(round(len(ids) * config.mask_share), room * 3 // 4, len(ids) - 1))
        spans = max(1, round(hidden / config.span_length))
        spans = max(1, min(spans, len(self.sentinels), hidden, len(ids) - hidden, room - hidden))
        inside = _parts(hidden, spans, rng)
        between = _parts(len(ids) - hidden, spans, rng)
        source, target, place = [], [], 0
        for mark, shown, gone in zip(self.sentinels, between, inside, strict=False):
            source += [*ids[place : place + shown], mark]
            target += [mark, *ids[place + shown : place + shown + gone]]
            place += shown + gone
        return np.array(source), np.array(target)


def _parts(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """`total` cut into `parts` at places drawn evenly, none empty."""
    cuts = np.sort(rng.choice(np.arange(1, total), parts - 1, replace=False)) if parts > 1 else np.array([], dtype=int)
    return np.diff(np.concatenate(([0], cuts, [total]))).astype(int)


def _counting(logits_BTV: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
    counts_BT = targets_BT != IGNORED
    return logits_BTV[counts_BT], targets_BT[counts_BT]

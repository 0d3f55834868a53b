"""Next-token prediction, plain and behind a prefix.

B windows, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbllm.config import GOALS, Goal
from nbllm.data import middle
from nbllm.models import masks
from nbllm.objectives.base import IGNORED, Batch, Objective, Task, cross_entropy


class NextToken(Objective):
    """Causal language modelling, in nats a token:

    loss = -1/(B T) * sum_{b,t} log p(x_{b,t+1} | x_{b,1..t})

    With a teacher (Hinton et al. 2015, "Distilling the knowledge in a neural network") that is `hard`, and of teacher q
    and student p, both softened by the temperature S,

    loss = (1 - w) hard + w soft        soft = S^2 / (B T) * sum_{b,t} KL(q^(1/S) || p^(1/S))

    while training; what is held out is measured by the hard loss alone.
    """

    goal: ClassVar[Goal] = GOALS["clm"]
    teacher: nn.Module | None = None

    def __init__(self, task: Task):
        super().__init__(task)
        self.marks = middle.marks(task.tokenizer) if task.config.fill_middle and not self.prefix else None

    def learn_from(self, teacher: nn.Module) -> None:
        """Learn from the predictions of a network that reads the same tokens."""
        self.teacher = teacher

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and with a teacher both parts of it."""
        if module.training and self.marks is not None and "draws" in batch:
            batch = self.turned(batch)
        if self.teacher is None or not module.training:
            return super().loss(module, batch, step)
        logits_NV, targets_N = self.predict(module, batch)
        with torch.no_grad():
            taught_NV, _ = self.predict(self.teacher, batch)
        hard = cross_entropy(logits_NV, targets_N)
        soft = softened(logits_NV, taught_NV, self.task.config.teacher_temperature)
        share = self.task.config.teacher_weight
        return torch.lerp(hard, soft, share), {"hard_loss": hard.detach(), "soft_loss": soft.detach()}

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """tokens_BT and the targets_BT that stand one place on."""
        windows = torch.from_numpy(examples)
        batch = {"tokens": windows[:, :-1], "targets": windows[:, 1:]}
        if self.marks is not None:
            batch["draws"] = torch.from_numpy(rng.random((len(windows), 4), dtype=np.float32))
        return batch

    def turned(self, batch: Batch) -> Batch:
        """The batch with a share of its windows (`fill_middle`) begun by <prefix> a <suffix> c <middle> b <eos>: so
        many of its first tokens, cut at two places, all drawn evenly, before the rest (Bavarian et al. 2022)."""
        assert self.marks is not None
        whole = torch.cat((batch["tokens"], batch["targets"][:, -1:]), dim=1).clone()
        room = whole.shape[1] - 4
        draws = batch["draws"].tolist()
        for row, (share, part, *cuts) in enumerate(draws):
            if share >= self.task.config.fill_middle or room < 3:
                continue
            length = 3 + int(part * (room - 2))
            a, b = sorted(int(cut * (length + 1)) for cut in cuts)
            text, rest = whole[row, :length].tolist(), whole[row, length:room].tolist()
            turned = [self.marks[0], *text[:a], self.marks[1], *text[b:], self.marks[2], *text[a:b], self.task.end]
            whole[row] = torch.tensor([*turned, *rest], dtype=whole.dtype, device=whole.device)
        return {**batch, "tokens": whole[:, :-1], "targets": whole[:, 1:]}

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Every place of every window counts."""
        return module(batch["tokens"]).flatten(0, 1), batch["targets"].flatten()

    def weight(self, batch: Batch) -> int:
        return batch["targets"].numel()

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """Bits per byte, comparable between tokenizers, and perplexity, which is not."""
        bits = loss / math.log(2) * tokens_per_byte
        return {"bits_per_byte": bits, "perplexity": math.exp(min(loss, 700.0)), **measures}


def softened(logits_NV: Tensor, taught_NV: Tensor, temperature: float) -> Tensor:
    """The divergence of the student's softened predictions from the teacher's, times the square of the temperature, by
    which its gradients stay as large as those of the hard loss."""
    wide = torch.promote_types(logits_NV.dtype, torch.float32)
    student, teacher = ((each.to(wide) / temperature).log_softmax(-1) for each in (logits_NV, taught_NV))
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


class PrefixNextToken(NextToken):
    """Next-token prediction behind a prefix that is seen both ways (Raffel et al. 2020, "prefix LM"); P its length:

    loss = -1/(sum_b T - P_b + 1) * sum_b sum_{t >= P_b} log p(x_{b,t+1} | x_{b,1..t}, prefix both ways)
    """

    goal: ClassVar[Goal] = GOALS["prefix-lm"]
    prefix = True

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """As for next-token prediction, with prefix_B: up to half of the window, drawn evenly."""
        batch = super().collate(examples, rng)
        rows, length = batch["tokens"].shape
        prefix_B = torch.from_numpy(rng.integers(1, max(2, length // 2 + 1), rows))
        inside = torch.arange(length) < prefix_B[:, None] - 1
        return {**batch, "targets": batch["targets"].masked_fill(inside, IGNORED), "prefix": prefix_B}

    def predict(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The places behind the prefix, its last one included."""
        logits_BTV = module(batch["tokens"], masks.prefix(batch["prefix"], batch["tokens"].shape[1]))
        counts = batch["targets"] != IGNORED
        return logits_BTV[counts], batch["targets"][counts]

    def weight(self, batch: Batch) -> int:
        return int((batch["targets"] != IGNORED).sum())

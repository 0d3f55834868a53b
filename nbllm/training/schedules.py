"""The course of the learning rate: a pure function of the step."""

from __future__ import annotations

import math

from nbllm.config import TrainConfig


def lr_factor(step: int, total: int | None, train: TrainConfig) -> float:
    """Share of the peak learning rate for the step numbered `step` (from 0) of `total`.

    Linear warm-up over `warmup` steps, at most a tenth of the budget; then
    - wsd (warm-up, stable, decay; Hu et al. 2024, arXiv:2404.06395): the peak, then a line down to `lr_end` over the
      last `cooldown` share;
    - cosine: lr_end + (1 - lr_end) (1 + cos(pi p)) / 2 with p the share done after the warm-up;
    - constant: the peak.
    While the budget is not known yet (`total` None, a budget in minutes being calibrated) the rate stays at the peak.
    """
    warmup = train.warmup if total is None else min(train.warmup, max(1, total // 10))
    if step < warmup:
        return (step + 1) / warmup
    if total is None or train.schedule == "constant":
        return 1.0
    if train.schedule == "wsd":
        left = (total - step) / max(1.0, train.cooldown * total)
        return max(train.lr_end, min(1.0, train.lr_end + (1 - train.lr_end) * left))
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return train.lr_end + (1 - train.lr_end) * (1 + math.cos(math.pi * done)) / 2

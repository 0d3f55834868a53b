"""From logits to the next token: pure functions, and the Sampler that runs them in order.

B sequences, V vocabulary. A token that may not be drawn has a logit of -inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nbllm.errors import ModelError


def penalise_repetition(logits_BV: torch.Tensor, seen_BV: torch.Tensor, penalty: float) -> torch.Tensor:
    """Make the tokens seen so far less likely (Keskar et al. 2019): a logit over 0 is divided, else multiplied."""
    return torch.where(seen_BV, torch.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty), logits_BV)


def keep_top_k(logits_BV: torch.Tensor, k: int) -> torch.Tensor:
    """Keep the k likeliest tokens (and those that tie with the last of them)."""
    threshold_B1 = logits_BV.topk(min(k, logits_BV.shape[-1])).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < threshold_B1, -math.inf)


def keep_top_p(logits_BV: torch.Tensor, p: float) -> torch.Tensor:
    """Keep the smallest set of likeliest tokens that holds a share p (Holtzman et al. 2020); never none."""
    sorted_BV, order_BV = logits_BV.sort(dim=-1, descending=True)
    shares_BV = sorted_BV.softmax(-1)
    before_BV = shares_BV.cumsum(-1) - shares_BV
    before_BV[:, 0] = -math.inf
    dropped_BV = torch.zeros_like(logits_BV, dtype=torch.bool).scatter_(-1, order_BV, before_BV >= p)
    return logits_BV.masked_fill(dropped_BV, -math.inf)


def keep_min_p(logits_BV: torch.Tensor, p: float) -> torch.Tensor:
    """Keep the tokens at least p times as likely as the likeliest (Nguyen et al. 2024)."""
    if p == 0:
        return logits_BV
    return logits_BV.masked_fill(logits_BV < logits_BV.amax(-1, keepdim=True) + math.log(p), -math.inf)


@dataclass(frozen=True)
class Sampler:
    """How the next token is drawn; a temperature of 0 takes the likeliest. A value out of range is a ModelError."""

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, self.temperature >= 0, "0 for the likeliest token, or about 0.8")
        _check("top_k", self.top_k, self.top_k is None or self.top_k >= 1, "a whole number from 1, as in top_k=40")
        _check("top_p", self.top_p, self.top_p is None or 0 < self.top_p <= 1, "a share over 0 and up to 1, as in 0.9")
        _check("min_p", self.min_p, self.min_p is None or 0 <= self.min_p <= 1, "a share from 0 to 1, as in 0.05")
        _check("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0, "1 for none, or about 1.1")

    def adjust(self, logits_BV: torch.Tensor, seen_BV: torch.Tensor | None = None) -> torch.Tensor:
        """The logits that are drawn from, in float32 or wider: repetition, temperature, top k, top p, min p."""
        logits_BV = logits_BV if logits_BV.dtype == torch.float64 else logits_BV.float()
        if seen_BV is not None:
            logits_BV = penalise_repetition(logits_BV, seen_BV, self.repetition_penalty)
        if self.temperature == 0:
            return logits_BV
        # Shifted first, or a temperature near 0 divides to infinity.
        logits_BV = (logits_BV - logits_BV.amax(-1, keepdim=True)) / self.temperature
        if self.top_k is not None:
            logits_BV = keep_top_k(logits_BV, self.top_k)
        if self.top_p is not None:
            logits_BV = keep_top_p(logits_BV, self.top_p)
        if self.min_p is not None:
            logits_BV = keep_min_p(logits_BV, self.min_p)
        return logits_BV

    def draw(
        self, logits_BV: torch.Tensor, seen_BV: torch.Tensor | None = None, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """The next token of each sequence: ids_B."""
        logits_BV = self.adjust(logits_BV, seen_BV)
        if self.temperature == 0:
            return logits_BV.argmax(-1)
        shares_BV = logits_BV.softmax(-1)
        # What torch.multinomial does for one draw, without its checks of what a softmax cannot give: the token whose
        # exponential clock of rate p rings first.
        clocks_BV = torch.empty_like(shares_BV).exponential_(generator=generator)
        return shares_BV.div_(clocks_BV).argmax(-1)


def _check(name: str, value: object, good: bool, advice: str) -> None:
    if not good:
        raise ModelError(f"{name} is {value!r}.", f"Give {advice}.")

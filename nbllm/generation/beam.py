"""Beam search: the likeliest continuations instead of drawn ones.

W beams, V vocabulary, L tokens of a continuation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nbllm.generation.begin import Beginning


@dataclass(frozen=True)
class Hypothesis:
    """A continuation: its tokens (without the end), how likely each was, and its score."""

    ids: list[int]
    probabilities: list[float]
    score: float


def length_penalty(length: int, alpha: float) -> float:
    """((5 + L) / 6)^alpha of Wu et al. 2016, equation 14: 1 for alpha 0, which favours short texts."""
    return ((5 + length) / 6) ** alpha


@torch.inference_mode()
def beam_search(
    beginning: Beginning, width: int, count: int, *, end: int | None, alpha: float = 0.6, best: int = 1
) -> list[Hypothesis]:
    """The `best` continuations of at most `count` tokens by their score, sum_l log p(y_l | y_<l) / penalty(L).

    Of the `width` likeliest beginnings each is continued by every token, and the likeliest are kept. The search ends
    when no beam that still grows can pass the best that are complete. A continuation is complete at the token `end`, or
    at `count` tokens. `beginning` has one row.
    """
    reader = beginning.reader
    logits_WV = beginning.forbid(reader.read(beginning.first_BT))
    vocabulary = logits_WV.shape[-1]
    scores_W = torch.zeros(1, device=logits_WV.device)
    texts: list[list[int]] = [[]]
    likely: list[list[float]] = [[]]
    done: list[Hypothesis] = []
    for length in range(1, count + 1):
        logs_WV = logits_WV.float().log_softmax(-1)
        totals = (scores_W[:, None] + logs_WV).flatten()
        values, places = totals.topk(min(2 * width, int((totals > -torch.inf).sum())))
        rows: list[int] = []
        tokens: list[int] = []
        sums: list[float] = []
        for value, place in zip(values.tolist(), places.tolist(), strict=True):
            row, token = divmod(place, vocabulary)
            if token == end:
                ended = value / length_penalty(length, alpha)
                done.append(Hypothesis(texts[row], likely[row], ended))
            elif len(rows) < width:
                rows.append(row)
                tokens.append(token)
                sums.append(value)
        if not rows:
            break
        likely = [[*likely[row], float(logs_WV[row, t].exp())] for row, t in zip(rows, tokens, strict=True)]
        texts = [[*texts[row], token] for row, token in zip(rows, tokens, strict=True)]
        scores_W = torch.tensor(sums, device=logits_WV.device)
        if length == count:
            done += [
                Hypothesis(text, each, total / length_penalty(length, alpha))
                for text, each, total in zip(texts, likely, sums, strict=True)
            ]
            break
        done = sorted(done, key=lambda h: -h.score)[: max(best, width)]
        # The best that a growing beam can still reach: no more probability is lost, and the penalty is at its largest.
        if len(done) >= best and sums[0] / length_penalty(count, alpha) <= done[best - 1].score:
            break
        reader.select(torch.tensor(rows, device=logits_WV.device))
        logits_WV = beginning.forbid(reader.read(torch.tensor(tokens, device=logits_WV.device)[:, None]))
    return sorted(done, key=lambda h: -h.score)[:best]

"""How much each token that was read speaks for each answer: three methods, on the vectors that stand for the tokens.

What is explained is the evidence for an answer, F = log2 p / (1 - p), in bits. It does not flatten where a model is
sure, as p and log p do, and for a sigmoid it is the logit. What each method says of token t, whose embedding is x_t:

    gradient      (x_t - x0) . dF/dx_t, occlusion to the first order                   (Shrikumar et al. 2016)
    integrated    (x_t - x0) . mean of dF/dx_t on the straight way from x0 to x     (Sundararajan et al. 2017)
    occlusion     F(x) - F(x with x0 in place of x_t)       (Robnik-Sikonja and Kononenko 2008; Li et al. 2016)

x0 is neutral; with x0 = 0 the first is the common gradient x input. That says nothing (it is 0) of a network whose
embeddings go through a norm at once, for the size of x_t then makes no difference. What integrated gradients say of all
tokens adds up to F(x) - F(x0); the others need not add up. The gradient knows the slope at the text alone: of a network
that is sure of itself occlusion says more, and it is the default: where the answer is known, it finds the token most
often (tests/figures/influence.py). It takes a pass a token, of an encoder, which hides each token in turn, one a pair.

N answers, T tokens that are read, R rows of a question, B rows of a batch, S steps, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.inspection.asking import Question, tokens_together
from nbllm.inspection.capture import embedded


class Look:
    """A question with its text as vectors, ready to be asked again with others in their place."""

    def __init__(self, module: nn.Module, question: Question, neutral_D: Tensor):
        self.question = question
        self.layer = question.embedding
        self.together = max(1, tokens_together(module) // question.tokens_RT.shape[1])
        """Rows of a batch."""
        with torch.no_grad():
            self.x_RTD = question.embedding(question.tokens_RT)  # type: ignore[misc]
            self.x0_D = neutral_D.to(self.x_RTD)

    def answers(self, x_BTD: Tensor, rows_B: Tensor, rows_N: Tensor, which_N: Tensor) -> Tensor:
        """The evidence for the answers `which_N`, each given in the row `rows_N` of this batch; rows_B are the rows of
        the question that the vectors stand for."""
        q = self.question
        tokens_BT = q.tokens_RT[rows_B]
        assert self.layer is not None
        with embedded(self.layer, tokens_BT, x_BTD) as asked:
            logits_NV = q.read(tokens_BT, rows_N, q.places_N[which_N])
        if not asked:
            raise ModelError(
                "The module does not read its tokens through its nn.Embedding.",
                "Call the embedding with the tokens that forward is given.",
            )
        return q.evidence(logits_NV, q.answers_N[which_N])

    def evidence(self, neutral: bool = False) -> Tensor:
        """F of every answer, for the text, or for a text of nothing but neutral tokens."""
        found_N = self.x_RTD.new_zeros(len(self.question.answers_N))
        with torch.no_grad():
            for rows, which_N in self.rows():
                x_1TD = self.x_RTD[rows]
                x_1TD = self.x0_D.expand_as(x_1TD) if neutral else x_1TD
                found_N[which_N] = self.answers(x_1TD, rows, torch.zeros_like(which_N), which_N)
        return found_N

    def slopes(self, x_BTD: Tensor, which_B: Tensor) -> Tensor:
        """dF/dx of one answer a row: (B, T, D)."""
        x_BTD = x_BTD.detach().requires_grad_()
        places = torch.arange(len(which_B), device=which_B.device)
        with torch.enable_grad():
            total = self.answers(x_BTD, self.question.rows_N[which_B], places, which_B).sum()
            (slopes_BTD,) = torch.autograd.grad(total, x_BTD)
        return slopes_BTD

    def rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each row that is read, (1,), and the answers that are given in it."""
        for row in range(len(self.question.tokens_RT)):
            which_N = (self.question.rows_N == row).nonzero().flatten()
            yield torch.tensor([row], device=which_N.device), which_N

    def parts(self, count: int) -> Iterator[Tensor]:
        """The numbers from 0 to `count`, as many at a time as a batch may have rows."""
        yield from torch.arange(count, device=self.x_RTD.device).split(self.together)


def _gradient(look: Look, steps: int) -> Tensor:
    parts = []
    for which_B in look.parts(len(look.question.answers_N)):
        x_BTD = look.x_RTD[look.question.rows_N[which_B]]
        parts.append((look.slopes(x_BTD, which_B) * (x_BTD - look.x0_D)).sum(-1))
    return torch.cat(parts)


def _integrated(look: Look, steps: int) -> Tensor:
    """A Riemann sum by the midpoints of `steps` pieces of the way.

    The pieces grow from x0 on, their ends at (k / steps)^2: a norm makes F bend most where the vectors are small.
    """
    count = len(look.question.answers_N)
    found_NT = look.x_RTD.new_zeros(count, look.x_RTD.shape[1])
    ends = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device=found_NT.device) ** 2
    share_S, place_S = ends.diff().to(found_NT), ((ends[1:] + ends[:-1]) / 2).to(found_NT)
    for pair_B in look.parts(count * steps):
        which_B, step_B = pair_B // steps, pair_B % steps
        way_BTD = look.x_RTD[look.question.rows_N[which_B]] - look.x0_D
        slopes_BTD = look.slopes(look.x0_D + place_S[step_B, None, None] * way_BTD, which_B)
        found_NT.index_add_(0, which_B, (slopes_BTD * way_BTD).sum(-1) * share_S[step_B, None])
    return found_NT


def _occlusion(look: Look, steps: int) -> Tensor:
    whole_N = look.evidence()
    length = look.x_RTD.shape[1]
    found_NT = look.x_RTD.new_zeros(len(whole_N), length)
    with torch.no_grad():
        for row, which_N in look.rows():
            for place_B in look.parts(length):
                rows_B = row.expand(len(place_B))
                x_BTD = look.x_RTD[rows_B].clone()
                x_BTD[torch.arange(len(place_B)), place_B] = look.x0_D
                batch_BN = torch.arange(len(place_B), device=place_B.device)[:, None].expand(-1, len(which_N))
                answers = look.answers(x_BTD, rows_B, batch_BN.flatten(), which_N.repeat(len(place_B)))
                without_NB = answers.view(len(place_B), -1).T
                found_NT[which_N[:, None], place_B] = whole_N[which_N][:, None] - without_NB
    if look.question.causal:  # a token behind the place was not read: what is found there is rounding
        later_NT = torch.arange(length, device=found_NT.device) > look.question.places_N[:, None]
        found_NT = found_NT.masked_fill(later_NT, 0.0)
    return found_NT


METHODS: dict[str, Callable[[Look, int], Tensor]] = {
    "gradient": _gradient,
    "integrated": _integrated,
    "occlusion": _occlusion,
}


@contextmanager
def differentiable() -> Iterator[None]:
    """Gradients flow, whatever stands around; cuDNN has none for recurrent layers that do not train."""
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield

"""What a model learns: from a batch to a loss.

Shapes: B windows, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NextToken:
    """Next-token prediction (causal language modelling), in nats a token:

        loss = -1/(B T) * sum_{b,t} log p(x_{b,t+1} | x_{b,1..t})

    A batch holds windows of T + 1 tokens, so that each of T positions has its answer.
    """

    def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss over the batch (B, T+1) of int64 tokens; no metrics beside it."""
        logits_BTV = module(batch[:, :-1])
        return F.cross_entropy(logits_BTV.flatten(0, 1).float(), batch[:, 1:].flatten()), {}


@torch.inference_mode()
def held_out_loss(objective: Any, module: nn.Module, batches: Any) -> float:
    """The objective's mean loss over batches of windows, each weighed by its tokens, in evaluation mode."""
    was_training = module.training
    module.eval()
    total, tokens = 0.0, 0
    try:
        for batch in batches:
            loss, _ = objective.loss(module, batch, 0)
            count = batch.shape[0] * (batch.shape[1] - 1)
            total += float(loss) * count
            tokens += count
    finally:
        module.train(was_training)
    return total / max(tokens, 1)

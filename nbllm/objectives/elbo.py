"""The evidence lower bound of a variational autoencoder of sentences.

B sentences, T tokens, Z units of the latent, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nbllm.config import GOALS, Goal
from nbllm.models.vae import kl_to_prior
from nbllm.objectives.base import IGNORED, Batch, Example, Objective, Row, Task, cross_entropy, padded
from nbllm.objectives.mlm import _encodings


class Elbo(Objective):
    """The negative evidence lower bound (Kingma and Welling 2014), in nats a token (n of a sentence and its end):

        loss = (-log p(x | z) + beta KL(q(z | x) || N(0, 1))) / n         z ~ q(z | x)

    beta rises from 0 to `kl_weight` over `kl_steps` steps (Bowman et al. 2016), and each unit of the latent may hold
    `free_bits` nats at no cost (Kingma et al. 2016). `word_dropout` hides a share of what the decoder reads, so that it
    has need of z. Reconstruction and KL are told apart, so that a collapsed posterior is seen.
    """

    goal: ClassVar[Goal] = GOALS["elbo"]

    def __init__(self, task: Task):
        super().__init__(task)
        from nbllm.data.tokenizers import unknown_id

        unknown = unknown_id(task.tokenizer)
        self.hidden = task.end if unknown is None else unknown

    def encode(self, rows: Sequence[Row]) -> list[Example | None]:
        """tokens of a sentence, cut to the context with room for its end."""
        most = self.task.context - 1
        found: list[Example | None] = []
        for encoding in _encodings(self.task, rows):
            self.cut += len(encoding) > most
            found.append({"tokens": encoding[:most]} if len(encoding) else None)
        return found

    def row(self, example: Example) -> Row:
        return {"text": self.task.tokenizer.decode(example["tokens"].tolist())}

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """tokens_BT and real_BT for the encoder, inputs_BT, draws_BT and targets_BT for the decoder, noise_BZ."""
        end = self.task.end
        tokens, real = padded([e["tokens"] for e in examples], end)
        inputs, _ = padded([np.append([end], e["tokens"]) for e in examples], end)
        targets, _ = padded([np.append(e["tokens"], end) for e in examples], IGNORED)
        noise = torch.from_numpy(rng.standard_normal((len(examples), self.task.latent), dtype=np.float32))
        draws = torch.from_numpy(rng.random(inputs.shape, dtype=np.float32))
        draws[:, 0] = 1.0
        return {"tokens": tokens, "real": real, "inputs": inputs, "targets": targets, "noise": noise, "draws": draws}

    def predict(self, module: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Every token and every end, decoded from the mean of the posterior."""
        logits_BTV = module.decode(batch["inputs"], module.encode(batch["tokens"], batch["real"])[0])
        counts_BT = batch["targets"] != IGNORED
        return logits_BTV[counts_BT], batch["targets"][counts_BT]

    def loss(self, module: Any, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.task.config
        mean_BZ, log_var_BZ = module.encode(batch["tokens"], batch["real"])
        z_BZ = mean_BZ + batch["noise"].to(mean_BZ.dtype) * (0.5 * log_var_BZ).exp()
        inputs_BT = batch["inputs"]
        if module.training:
            inputs_BT = inputs_BT.masked_fill(batch["draws"] < config.word_dropout, self.hidden)
        logits_BTV = module.decode(inputs_BT, z_BZ)
        reconstruction = cross_entropy(logits_BTV.flatten(0, 1), batch["targets"].flatten())
        kl_BZ = kl_to_prior(mean_BZ, log_var_BZ)
        sentences, tokens = len(kl_BZ), max(1, self.weight(batch))
        kl = kl_BZ.sum(1).mean()
        if module.training:
            beta = config.kl_weight * (min(1.0, step / config.kl_steps) if config.kl_steps else 1.0)
            paid = kl_BZ.mean(0).clamp(min=config.free_bits).sum()
        else:
            beta, paid = 1.0, kl
        loss = reconstruction + beta * paid * sentences / tokens
        return loss, {"reconstruction": reconstruction.detach() * tokens / sentences, "kl": kl.detach()}

    def measures(self, module: Any, batch: Batch) -> dict[str, tuple[float, float]]:
        """Reconstruction and KL in nats a sentence, and how many units of the latent say something (KL over 0.01)."""
        _, told = self.loss(module, batch, 0)
        mean_BZ, log_var_BZ = module.encode(batch["tokens"], batch["real"])
        active = float((kl_to_prior(mean_BZ, log_var_BZ).mean(0) > 0.01).sum())
        sentences = len(mean_BZ)
        found = {name: (float(value) * sentences, float(sentences)) for name, value in told.items()}
        return {**found, "active_units": (active * sentences, float(sentences))}

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """Bits per byte by the bound (the true ones are no more), reconstruction, KL and active units."""
        return {"bits_per_byte": loss / math.log(2) * tokens_per_byte, **measures}

    def tokens(self, batch: Batch) -> int:
        return batch["tokens"].numel()

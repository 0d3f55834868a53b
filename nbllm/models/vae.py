"""A variational autoencoder of sentences (Kingma and Welling 2014; Bowman et al. 2016).

    z ~ N(mu(x), sigma(x)^2)        log p(x | z) by a decoder that reads z beside every token

B batch, T tokens, D width, Z units of the latent, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import nn

from nbllm.config import ModelConfig
from nbllm.models.classifier import pooled
from nbllm.models.stack import Head, Stack, State


class VAE(nn.Module):
    """A sentence to a point of the latent space and back."""

    def __init__(self, config: ModelConfig, vocab_size: int, context: int):
        super().__init__()
        encoder, decoder = config.two_stacks()
        self.latent = config.latent
        self.encoder = Stack(config, encoder, vocab_size, context, causal=not config.two_way_encoder)
        self.decoder = Stack(config, decoder, vocab_size, context)
        self.pool = config.pool if config.pool != "auto" else "mean"
        self.to_latent = nn.Linear(config.width, 2 * config.latent)
        self.from_latent = nn.Linear(config.latent, config.width)
        self.head = Head(config, vocab_size, self.decoder)
        self.encoder.init_weights(config.tied)
        self.decoder.init_weights(config.tied)
        if config.shared_embedding:
            self.decoder.embedding.weight = self.encoder.embedding.weight
        nn.init.normal_(self.to_latent.weight, std=config.width**-0.5)
        nn.init.zeros_(self.to_latent.bias)
        # As large as the embeddings that it is added to, so that neither drowns the other.
        nn.init.normal_(self.from_latent.weight, std=self.decoder.embedding_std(config.tied) * config.latent**-0.5)
        nn.init.zeros_(self.from_latent.bias)

    def encode(self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """mean_BZ and the logarithm of the variance, log_var_BZ, of where the sentence may lie."""
        x_BTD, _ = self.encoder(tokens_BT, real_BT=real_BT)
        mean_BZ, log_var_BZ = self.to_latent(pooled(x_BTD, real_BT, self.pool)).chunk(2, dim=-1)
        return mean_BZ, log_var_BZ.clamp(-10, 10)

    def decode(self, tokens_BT: torch.Tensor, z_BZ: torch.Tensor) -> torch.Tensor:
        """The logits of the token after each one, given the point: logits_BTV."""
        return self.head(self.decoder(tokens_BT, added=self.from_latent(z_BZ).unsqueeze(1))[0])

    def forward(
        self, tokens_BT: torch.Tensor, real_BT: torch.Tensor | None = None, inputs_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """logits_BTV of each token after the ones before it, from the mean of where the sentence lies."""
        return self.decode(tokens_BT if inputs_BT is None else inputs_BT, self.encode(tokens_BT, real_BT)[0])

    def init_state(self, batch: int, length: int) -> State:
        """The decoder's state before any token, with room for `length` tokens."""
        return self.decoder.init_state(batch, length)

    def step(self, tokens_BT: torch.Tensor, state: State, z_BZ: torch.Tensor) -> tuple[torch.Tensor, State]:
        """The logits after the last of these further tokens, logits_BV, and the state to go on with."""
        x_BTD, after = self.decoder(tokens_BT, state=state, added=self.from_latent(z_BZ).unsqueeze(1))
        return self.head(x_BTD[:, -1]), after

    def select(self, state: State, rows_B: torch.Tensor) -> State:
        """The state of these rows of its batch, in this order."""
        return self.decoder.select(state, rows_B)


def kl_to_prior(mean_BZ: torch.Tensor, log_var_BZ: torch.Tensor) -> torch.Tensor:
    """KL(N(mu, sigma^2) || N(0, 1)) a unit of the latent, in nats: kl_BZ = (mu^2 + sigma^2 - 1 - log sigma^2) / 2."""
    return 0.5 * (mean_BZ * mean_BZ + log_var_BZ.exp() - 1 - log_var_BZ)

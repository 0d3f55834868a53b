"""The model section: every choice from which a network is built."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from nbllm.config.section import Section

MIXERS = ("attention", "rnn", "lstm", "gru", "conv")
_REPEATED = re.compile(r"(?:(\d+)\s*\*\s*)?([a-z]+)")
MOST_BLOCKS = 512


class ModelConfig(Section):
    """The network. Fields that a kind has no use for are refused when they are given."""

    kind: str = Field("transformer", description="the family, or a model registered in a cell")
    layers: int = Field(4, ge=1, le=MOST_BLOCKS, description="blocks of the stack, of each where there are two")
    width: int = Field(128, ge=8, le=32768, description="units of the residual stream")
    blocks: list[str] | None = Field(
        None,
        description="mixers of a hybrid, as 2*conv+attention, which give its layers; lstm and attention in turn else",
    )
    encoder: list[str] | None = Field(None, description="mixers of the encoder, as 2*lstm or attention+attention")
    decoder: list[str] | None = Field(None, description="mixers of the decoder")
    bidirectional: bool = Field(False, description="read the text both ways; not to predict the next token")
    heads: int = Field(4, ge=1, le=512, description="attention heads a layer")
    kv_heads: int | None = Field(None, ge=1, description="key and value heads (grouped-query); heads where not given")
    head_width: int | None = Field(None, ge=2, description="units of one head; width / heads where not given")
    window: int | None = Field(None, ge=1, description="tokens that attention looks back at most (sliding window)")
    qk_norm: bool = Field(True, description="normalise queries and keys, as Qwen3 does")
    positions: Literal["rope", "sinusoidal", "learned", "none"] = Field("rope", description="how order is told")
    rope_base: float = Field(10_000.0, gt=1, description="base of the rotary positions")
    cross: Literal["dot", "additive", "none"] = Field("dot", description="how a decoder looks at its encoder")
    mlp: bool = Field(True, description="an MLP behind attention; false for a network of attention alone")
    mlp_width: int | None = Field(
        None,
        ge=8,
        description="units of the MLP; a multiple of the width where not given, none behind recurrent mixers",
    )
    activation: Literal["swiglu", "geglu", "gelu", "gelu_tanh", "relu", "relu2", "silu"] = Field(
        "swiglu", description="function inside the MLP; swiglu and geglu are gated, relu2 is ReLU squared"
    )
    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="function of a simple recurrent layer")
    kernel: int = Field(3, ge=2, le=1024, description="taps of a convolution")
    dilations: int = Field(4, ge=1, le=24, description="blocks after which the doubling of the dilation begins anew")
    norm: Literal["rms", "layer"] = Field("rms", description="kind of normalisation")
    norm_place: Literal["before", "after"] = Field("before", description="normalise before or after a block's part")
    norm_eps: float = Field(1e-6, gt=0, le=1e-2, description="what keeps a norm from dividing by zero")
    bias: bool = Field(False, description="biases in the linear layers and norms")
    embedding_norm: bool = Field(False, description="normalise the embeddings")
    first_norm: bool = Field(True, description="the first block normalises what it reads; false where embeddings are")
    embedding_scale: bool = Field(False, description="multiply the embeddings by the root of the width")
    shared_embedding: bool = Field(True, description="encoder and decoder share their embedding")
    bigrams: int = Field(
        0, ge=0, le=1 << 24, description="rows of a table of pairs of tokens, added to the embeddings; 0 for none"
    )
    smear: bool = Field(False, description="add to each embedding a learned share of the one before it")
    mix_input: bool = Field(False, description="each block but the first reads the embeddings too, by a learned share")
    segments: bool = Field(False, description="an embedding for the first and one for the second text of a pair")
    latent: int = Field(32, ge=1, le=4096, description="units of the latent space of a vae")
    pool: Literal["auto", "mean", "last", "first", "max", "ends"] = Field(
        "auto",
        description="how a text becomes one vector; auto: mean where both ways are read, else last; ends: a two-way "
        "layer's last forward and first backward state",
    )
    bag: bool = Field(
        False,
        description="classification: the labels are read from the sum of the embeddings too, whatever their order",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of units dropped while training")
    tied: bool = Field(True, description="embedding and head share their weights")
    plain: bool = Field(False, description="no residuals, no norms, no MLP: the textbook network")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="free settings of a model registered in a cell, or what overrules a Hugging Face config.json",
    )

    @field_validator("blocks", "encoder", "decoder", mode="before")
    @classmethod
    def _pattern(cls, value: Any) -> Any:
        return pattern(value) if isinstance(value, str) else value

    @field_validator("blocks", "encoder", "decoder")
    @classmethod
    def _known(cls, value: list[str] | None) -> list[str] | None:
        for name in value or []:
            if name not in MIXERS:
                raise ValueError(f"there is no mixer '{name}'. Use {', '.join(MIXERS)}, as in 2*conv+attention")
        if value is not None and not 1 <= len(value) <= MOST_BLOCKS:
            raise ValueError(f"{len(value)} blocks. Use 1 to {MOST_BLOCKS}, as in 2*conv+attention")
        return value

    @model_validator(mode="after")
    def _coherent(self) -> ModelConfig:
        if self.blocks is not None:
            self.__dict__["layers"] = len(self.blocks)
        if "attention" in self.all_mixers() or (self.kind == "seq2seq" and self.cross != "none"):
            self._check_heads()
        if not self.all_mixers().isdisjoint({"rnn", "lstm", "gru"}) and self.width % 2:
            raise ValueError(
                f"width {self.width} is odd, and recurrent layers need halves. Try width: {self.width + 1}"
            )
        if self.positions == "sinusoidal" and self.width % 2:
            raise ValueError(f"width {self.width} is odd, and sinusoidal positions need pairs")
        if self.plain and self.mlp_width:
            raise ValueError("a plain network has no MLP. Leave out plain or mlp_width")
        if not self.mlp and self.mlp_width:
            raise ValueError("mlp: false means no MLP. Leave out mlp or mlp_width")
        return self

    def _check_heads(self) -> None:
        if self.head_width is None and self.width % self.heads:
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0 and self.width // h % 2 == 0]
            near = min(fits, key=lambda h: abs(h - self.heads)) if fits else 1
            raise ValueError(
                f"{self.heads} heads do not divide width {self.width} ({self.width / self.heads:.2f} each). "
                f"Try heads: {near}"
            )
        if self.head_dim % 2 and self.positions == "rope":
            raise ValueError(
                f"a head of {self.head_dim} units is odd and rotary positions need pairs. Try a head_width: 16"
            )
        if self.heads % self.key_heads:
            raise ValueError(f"kv_heads {self.key_heads} does not divide heads {self.heads}. Try kv_heads: 1")

    def stack(self) -> list[str]:
        """The mixers of a network with one stack, lowest first."""
        if self.blocks:
            return self.blocks
        if self.kind == "hybrid":
            return [("lstm", "attention")[index % 2] for index in range(self.layers)]
        return [_MIXER_OF.get(self.kind, "attention")] * self.layers

    def two_stacks(self) -> tuple[list[str], list[str]]:
        """The mixers of encoder and decoder, lowest first."""
        usual = "lstm" if self.kind == "vae" else "attention"
        encoder = self.encoder or [(self.decoder or [usual])[0]] * self.layers
        return encoder, self.decoder or [encoder[0]] * self.layers

    def all_mixers(self) -> set[str]:
        """Every kind of mixer that the network holds."""
        if self.kind in ("seq2seq", "vae"):
            encoder, decoder = self.two_stacks()
            return {*encoder, *decoder}
        return set(self.stack())

    @property
    def two_way_encoder(self) -> bool:
        """Whether an encoder reads both ways: all do but the plain textbook's, which one asks for by bidirectional."""
        return self.bidirectional or not self.plain

    @property
    def pooling(self) -> str:
        """How a text becomes one vector, with what `auto` stands for. BERT reads its first token."""
        if self.pool != "auto":
            return self.pool
        if self.kind == "bert" and self.norm_place == "after":
            return "first"
        return "mean" if self.bidirectional else "last"

    @property
    def pooler(self) -> Literal["none", "bert", "modernbert"]:
        """The layer between that vector and the labels: that of the encoder's layout in transformers, if it has one."""
        if self.kind != "bert" or not self.bidirectional:
            return "none"
        if self.norm_place == "after":
            return "bert" if self.pooling == "first" else "none"
        return "modernbert" if self.pooling in ("first", "mean") else "none"

    @property
    def labels_bias(self) -> bool:
        """Whether the matrix to the labels has a bias; transformers' classifiers on one-way Transformers have none."""
        return self.bidirectional or self.all_mixers() != {"attention"}

    @property
    def pair_pooling(self) -> str:
        """Where the answer about a pair of texts is read: at the first token as in BERT where that one sees the whole
        text. It does not in a one-way network nor by convolutions alone, nor do a recurrent layer's forward units."""
        if not self.bidirectional:
            return "last"
        if self.stack()[-1] in ("rnn", "lstm", "gru"):
            return "ends"
        return "mean" if self.all_mixers() == {"conv"} else "first"

    def pair_rows(self, vocab_size: int) -> int:
        """Rows of the table of pairs: one a pair where so many are allowed, the first token's lack of one included."""
        return min(self.bigrams, vocab_size * (vocab_size + 1))

    @property
    def head_dim(self) -> int:
        """Units of one head."""
        return self.head_width or self.width // self.heads

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads

    def mlp_of(self, mixer: str) -> int:
        """Units of the MLP behind a mixer; 0 for none. Behind attention 4 times the width, gated 8/3 of it rounded up
        to a multiple of 32 (as many weights); behind another mixer only what `mlp_width` says."""
        if self.plain or not self.mlp:
            return 0
        if self.mlp_width or mixer != "attention":
            return self.mlp_width or 0
        return -(-self.width * 8 // 3 // 32) * 32 if self.activation in ("swiglu", "geglu") else 4 * self.width

    def dilation(self, index: int) -> int:
        """Tokens between the taps of the convolution in block `index`: 1, 2, 4, ... and from the start again."""
        return 1 << (index % self.dilations)


_MIXER_OF = {"rnn": "rnn", "lstm": "lstm", "gru": "gru", "cnn": "conv"}


def pattern(text: str) -> list[str]:
    """Mixers from their short form: `3*conv+attention`, `lstm, attention` or `lstm`. ValueError where it is none."""
    found: list[str] = []
    for part in re.split(r"[+,\s]+", re.sub(r"\s*\*\s*", "*", text.strip("[] "))):
        match = _REPEATED.fullmatch(part)
        if not match or int(match[1] or 1) > MOST_BLOCKS:
            raise ValueError(f"'{text}' is no stack of mixers. Write them as in 3*conv+attention")
        found += [match[2]] * int(match[1] or 1)
    return found

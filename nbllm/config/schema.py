"""The tree: every setting of a run with its help, its limits and its default."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

FORMAT = 1
BUDGETS = ("steps", "tokens", "epochs", "minutes")


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values are checked when they are set."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=(), allow_inf_nan=False)


class CleanConfig(Section):
    """What is mended or dropped before a corpus is split. Everything removed is counted and reported."""

    strip: bool = Field(True, description="trim white space at the ends of lines and of records")
    normalise: bool = Field(False, description="Unicode NFC, one kind of line end, no control characters")
    near_duplicates: bool = Field(False, description="drop records nearly the same as an earlier one (MinHash)")
    language: Literal["any", "zh", "latin"] = Field("any", description="keep records mainly in this script")
    min_length: int = Field(0, ge=0, description="drop shorter records, in characters")
    max_length: int | None = Field(None, ge=1, description="drop longer records, in characters")


class DataConfig(Section):
    """Where the text comes from, and how it is cut."""

    source: str = Field(
        "python-docs",
        description="a file, folder, glob, https address, built-in corpus, or hf:NAME for a Hugging Face data set",
    )
    format: Literal["auto", "text", "jsonl", "csv", "parquet"] = Field("auto", description="how to read the source")
    text_column: str | None = Field(None, description="the column with the text, for tables")
    encoding: str | None = Field(None, description="encoding of text files; found by itself where not given")
    dataset_config: str | None = Field(None, description="configuration name of a Hugging Face data set")
    dataset_split: str = Field("train", description="split of a Hugging Face data set")
    limit_mb: float | None = Field(None, gt=0, description="read at most so many megabytes of text")
    allow_download: bool = Field(False, description="agree to fetch an https address or a hub data set")
    clean: CleanConfig = Field(default_factory=CleanConfig, description="what to mend or drop")
    split: Literal["tail", "document"] = Field(
        "tail", description="hold out the end of the corpus, or whole documents spread over it"
    )
    held_out: float = Field(0.1, gt=0, lt=0.9, description="share held out to measure the loss on")
    stride: int | None = Field(None, ge=1, description="tokens between window starts; the context where not given")
    cache: bool = Field(True, description="keep the tokens of a corpus for the next run")


class TokenizerConfig(Section):
    """How text becomes tokens."""

    kind: str = Field("char", description="char, byte, word, bpe, or the path of a saved tokenizer.json")
    vocab_size: int = Field(8192, ge=16, le=1_000_000, description="most entries of a word or bpe vocabulary")
    min_frequency: int = Field(1, ge=1, description="rarer entries are left out of the vocabulary")
    lowercase: bool = Field(False, description="fold capitals away")
    sample_mb: float = Field(32, gt=0, description="megabytes of the corpus a vocabulary is learned on")


class ModelConfig(Section):
    """The network. Fields that a kind has no use for are refused when they are given."""

    kind: str = Field("transformer", description="the family: transformer, lstm, or one registered in a cell")
    layers: int = Field(4, ge=1, le=512, description="blocks of the stack")
    width: int = Field(128, ge=8, le=32768, description="units of the residual stream")
    heads: int = Field(4, ge=1, le=512, description="attention heads a layer")
    kv_heads: int | None = Field(None, ge=1, description="key and value heads (grouped-query); heads where not given")
    head_width: int | None = Field(None, ge=2, description="units of one head; width / heads where not given")
    mlp_width: int | None = Field(None, ge=8, description="units of the gated MLP; 8/3 of the width where not given")
    qk_norm: bool = Field(True, description="normalise queries and keys, as Qwen3 does")
    rope_base: float = Field(10_000.0, gt=1, description="base of the rotary positions")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of units dropped while training")
    tied: bool = Field(True, description="embedding and head share their weights")
    plain: bool = Field(False, description="recurrent networks: no residuals, no norms, the textbook network")
    options: dict[str, Any] = Field(default_factory=dict, description="free settings of a model registered in a cell")

    @model_validator(mode="after")
    def _coherent(self) -> ModelConfig:
        if self.kind == "transformer":
            if self.head_width is None and self.width % self.heads:
                fits = [h for h in range(1, self.width + 1) if self.width % h == 0 and self.width // h % 2 == 0]
                near = min(fits, key=lambda h: abs(h - self.heads)) if fits else 1
                raise ValueError(
                    f"{self.heads} heads do not divide width {self.width} ({self.width / self.heads:.2f} each). "
                    f"Try heads: {near}"
                )
            if self.head_dim % 2:
                raise ValueError(
                    f"a head of {self.head_dim} units is odd and rotary positions need pairs. Try a head_width: 16"
                )
            if self.heads % self.key_heads:
                raise ValueError(f"kv_heads {self.key_heads} does not divide heads {self.heads}. Try kv_heads: 1")
        return self

    @property
    def head_dim(self) -> int:
        """Units of one head."""
        return self.head_width or self.width // self.heads

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def mlp_units(self) -> int:
        """Units inside the gated MLP: `mlp_width`, or 8/3 of the width rounded up to a multiple of 32."""
        return self.mlp_width or -(-self.width * 8 // 3 // 32) * 32


class ObjectiveConfig(Section):
    """What is learned."""

    kind: str = Field("clm", description="clm: predict the next token")


class TrainConfig(Section):
    """How it is learned, for how long, and on what."""

    steps: int | None = Field(None, ge=1, description="budget in steps")
    tokens: int | None = Field(None, ge=1, description="budget in tokens")
    epochs: float | None = Field(None, gt=0, description="budget in passes over the corpus")
    minutes: float | None = Field(None, gt=0, description="budget in minutes, made a number of steps once")
    context: int = Field(64, ge=2, le=1_048_576, description="tokens of a window")
    batch_size: int = Field(16, ge=1, description="windows a step")
    accumulate: int = Field(1, ge=1, description="parts a batch is worked through in, to save memory")
    optimizer: Literal["muon", "adamw"] = Field("muon", description="Muon for the hidden matrices, or AdamW for all")
    lr: float = Field(3e-3, gt=0, le=10, description="peak learning rate")
    weight_decay: float = Field(0.1, ge=0, le=1, description="decay of the weight matrices a step, times lr")
    beta1: float = Field(0.9, ge=0, lt=1, description="momentum of AdamW")
    beta2: float = Field(0.95, ge=0, lt=1, description="memory of AdamW's second moment")
    schedule: Literal["wsd", "cosine", "constant"] = Field("wsd", description="course of the learning rate")
    warmup: int = Field(20, ge=0, description="steps until the learning rate is at its peak")
    cooldown: float = Field(0.5, ge=0, le=1, description="wsd: last share of the budget, falling to lr_end")
    lr_end: float = Field(0.05, ge=0, le=1, description="share of the peak that the learning rate ends at")
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 for no limit")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="numbers of the matrix products")
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps")
    threads: int | None = Field(None, ge=1, description="CPU threads; the container's share where not given")
    seed: int = Field(1337, ge=0, lt=2**63, description="seed of weights, data order and samples")
    evaluate_every: int = Field(100, ge=1, description="steps between measurements of the held-out loss")
    evaluate_tokens: int = Field(16_384, ge=1, description="held-out tokens a measurement reads, at most")
    checkpoint_every: int = Field(200, ge=1, description="steps between checkpoints")
    checkpoint_minutes: float = Field(5, gt=0, description="minutes between checkpoints, at most")
    keep: int = Field(3, ge=1, description="latest checkpoints to keep")
    keep_best: bool = Field(True, description="keep the checkpoint with the lowest held-out loss too")
    disk_mb: float | None = Field(None, gt=0, description="megabytes the run's checkpoints may take, one always kept")
    patience: int | None = Field(None, ge=1, description="stop after so many measurements without a better one")
    queue: bool = Field(True, description="wait for other runs on the same device")

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        name, _, index = value.partition(":")
        if name not in ("auto", "cpu", "cuda", "mps") or (index and not index.isdigit()):
            raise ValueError(f"'{value}' is no device. Use auto, cpu, cuda, cuda:1 or mps")
        return value

    @model_validator(mode="after")
    def _coherent(self) -> TrainConfig:
        given = [b for b in BUDGETS if getattr(self, b) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given. Keep one budget")
        if self.batch_size % self.accumulate:
            near = max(n for n in range(1, self.accumulate + 1) if self.batch_size % n == 0)
            raise ValueError(
                f"accumulate {self.accumulate} does not divide batch_size {self.batch_size}. Try accumulate: {near}"
            )
        return self


class SampleConfig(Section):
    """Text written while training."""

    prompt: str = Field("", description="text to go on from; the start of the held-out text where empty")
    every: int = Field(100, ge=0, description="steps between samples; 0 for none")
    max_tokens: int = Field(120, ge=1, le=100_000, description="tokens of a sample")
    temperature: float = Field(0.8, ge=0, le=10, description="0 takes the likeliest token")
    top_k: int | None = Field(None, ge=1, description="draw from the k likeliest tokens")
    top_p: float | None = Field(None, gt=0, le=1, description="draw from the likeliest tokens that make up this share")


class ProbeConfig(Section):
    """Attention of a fixed text, kept while training."""

    text: str = Field("", description="text to watch; the start of the held-out text where empty")
    every: int = Field(50, ge=0, description="steps between maps; 0 for none")


class RunConfig(Section):
    """Everything that makes a run."""

    format: Literal[1] = Field(1, description="version of this file")
    size: Literal["tiny", "mini", "small", "base"] = Field("mini", description="the one dial: a coherent whole")
    data: DataConfig = Field(default_factory=DataConfig, description="the text")
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig, description="text to tokens")
    model: ModelConfig = Field(default_factory=ModelConfig, description="the network")
    objective: ObjectiveConfig = Field(default_factory=ObjectiveConfig, description="what is learned")
    train: TrainConfig = Field(default_factory=TrainConfig, description="the training")
    sample: SampleConfig = Field(default_factory=SampleConfig, description="text written while training")
    probe: ProbeConfig = Field(default_factory=ProbeConfig, description="attention kept while training")

    def to_yaml(self) -> str:
        """The whole configuration as YAML, every default written out."""
        from nbllm.config.text import to_yaml

        return to_yaml(self)

    @classmethod
    def from_yaml(cls, text: str, where: str = "config.yaml") -> RunConfig:
        """Read what `to_yaml` wrote. Raises ConfigError with the place of the fault."""
        from nbllm.config.text import from_yaml

        return from_yaml(text, where)

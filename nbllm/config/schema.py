"""The tree: every setting of a run with its help, its limits and its default."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from nbllm.config.families import FAMILIES, GOALS
from nbllm.config.model import ModelConfig
from nbllm.config.personal import Kinds
from nbllm.config.section import Counts, Section, Words

FORMAT = 1
BUDGETS = ("steps", "tokens", "epochs", "minutes")


class CleanConfig(Section):
    """What is mended or dropped before a corpus is split. Everything removed is counted and reported."""

    strip: bool = Field(True, description="trim white space at the ends of lines and of records")
    normalise: bool = Field(False, description="Unicode NFC, one kind of line end, no control characters")
    near_duplicates: bool = Field(False, description="drop records nearly the same as an earlier one (MinHash)")
    language: Literal["any", "zh", "latin"] = Field("any", description="keep records mainly in this script")
    min_length: int = Field(0, ge=0, description="drop shorter records, in characters")
    max_length: int | None = Field(None, ge=1, description="drop longer records, in characters")
    redact: Kinds = Field(
        default_factory=list,
        description="replace personal data by its kind: all, or some of email, phone, card, china-id, us-ssn, iban, ip",
    )


class AugmentConfig(Section):
    """Small changes to the training texts of labelled and paired data, other ones in every epoch."""

    drop_words: float = Field(0.0, ge=0, lt=1, description="share of words left out; of Chinese, of characters")
    swap_words: float = Field(0.0, ge=0, le=1, description="share of words that change places with the next")
    typos: float = Field(0.0, ge=0, le=1, description="share of letters mistyped")

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return self.drop_words > 0 or self.swap_words > 0 or self.typos > 0


class DataConfig(Section):
    """Where the text comes from, and how it is cut."""

    source: str = Field(
        "python-docs",
        description="a file, folder, glob, https address, built-in corpus, or hf:NAME for a Hugging Face data set",
    )
    format: Literal["auto", "text", "jsonl", "csv", "parquet"] = Field("auto", description="how to read the source")
    text_column: str | None = Field(
        None, description="the column with the text, for tables; several are joined, as in title+body"
    )
    pair_column: str | None = Field(None, description="classification: the column with a second text")
    label_column: str | None = Field(None, description="the column with the label")
    spans_column: str | None = Field(
        None, description="tagging: the column with [[start, end, kind], ...] or a tag a word, as in B-person O"
    )
    source_column: str | None = Field(None, description="seq2seq: the column to go from")
    target_column: str | None = Field(None, description="seq2seq: the column to arrive at")
    split_column: str | None = Field(
        None, description="the column that says train, validation (held out) or test (never read in training)"
    )
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
    use: float = Field(1.0, gt=0, le=1, description="share of the training text that is used; what is held out stays")
    augment: AugmentConfig = Field(default_factory=AugmentConfig, description="small changes to training texts")
    stride: int | None = Field(None, ge=1, description="tokens between window starts; the context where not given")
    cache: bool = Field(True, description="keep the tokens of a corpus for the next run")
    streaming: bool = Field(
        False, description="tokenize while training: for a text or hf: data set larger than memory or disk"
    )
    shuffle: int = Field(
        1024, ge=1, description="streaming: windows that are shuffled together; 1 keeps the order of the text"
    )
    canaries: Counts = Field(
        default_factory=list,
        description="plant made-up secrets in the training text, some so often each, as 1,4,16; see llm_exposure",
    )
    canary_each: int = Field(5, ge=1, le=100, description="secrets that are planted so often, for each count")
    canary_digits: int = Field(4, ge=2, le=9, description="digits of a secret")
    canary_text: str = Field("The code of {name} is {secret}.", description="the line that holds a secret")

    @field_validator("canaries")
    @classmethod
    def _planted(cls, value: list[int]) -> list[int]:
        if any(not 1 <= count <= 10_000 for count in value):
            raise ValueError("a canary is planted from 1 to 10,000 times, as in canaries: [1, 4, 16]")
        return value

    @field_validator("canary_text")
    @classmethod
    def _with_a_secret(cls, value: str) -> str:
        if value.count("{name}") != 1 or value.count("{secret}") != 1 or "\n" in value:
            raise ValueError("write one line with {name} and {secret} in it, as in 'The code of {name} is {secret}.'")
        return value


class TokenizerConfig(Section):
    """How text becomes tokens."""

    kind: str = Field("char", description="char, byte, word, bpe, or the path of a saved tokenizer.json")
    vocab_size: int = Field(8192, ge=16, le=1_000_000, description="most entries of a word or bpe vocabulary")
    min_frequency: int = Field(1, ge=1, description="rarer entries are left out of the vocabulary")
    lowercase: bool = Field(False, description="fold capitals away")
    sample_mb: float = Field(32, gt=0, description="megabytes of the corpus a vocabulary is learned on")
    separate: bool = Field(False, description="seq2seq: a vocabulary of its own for the target")


class ObjectiveConfig(Section):
    """What is learned."""

    kind: str = Field(
        "clm",
        description="what is learned: clm the next token, mlm hidden tokens, seq2seq an answer, classification a "
        "label, or your own",
    )
    labels: Words | None = Field(None, description="classification: the labels in order; found in the data else")
    answer: Literal["softmax", "sigmoid"] = Field(
        "softmax", description="classification: softmax over the labels, or one sigmoid for two of them"
    )
    multi_label: bool = Field(False, description="classification: a text may have several labels, parted by |")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="classification: balanced weighs each label by how rare it is"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="seq2seq, span, classification, tagging: share of the answer that is spread evenly"
    )
    scheduled_sampling: float = Field(
        0.0, ge=0, le=1, description="seq2seq: share of target tokens that are the model's own by the end of training"
    )
    fill_middle: float = Field(
        0.0, ge=0, le=1, description="clm: share of the windows that are learned as beginning, end, then middle"
    )
    teacher: str | None = Field(
        None, description="clm: a run with the same tokenizer whose predictions are learned too (distillation)"
    )
    teacher_weight: float = Field(0.5, ge=0, le=1, description="share of the loss that is learned from the teacher")
    teacher_temperature: float = Field(
        2.0, ge=0.1, le=100, description="how much the teacher's predictions are softened; 1 for not at all"
    )
    mask_share: float = Field(0.15, gt=0, lt=1, description="mlm, span: share of tokens that are hidden")
    whole_words: bool = Field(False, description="mlm: hide all tokens of a word together")
    next_sentence: bool = Field(False, description="mlm: learn from pairs of sentences whether the second follows too")
    span_length: float = Field(3.0, ge=1, le=64, description="span: mean length of a hidden span, in tokens")
    kl_steps: int = Field(200, ge=0, description="elbo: steps over which the weight of the KL term rises to 1")
    kl_weight: float = Field(1.0, gt=0, le=100, description="elbo: weight of the KL term in the end (beta)")
    free_bits: float = Field(0.1, ge=0, le=10, description="elbo: nats a latent unit that cost nothing")
    word_dropout: float = Field(
        0.2, ge=0, le=1, description="elbo: share of the decoder's input tokens that are hidden"
    )


class LoraConfig(Section):
    """Low-rank adapters (Hu et al. 2022): small matrices beside the frozen ones of a model that was trained before."""

    rank: int = Field(0, ge=0, le=1024, description="rank of the adapters; 0 for none")
    alpha: float = Field(16.0, gt=0, description="scale of the adapters, divided by the rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout inside the adapters")
    targets: Words | None = Field(None, description="names of the layers to adapt; all linear ones where not given")


class TrainConfig(Section):
    """How it is learned, for how long, and on what."""

    steps: int | None = Field(None, ge=1, description="budget in steps; each reads one batch")
    tokens: int | None = Field(None, ge=1, description="budget in tokens")
    epochs: float | None = Field(None, gt=0, description="budget in passes over the corpus")
    minutes: float | None = Field(None, gt=0, description="budget in minutes, made a number of steps once")
    fit: bool = Field(
        False, description="minutes: size and batch by a short trial; so where nothing is said of size, batch or lr"
    )
    context: int = Field(64, ge=2, le=1_048_576, description="tokens of a window, or the most of a text")
    target_context: int | None = Field(
        None, ge=2, le=1_048_576, description="seq2seq: the most tokens of a target; the context where not given"
    )
    batch_size: int = Field(16, ge=1, description="windows a step")
    accumulate: int = Field(1, ge=1, description="parts a batch is worked through in, to save memory")
    optimizer: Literal["muon", "adamw"] = Field("muon", description="Muon for the hidden matrices, or AdamW for all")
    lr: float = Field(3e-3, gt=0, le=10, description="peak learning rate")
    embedding_rate: float = Field(1.0, gt=0, le=1000, description="learning rate of the embeddings, times lr")
    head_rate: float = Field(1.0, gt=0, le=1000, description="learning rate of a head of its own, times lr")
    weight_decay: float = Field(0.1, ge=0, le=1, description="decay of the weight matrices a step, times lr")
    beta1: float = Field(0.9, ge=0, lt=1, description="momentum of AdamW")
    beta2: float = Field(0.95, ge=0, lt=1, description="memory of AdamW's second moment")
    schedule: Literal["wsd", "cosine", "constant"] = Field(
        "wsd", description="course of the learning rate; wsd: up, level, down"
    )
    warmup: int = Field(20, ge=0, description="steps until the learning rate is at its peak")
    cooldown: float = Field(0.5, ge=0, le=1, description="wsd: last share of the budget, falling to lr_end")
    lr_end: float = Field(0.05, ge=0, le=1, description="share of the peak that the learning rate ends at")
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 for no limit")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="numbers of the matrix products")
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps")
    gpus: int | Literal["all"] = Field(
        1, description="GPUs that share each batch, a number or all; with device cpu, processes that do"
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads of a process; its share of the container's where not given"
    )
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
    leak_check: bool = Field(
        True, description="look at the end whether the model gives back its training text word for word"
    )
    metrics: Words = Field(
        default_factory=list, description="measured on held-out text beside the loss, built in or registered in a cell"
    )
    callbacks: Words = Field(
        default_factory=list, description="called with each event of the training, registered in a cell"
    )
    loggers: Words = Field(default_factory=list, description="trackers that are told the metrics too")
    freeze: Words | None = Field(
        None, description="parameters that stay as they are, by patterns such as stack.embedding* or stack.blocks.0.*"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="learning rate of each block as a share of the one above it (discriminative rates)"
    )
    unfreeze_every: int = Field(
        0,
        ge=0,
        description="steps after which one more block, from the top, learns too (gradual unfreezing); 0: all do",
    )

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        name, _, index = value.partition(":")
        if name not in ("auto", "cpu", "cuda", "mps") or (index and not index.isdigit()):
            raise ValueError(f"'{value}' is no device. Use auto, cpu, cuda, cuda:1 or mps")
        return value

    @field_validator("gpus", mode="before")
    @classmethod
    def _gpus(cls, value: Any) -> int | str:
        if value == "all":
            return "all"
        if isinstance(value, bool) or not str(value).isdigit() or int(value) < 1:
            raise ValueError(f"'{value}' is no number of GPUs. Use a number from 1 on, or all")
        return int(value)

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
        if self.gpus != 1 and (self.device == "mps" or ":" in self.device):
            raise ValueError(f"device {self.device} is one GPU, and gpus is {self.gpus}. Use device: cuda, or gpus: 1")
        if self.gpus != "all" and self.gpus > self.batch_size:
            raise ValueError(
                f"{self.gpus} GPUs cannot share a batch_size of {self.batch_size}. Use batch_size: {self.gpus} or more"
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
    preset: str | None = Field(None, description="a published architecture, by name")
    init_from: str | None = Field(
        None, description="weights to start from: a run's name or folder, or hf:NAME_OR_PATH for a Hugging Face model"
    )
    size: Literal["tiny", "mini", "small", "base"] = Field(
        "mini", description="how large the network is, with all that suits it"
    )
    data: DataConfig = Field(default_factory=DataConfig, description="the text")
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig, description="text to tokens")
    model: ModelConfig = Field(default_factory=ModelConfig, description="the network")
    objective: ObjectiveConfig = Field(default_factory=ObjectiveConfig, description="what is learned")
    train: TrainConfig = Field(default_factory=TrainConfig, description="the training")
    lora: LoraConfig = Field(default_factory=LoraConfig, description="low-rank adapters")
    sample: SampleConfig = Field(default_factory=SampleConfig, description="text written while training")
    probe: ProbeConfig = Field(default_factory=ProbeConfig, description="attention kept while training")

    @model_validator(mode="after")
    def _coherent(self) -> RunConfig:
        goal = GOALS.get(self.objective.kind)
        if goal is None or self.model.kind not in FAMILIES:
            return self
        kind, learns = self.model.kind, self.objective.kind
        if kind not in goal.kinds:
            usual = FAMILIES[kind].objective
            other = "transformer" if "transformer" in goal.kinds else min(goal.kinds - {"huggingface"})
            raise ValueError(f"{kind} does not learn {learns}. Use objective: {usual}, or model: {other}")
        if self.model.bidirectional and goal.head == "next":
            raise ValueError(
                f"a network that reads both ways would see the token it is to predict. For {learns} leave out "
                "bidirectional; or learn objective: mlm"
            )
        if self.data.augment.active and goal.data == "stream":
            raise ValueError(
                f"data.augment changes the texts of a table, and {learns} learns from running text. Leave it out"
            )
        if self.data.augment.active and learns in ("nsp", "tagging"):
            holds = "two sentences are joined into one example" if learns == "nsp" else "spans point at its letters"
            raise ValueError(f"data.augment changes a text of its own, and for {learns} {holds}. Leave it out")
        if kind == "huggingface" and not self.init_from:
            raise ValueError("huggingface is a model of the hub or of a folder. Add init_from: hf:NAME_OR_PATH")
        if kind == "huggingface" and self.objective.kind == "mlm" and self.objective.next_sentence:
            raise ValueError(
                "a Hugging Face model learns no next sentence as it is. Leave out next_sentence, or add model: bert, "
                "which takes a BERT's weights into nbllm's own"
            )
        if self.objective.teacher and learns != "clm":
            raise ValueError(f"a teacher teaches the next token, and this run learns {learns}. Leave out teacher")
        if self.train.gpus != 1 and learns == "elbo" and self.objective.free_bits:
            raise ValueError(
                "free bits are counted over a whole batch, which several GPUs share. Use free_bits: 0, or gpus: 1"
            )
        if self.lora.rank and not self.init_from:
            raise ValueError("lora adapts a model that was trained before. Add init_from: RUN, or lora.rank: 0")
        return self

    @model_validator(mode="after")
    def _streams(self) -> RunConfig:
        if not self.data.streaming:
            return self
        goal = GOALS.get(self.objective.kind)
        if (goal and goal.data != "stream") or (self.objective.kind == "mlm" and self.objective.next_sentence):
            raise ValueError(
                f"streaming cuts running text into windows, and {self.objective.kind} learns from "
                f"{goal.data if goal and goal.data != 'stream' else 'sentences'}. Leave out data.streaming"
            )
        if self.train.epochs is not None:
            raise ValueError(
                "the length of a stream is not known, so there are no epochs. Give steps, tokens or minutes"
            )
        if self.data.use < 1:
            raise ValueError("the length of a stream is not known, so data.use has no share of it. Give data.limit_mb")
        if self.data.clean.near_duplicates:
            raise ValueError(
                "a stream is not searched for near duplicates. Leave out near_duplicates, or data.streaming"
            )
        return self

    @model_validator(mode="after")
    def _plants(self) -> RunConfig:
        if not self.data.canaries:
            return self
        goal = GOALS.get(self.objective.kind)
        if (goal and goal.data != "stream") or (self.objective.kind == "mlm" and self.objective.next_sentence):
            raise ValueError(
                f"canaries are planted in running text, and {self.objective.kind} learns from "
                f"{goal.data if goal and goal.data != 'stream' else 'sentences'}. Leave out data.canaries"
            )
        if self.data.streaming:
            raise ValueError("canaries are planted in a text that is kept. Leave out data.canaries, or data.streaming")
        if self.data.use < 1:
            raise ValueError("canaries may lie beyond the share that data.use takes. Leave it out, or data.canaries")
        return self

    def to_yaml(self) -> str:
        """The whole configuration as YAML, every default written out."""
        from nbllm.config.text import to_yaml

        return to_yaml(self)

    @classmethod
    def from_yaml(cls, text: str, where: str = "config.yaml") -> RunConfig:
        """Read what `to_yaml` wrote. Raises ConfigError with the place of the fault."""
        from nbllm.config.text import from_yaml

        return from_yaml(text, where)

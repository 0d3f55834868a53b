"""The configuration of a run: one tree, the only source of the keys of a cell's YAML body, of the flags of the magics,
of dotted overrides, of completions, of `--help` and of `config.yaml`.

    resolve([("cell body", {"model": "lstm", "train": {"lr": 3e-3}}), ("line", {"size": "tiny"})]) -> RunConfig

A layer is a nested dict. A string (or a number) for a section stands for its first field (`model: lstm` is
`model: {kind: lstm}`), a dotted key reaches into it (`train.lr`), and a field whose name stands in one section alone
needs no section (`lr`). Later layers win; the size dial fills what no layer sets.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nbllm.errors import ConfigError, did_you_mean
from nbllm.registry import MODELS, OBJECTIVES, TOKENIZERS, Registry

FORMAT = 1
BUDGETS = ("steps", "tokens", "epochs", "minutes")


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values are checked when they are set."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=())


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
    mlp_width: int | None = Field(None, ge=8, description="units inside the gated MLP; 8/3 of the width where not given")
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
                raise ValueError(f"a head of {self.head_dim} units is odd and rotary positions need pairs")
            if self.heads % self.key_heads:
                raise ValueError(f"kv_heads {self.key_heads} does not divide heads {self.heads}")
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
            raise ValueError(f"accumulate {self.accumulate} does not divide batch_size {self.batch_size}")
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


SIZE_NAMES = ("tiny", "mini", "small", "base")


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
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str, where: str = "config.yaml") -> RunConfig:
        """Read what `to_yaml` wrote. Raises ConfigError with the place of the fault."""
        content = parse_yaml(text, where)
        if content.get("format", FORMAT) != FORMAT:
            raise ConfigError(
                f"{where} has format {content['format']} and this nbllm reads format {FORMAT}.",
                "Type: pip install --upgrade nbllm",
            )
        return _validate(content, where)


# The dial. What a size sets for every kind, then for one kind alone; a kind registered in a cell takes the transformer's.
SIZES: dict[str, dict[str, dict[str, dict[str, Any]]]] = {
    "tiny": {
        "any": {
            "model": {"layers": 2, "width": 64},
            "train": {"context": 64, "batch_size": 16, "steps": 400, "lr": 5e-3, "evaluate_every": 50},
        },
        "transformer": {"model": {"heads": 2}},
        "lstm": {"model": {"layers": 1, "width": 128}},
    },
    "mini": {
        "any": {
            "model": {"layers": 4, "width": 128},
            "train": {"context": 64, "batch_size": 16, "steps": 600, "lr": 3e-3, "evaluate_every": 100},
        },
        "transformer": {"model": {"heads": 4}},
        "lstm": {"model": {"layers": 2, "width": 192}},
    },
    "small": {
        "any": {
            "model": {"layers": 6, "width": 192},
            "train": {"context": 128, "batch_size": 16, "steps": 1500, "lr": 2e-3, "evaluate_every": 100},
        },
        "transformer": {"model": {"heads": 6}},
        "lstm": {"model": {"layers": 2, "width": 384}},
    },
    "base": {
        "any": {
            "model": {"layers": 12, "width": 768},
            "train": {
                "context": 512, "batch_size": 32, "steps": 5000, "lr": 6e-4, "warmup": 200,
                "evaluate_every": 250, "evaluate_tokens": 131_072, "checkpoint_every": 500,
            },
            "tokenizer": {"kind": "bpe", "vocab_size": 16_384},
        },
        "transformer": {"model": {"heads": 12}},
        "lstm": {"model": {"layers": 3, "width": 1024}},
    },
}  # fmt: skip

# Fields of the model section that a built-in kind knows.
_EVERY_MODEL = {"kind", "layers", "width", "dropout", "tied"}
MODEL_FIELDS = {
    "transformer": _EVERY_MODEL | {"heads", "kv_heads", "head_width", "mlp_width", "qk_norm", "rope_base"},
    "lstm": _EVERY_MODEL | {"plain", "mlp_width"},
}

# What a plain value for a section stands for.
SHORTHAND = {
    "data": "source", "tokenizer": "kind", "model": "kind", "objective": "kind", "sample": "prompt", "probe": "text",
}  # fmt: skip

_TABLES: dict[str, Registry[Any]] = {"model.kind": MODELS, "objective.kind": OBJECTIVES, "tokenizer.kind": TOKENIZERS}


@dataclass(frozen=True)
class Option:
    """One leaf of the tree, as flags, completions and help see it."""

    path: str
    flag: str
    help: str
    default: Any
    kind: Literal["bool", "int", "float", "text", "map"]
    choices: tuple[str, ...] = ()

    def describe(self) -> str:
        """Its help with the choices and the default, on one line."""
        choices = f" ({' | '.join(self.choices)})" if self.choices else ""
        default = "" if self.default in (None, "", {}) else f" [{self.default}]"
        return f"{self.help}{choices}{default}"


def options() -> list[Option]:
    """Every leaf of the configuration. A field name that stands once needs no section in its flag."""
    found = list(_leaves(RunConfig, ""))
    names = [path.rpartition(".")[2] for path, _ in found]
    table = []
    for path, info in found:
        name = path.rpartition(".")[2]
        section = path.partition(".")[0]
        if path == f"{section}.{SHORTHAND.get(section)}":
            flag = section
        elif names.count(name) == 1 and name not in SHORTHAND:
            flag = name
        else:
            flag = path.replace(".", "-")
        kind, choices = _kind(info.annotation)
        if path in _TABLES:
            choices = tuple(_TABLES[path])
        default = info.get_default(call_default_factory=True)
        table.append(Option(path, "--" + flag.replace("_", "-"), info.description or "", default, kind, choices))
    return table


def resolve(layers: Iterable[tuple[str, Mapping[str, Any]]]) -> RunConfig:
    """The configuration that the layers make together, lowest first, checked.

    Raises ConfigError: one line with the key, the place it stands in, and what to type instead.
    """
    leaves = short_names()
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, layer in layers:
        flat = dict(_flatten(layer, where, leaves))
        budget = [key for key in flat if key.partition(".")[2] in BUDGETS and flat[key] is not None]
        if len(budget) > 1:
            names = " and ".join(key.partition(".")[2] for key in budget)
            raise ConfigError(f"{names} are both given in the {where}.", "Keep one budget.")
        if budget:
            for name in BUDGETS:
                merged.pop(f"train.{name}", None)
        for key, value in flat.items():
            if where == "line" and origin.get(key) == "cell body" and not _same(merged.get(key), value):
                raise ConfigError(
                    f"{key} is {merged[key]!r} in the cell body and {value!r} in the line.", "Keep one of the two."
                )
            merged[key] = value
            origin[key] = where
    kind = merged.get("model.kind", ModelConfig().kind)
    _check_names(merged, origin, kind)
    size = merged.get("size", RunConfig().size)
    filled = dict(_size_defaults(size, kind, has_budget=any(merged.get(f"train.{b}") for b in BUDGETS)))
    content = _nest({**filled, **merged})
    return _validate(content, "the configuration", origin)


def _same(one: Any, other: Any) -> bool:
    """Whether two values mean the same: the line brings 3e-3 as text, the body may bring it as a number."""
    try:
        return one == other or float(one) == float(other)
    except (TypeError, ValueError):
        return str(one).lower() == str(other).lower()


def short_names() -> dict[str, str]:
    """Field names that stand in one section alone, to their dotted path."""
    paths = [path for path, _ in _leaves(RunConfig, "")]
    names = [path.rpartition(".")[2] for path in paths]
    return {name: path for name, path in zip(names, paths, strict=True) if names.count(name) == 1}


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """A YAML mapping by the safe loader; duplicate keys, aliases and broken text are ConfigErrors with their line."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(
            f"{where}{line} is not valid YAML: {problem}.", "Write 'key: value', as in model: {layers: 4}"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{where} is not a set of keys.", "Write 'key: value', as in train: {lr: 3e-3}")
    return {str(key): value for key, value in content.items()}


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, without aliases (a few lines can grow to gigabytes) and without repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not used here", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = getattr(key_node, "value", None)
            if isinstance(key, str):
                if key in seen:
                    raise yaml.MarkedYAMLError(problem=f"'{key}' is given twice", problem_mark=key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


def _leaves(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, info in section.model_fields.items():
        path = f"{prefix}{name}"
        if path == "format":
            continue
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _leaves(info.annotation, path + ".")
        else:
            yield path, info


def _kind(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    """The kind of a leaf's values, and its choices where it has few."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    if typing.get_origin(annotation) is Literal:
        return "text", tuple(str(a) for a in typing.get_args(annotation))
    if typing.get_origin(annotation) is dict:
        return "map", ()
    return {bool: "bool", int: "int", float: "float"}.get(annotation, "text"), ()


def _flatten(layer: Mapping[str, Any], where: str, leaves: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """A layer as dotted leaves, short forms spelled out, unknown keys refused."""
    sections = {n: i.annotation for n, i in RunConfig.model_fields.items() if n not in ("format", "size")}
    for key, value in layer.items():
        if key == "format":
            continue
        if key in leaves and key not in sections:
            yield leaves[key], value
        elif key in sections and not isinstance(value, Mapping):
            if key not in SHORTHAND:
                raise ConfigError(f"{key} in the {where} is {value!r}.", f"Write {key}: {{key: value}}.")
            if value is not None:
                yield f"{key}.{SHORTHAND[key]}", value
        elif key in sections or "." in key:
            yield from _walk(RunConfig, key, value, where)
        else:
            raise ConfigError(f"Unknown key '{key}' in the {where}.", did_you_mean(key, [*sections, *leaves]))


def _walk(section: Any, path: str, value: Any, where: str, done: str = "") -> Iterator[tuple[str, Any]]:
    name, _, rest = path.partition(".")
    info = section.model_fields.get(name)
    if info is None:
        place = f"{done.rstrip('.')} of the {where}" if done else f"the {where}"
        raise ConfigError(f"Unknown key '{name}' in {place}.", did_you_mean(name, section.model_fields))
    inner = info.annotation
    is_section = isinstance(inner, type) and issubclass(inner, BaseModel)
    if rest and not is_section:
        raise ConfigError(f"{done}{name} in the {where} has no part '{rest}'.", f"Write {done}{name}: VALUE.")
    if rest:
        yield from _walk(inner, rest, value, where, f"{done}{name}.")
    elif is_section and isinstance(value, Mapping):
        for key, part in value.items():
            yield from _walk(inner, str(key), part, where, f"{done}{name}.")
    elif is_section and isinstance(value, bool) and name == "clean":
        yield f"{done}{name}.strip", value
        yield f"{done}{name}.normalise", value
        yield f"{done}{name}.near_duplicates", value
    elif is_section and value is not None:
        raise ConfigError(f"{done}{name} in the {where} is {value!r}.", f"Write {done}{name}: {{key: value}}.")
    elif not is_section:
        yield f"{done}{name}", value


def _check_names(merged: Mapping[str, Any], origin: Mapping[str, str], kind: Any) -> None:
    """Names that tables hold, and model fields that the kind has no use for."""
    for path, table in _TABLES.items():
        value = merged.get(path)
        if value is None or value in table:
            continue
        if path == "tokenizer.kind" and str(value).endswith(".json"):
            continue
        raise ConfigError(f"There is no {table.noun} '{value}' ({origin[path]}).", did_you_mean(value, table))
    known = MODEL_FIELDS.get(str(kind))
    if known and MODELS.is_builtin(str(kind)):
        for path, where in origin.items():
            section, _, name = path.partition(".")
            if section == "model" and name not in known:
                article = "An" if str(kind)[0] in "aeioul" else "A"
                raise ConfigError(f"{article} {kind} has no '{name}' ({where}).", f"Its keys: {', '.join(sorted(known))}.")
    size = merged.get("size")
    if size is not None and size not in SIZE_NAMES:
        raise ConfigError(f"There is no size '{size}' ({origin['size']}).", did_you_mean(size, SIZE_NAMES))


def _size_defaults(size: str, kind: Any, has_budget: bool) -> Iterator[tuple[str, Any]]:
    preset = SIZES[size]
    family = kind if kind in preset else "transformer"
    for part in (preset["any"], preset.get(family, {})):
        for section, fields in part.items():
            for name, value in fields.items():
                if not (name in BUDGETS and has_budget):
                    yield f"{section}.{name}", value
    yield "size", size


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *sections, name = path.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return tree


def _validate(content: Mapping[str, Any], where: str, origin: Mapping[str, str] | None = None) -> RunConfig:
    """A checked RunConfig, or the first fault as one line."""
    try:
        return RunConfig.model_validate(dict(content))
    except ValidationError as error:
        fault = error.errors()[0]
        path = ".".join(str(p) for p in fault["loc"])
        place = (origin or {}).get(path, where)
        message = fault["msg"].removeprefix("Value error, ").rstrip(".")
        if fault["type"] == "extra_forbidden":
            section, _, name = path.rpartition(".")
            inner: Any = RunConfig
            for part in filter(None, section.split(".")):
                inner = inner.model_fields[part].annotation
            raise ConfigError(f"Unknown key '{path}' in {where}.", did_you_mean(name, inner.model_fields)) from None
        if fault["type"] == "value_error":
            raise ConfigError(f"{path}: {message}.") from None
        example = next((o.describe() for o in options() if o.path == path), "")
        raise ConfigError(
            f"{path} is {fault['input']!r} ({place}), and: {message[:1].lower()}{message[1:]}.", f"{path}: {example}."
        ) from None


def read_settings(files: Iterable[Path]) -> list[tuple[str, dict[str, Any]]]:
    """Layers from the settings files that exist, lowest first."""
    return [(str(f), parse_yaml(f.read_text(encoding="utf-8"), str(f))) for f in files if f.is_file()]

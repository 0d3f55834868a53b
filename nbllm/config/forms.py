"""The configuration as a form: its fields in groups, with label, help, unit and limits, and which matter now."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbllm.config.families import FAMILIES, GOALS
from nbllm.config.layers import Layers, filled_in
from nbllm.config.options import LISTS, leaves, options
from nbllm.config.own_presets import names as own_presets
from nbllm.config.presets import PRESETS
from nbllm.config.schema import BUDGETS, RunConfig
from nbllm.registry import CORPORA
from nbllm.registry import TABLES as DATA_TABLES

BUDGET = tuple(f"train.{name}" for name in BUDGETS)

FIRST = ("model.kind", "size", "preset", "data.source", "objective.kind")
"""What stands open; the budget comes beside it."""

_STARTING = ("init_from", "lora.", "train.freeze", "train.layer_decay", "train.unfreeze_every")
_WATCHING = (
    "sample.", "probe.", "train.evaluate", "train.checkpoint", "train.keep", "train.disk_mb", "train.metrics",
    "train.callbacks", "train.loggers", "train.leak_check",
)  # fmt: skip
# Title, and how the paths of its fields begin; the first group that fits takes a field.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("First", FIRST),
    ("Budget", BUDGET),
    ("Network", ("model.",)),
    ("Data", ("data.",)),
    ("Tokens", ("tokenizer.",)),
    ("Objective", ("objective.",)),
    ("Start from other weights", _STARTING),
    ("Samples, measures, checkpoints", _WATCHING),
    ("Training", ("train.",)),
)

_LABELS = {
    "model.kind": "family", "data.source": "data", "objective.kind": "objective", "tokenizer.kind": "tokenizer",
    "train.lr": "learning rate", "train.lr_end": "learning rate at the end", "train.beta1": "beta 1",
    "train.beta2": "beta 2", "train.keep": "checkpoints to keep", "model.kv_heads": "key and value heads",
    "model.qk_norm": "norms of queries and keys", "model.mlp": "MLP", "model.mlp_width": "width of the MLP",
    "model.rope_base": "base of rotary positions", "init_from": "start from", "sample.every": "sample every",
    "probe.every": "map every", "probe.text": "text to watch", "objective.kl_steps": "KL warm-up",
    "objective.kl_weight": "KL weight", "tokenizer.separate": "vocabulary of the target apart",
    "data.use": "share that is used", "data.held_out": "held out", "train.device": "device", "train.clip": "clip",
    "train.gpus": "GPUs",
    "lora.rank": "LoRA rank", "lora.alpha": "LoRA alpha", "lora.dropout": "LoRA dropout", "lora.targets": "LoRA layers",
    "data.limit_mb": "at most", "tokenizer.sample_mb": "learned on", "train.disk_mb": "room on the disk",
}  # fmt: skip

# What a number counts; "" for a plain number.
UNITS = {
    "data.limit_mb": "MB", "data.held_out": "of 1", "data.use": "of 1", "data.stride": "tokens",
    "data.shuffle": "windows",
    "data.clean.min_length": "characters", "data.clean.max_length": "characters", "data.augment.drop_words": "of 1",
    "data.augment.swap_words": "of 1", "data.augment.typos": "of 1", "data.canary_each": "secrets",
    "data.canary_digits": "digits", "tokenizer.vocab_size": "tokens", "tokenizer.min_frequency": "times",
    "tokenizer.sample_mb": "MB", "model.layers": "blocks", "model.width": "units", "model.heads": "heads",
    "model.kv_heads": "heads", "model.head_width": "units", "model.window": "tokens", "model.rope_base": "",
    "model.mlp_width": "units", "model.kernel": "tokens", "model.dilations": "blocks", "model.norm_eps": "",
    "model.bigrams": "pairs", "model.latent": "units", "model.dropout": "of 1", "objective.label_smoothing": "of 1",
    "objective.scheduled_sampling": "of 1", "objective.mask_share": "of 1", "objective.span_length": "tokens",
    "objective.kl_steps": "steps", "objective.kl_weight": "", "objective.free_bits": "nats",
    "objective.word_dropout": "of 1", "objective.fill_middle": "of 1",
    "objective.teacher_weight": "of 1", "objective.teacher_temperature": "",
    "train.steps": "steps", "train.tokens": "tokens", "train.epochs": "passes",
    "train.minutes": "minutes", "train.context": "tokens", "train.target_context": "tokens",
    "train.batch_size": "windows", "train.accumulate": "parts", "train.lr": "",
    "train.embedding_rate": "times lr",
    "train.head_rate": "times lr", "train.weight_decay": "times lr", "train.beta1": "", "train.beta2": "",
    "train.warmup": "steps", "train.cooldown": "of the budget", "train.lr_end": "of the peak", "train.clip": "",
    "train.threads": "threads", "train.seed": "", "train.evaluate_every": "steps", "train.evaluate_tokens": "tokens",
    "train.checkpoint_every": "steps", "train.checkpoint_minutes": "minutes", "train.keep": "checkpoints",
    "train.disk_mb": "MB", "train.patience": "measures", "train.layer_decay": "of 1", "train.unfreeze_every": "steps",
    "lora.rank": "", "lora.alpha": "", "lora.dropout": "of 1", "sample.every": "steps", "sample.max_tokens": "tokens",
    "sample.temperature": "", "sample.top_k": "tokens", "sample.top_p": "of 1", "probe.every": "steps",
}  # fmt: skip

_OPEN = ("data.source", "tokenizer.kind")  # a path will do too
_LONG = ("sample.prompt", "probe.text", "data.canary_text")
_ABOUT = re.compile(r"([\w-]+(?:, [\w-]+)*): ")


@dataclass(frozen=True)
class FormField:
    """A field of the form. `open` allows other values than the choices; `optional` may be left to itself (None);
    `above` and `below` are limits that are no values themselves."""

    path: str
    label: str
    help: str
    kind: str
    unit: str
    choices: tuple[str, ...]
    open: bool
    optional: bool
    long: bool
    least: float | None
    most: float | None
    above: float | None
    below: float | None

    @property
    def limits(self) -> str:
        """The limits in words: `1 to 512`, `above 0`; empty where there are none."""
        low = f"above {_plain(self.above)}" if self.above is not None else _plain(self.least)
        high = f"below {_plain(self.below)}" if self.below is not None else _plain(self.most)
        if low and high:
            return f"{low} to {high}" if self.below is None else f"{low}, {high}"
        return low if self.above is not None else f"{low} or more" if low else f"up to {high}" if high else ""


def _plain(limit: float | None) -> str:
    """A limit as it is read: 32,768, and not 3.2768e+04."""
    return "" if limit is None else f"{limit:,.0f}" if abs(limit) >= 10_000 else f"{limit:g}"


def fields() -> list[tuple[str, list[FormField]]]:
    """Every setting once, in its group: (title, fields)."""
    found: dict[str, list[FormField]] = {title: [] for title, _ in GROUPS}
    infos = dict(leaves())
    for option in options():
        title = next(title for title, starts in GROUPS if any(_begins(option.path, each) for each in starts))
        info = infos[option.path]
        limits = {name: _limit(info, name) for name in ("ge", "le", "gt", "lt")}
        choices = option.choices
        if option.path == "data.source":
            choices = (*CORPORA, *DATA_TABLES)
        found[title].append(
            FormField(
                option.path, label(option.path), option.help, option.kind, UNITS.get(option.path, ""), choices,
                open=option.path in LISTS or option.path in _OPEN, optional=info.default is None,
                long=option.path in _LONG, least=limits["ge"], most=limits["le"],
                above=limits["gt"], below=limits["lt"],
            )
        )  # fmt: skip
    found["First"].sort(key=lambda field: FIRST.index(field.path))
    return list(found.items())


def label(path: str) -> str:
    """What a setting is called in the form."""
    return _LABELS.get(path) or path.rpartition(".")[2].replace("_", " ")


def _begins(path: str, start: str) -> bool:
    """Whether the path begins so; what stands in front is meant whole."""
    return path == start or (path.startswith(start) and start not in FIRST and start not in BUDGET)


def _limit(info: Any, name: str) -> float | None:
    return next((getattr(each, name) for each in info.metadata if getattr(each, name, None) is not None), None)


def matter(config: RunConfig) -> set[str]:
    """The settings that this configuration makes use of: those of its family, its objective and what is turned on."""
    return {option.path for option in options() if _matters(option.path, option.help, config)}


def _matters(path: str, help: str, config: RunConfig) -> bool:
    section, _, name = path.partition(".")
    kind, learns = config.model.kind, config.objective.kind
    if section == "model":
        known = FAMILIES[kind].fields if kind in FAMILIES else None
        return known is None or name in known
    about = _ABOUT.match(help)
    words = set(about[1].split(", ")) if about else set()
    if words & set(GOALS) and learns in GOALS:
        return learns in words
    if "streaming" in words:
        return config.data.streaming
    if "wsd" in words:
        return config.train.schedule == "wsd"
    if name.startswith("canary_"):
        return bool(config.data.canaries)
    if section == "lora" or path in ("train.freeze", "train.layer_decay", "train.unfreeze_every"):
        return config.init_from is not None
    if path in ("tokenizer.vocab_size", "tokenizer.min_frequency"):
        return config.tokenizer.kind in ("word", "bpe")
    if name.startswith("augment"):
        return learns not in GOALS or (GOALS[learns].data != "stream" and learns not in ("nsp", "tagging"))
    return True


def leaf(config: RunConfig, path: str) -> Any:
    """The value of a setting, by its dotted path."""
    found: Any = config
    for name in path.split("."):
        found = getattr(found, name)
    return found


def shortest(config: RunConfig, gather: Callable[[Layers], tuple[Layers, Layers]]) -> dict[str, Any]:
    """The settings, by dotted key, that have to be said to get this configuration again: what size, family and preset
    fill in by themselves is left out. `gather` adds what a user has set once."""
    want = {option.path: leaf(config, option.path) for option in options()}
    if want["preset"] not in (*PRESETS, *own_presets()):
        want["preset"] = None  # another's: all that it set stands in the configuration
    if want["model.kind"] in FAMILIES:
        known = FAMILIES[want["model.kind"]].fields
        want = {key: each for key, each in want.items() if not key.startswith("model.") or key[6:] in known}
    if want.get("model.blocks") is not None:
        del want["model.layers"]  # the blocks say it
    if any(want[key] is not None for key in BUDGET):
        want = {key: each for key, each in want.items() if key not in BUDGET or each is not None}
    usual = {option.path: option.default for option in options()}
    said: dict[str, Any] = {}
    while news := _differing(want, said, usual, gather):
        said |= news
    return said


def _differing(want: dict[str, Any], said: dict[str, Any], usual: dict[str, Any], gather: Any) -> dict[str, Any]:
    """What has to be said beyond `said`: one that changes what others are filled with comes alone."""
    made, _ = filled_in(*gather([("form", said)]))
    news = {key: each for key, each in want.items() if made.get(key, usual[key]) != each and key not in said}
    for key in ("preset", "init_from", "model.kind", "objective.kind", "size"):
        if key in news:
            return {key: news[key]}
    return news

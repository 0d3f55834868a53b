"""A run's configuration and data in words: the line below its name, the chain of its parts, and tables of settings."""

from __future__ import annotations

import itertools
from typing import Any

from nbllm.config import FAMILIES, ModelConfig, RunConfig, goal_of
from nbllm.dashboards.watch import Watch
from nbllm.store.status import Status


def summary(config: RunConfig | None, status: Status, parent: dict[str, Any] | None = None) -> str:
    """`transformer 4×128, 0.80M parameters, cpu`; of a run that began with another's weights `from shakespeare` too."""
    parts = []
    if config is not None:
        sizes = "" if config.model.kind == "huggingface" else f" {config.model.layers}×{config.model.width}"
        parts.append(f"{config.model.kind}{sizes}")
    if status.parameters:
        learn = f", {millions(status.trained)} of them learn" if status.trained else ""
        parts.append(f"{millions(status.parameters)} parameters{learn}")
    if status.device:
        parts.append(status.device)
    if parent and parent.get("name"):
        parts.append(f"from {parent['name']}")
    return ", ".join(parts)


def millions(count: int) -> str:
    """0.80M, 124M, 1.2B, and small counts in full."""
    if count >= 10**9:
        return f"{count / 1e9:.1f}B"
    if count >= 10**8:
        return f"{count / 1e6:.0f}M"
    return f"{count / 1e6:.2f}M" if count >= 10**5 else f"{count:,}"


def network(config: RunConfig | None, status: Status) -> dict[str, Any]:
    """The chain of parts, the parameter count, and every setting with whether it is a default's."""
    if config is None:
        return {"chain": [], "parameters": None, "rows": []}
    chain = [f"{config.tokenizer.kind} tokens", *_parts(config)]
    plain = RunConfig.model_validate({}).model_dump(mode="json")
    rows = []
    for name, section in config.model_dump(mode="json").items():
        if isinstance(section, dict) and name != "data":
            for key, value in section.items():
                rows.append([f"{name}.{key}", _show(value), value != plain.get(name, {}).get(key)])
        elif name == "size":
            rows.insert(0, ["size", _show(section), section != plain["size"]])
    return {"chain": chain, "parameters": f"{status.parameters:,}" if status.parameters else None, "rows": rows}


def _parts(config: RunConfig) -> list[str]:
    """The network from the embedding to its answer, a part a line."""
    model, goal = config.model, goal_of(config.objective)
    if model.kind not in FAMILIES or model.kind == "huggingface":
        return ["blocks", "head"]
    ends = {
        "next": "next token", "masked": "hidden tokens", "labels": "labels", "tags": "a tag a token",
        "target": "next target token",
    }  # fmt: skip
    if goal.head in ("target", "latent"):
        encoder, decoder = model.two_stacks()
        middle = f"latent {model.latent}" if goal.head == "latent" else f"cross-attention ({model.cross})"
        if model.cross == "none" and goal.head == "target":
            middle = "last state"
        return [
            f"encoder: embedding {model.width}", *_blocks(model, encoder), middle,
            f"decoder: embedding {model.width}", *_blocks(model, decoder), ends.get(goal.head, "next token"),
        ]  # fmt: skip
    parts = [f"embedding {model.width}", *_blocks(model, model.stack())]
    if not model.plain and model.norm_place == "before":
        parts.append("norm")
    return [*parts, ends.get(goal.head, "head")]


def _blocks(model: ModelConfig, mixers: list[str]) -> list[str]:
    """Runs of like blocks: `2 × (attention, 4 heads + MLP 352)`."""
    way = "two-way " if model.bidirectional else ""
    parts = []
    for name, run in itertools.groupby(mixers):
        inside = f"attention, {model.heads} heads" if name == "attention" else name.upper() if name != "conv" else name
        mlp = model.mlp_of(name)
        parts.append(f"{len(list(run))} × ({way}{inside}{f' + MLP {mlp}' if mlp else ''})")
    return parts


def data_rows(watch: Watch) -> list[list[str]]:
    """What is known of the data and of the machine: in words first, then the settings that differ from the default,
    then all that was written down of the machine."""
    facts = dict(watch.facts)
    rows = []
    if watch.config is not None:
        plain = RunConfig.model_validate({}).data.model_dump(mode="json")
        settings = watch.config.data.model_dump(mode="json")
        rows += [["source", _show(settings["source"])], *_prepared(facts)]
        rows += [[f"data.{k}", _show(v)] for k, v in settings.items() if k != "source" and v != plain.get(k)]
    libraries = [
        f"{key.removeprefix('versions.')} {text}" for key, text in facts.items() if key.startswith("versions.")
    ]
    rest = [[key, text] for key, text in facts.items() if not key.startswith((*_TOLD, "versions."))]
    return [*rows, *rest, *([["libraries", ", ".join(libraries)]] if libraries else [])]


# What environment.json and the files of the data say of a text and its tokens, told by `_prepared`.
_TOLD = ("data.", "report.", "train.", "held_out.")


def _prepared(facts: dict[str, str]) -> list[list[str]]:
    """How much text there was and what it became; [] before it is prepared."""
    number = {key.removeprefix("data."): int(text) for key, text in facts.items() if text.isdigit() and "data." in key}
    if "train_tokens" not in number:
        return []
    documents = number.get("documents")
    pieces = {
        "text": [(documents, "document" if documents == 1 else "documents"), (number.get("characters"), "characters"),
                 (number.get("bytes"), "bytes")],
        "tokens": [(number["train_tokens"], "to learn from"), (number.get("held_out_tokens"), "held out"),
                   (number.get("unknown_tokens") or None, "unknown")],
        "vocabulary": [(number.get("vocab_size"), "tokens")],
    }  # fmt: skip
    said = {name: ", ".join(f"{n:,} {what}" for n, what in each if n is not None) for name, each in pieces.items()}
    removed = [[f"taken out, {key.removeprefix('data.removed.')}", text] for key, text in facts.items()
               if key.startswith("data.removed.") and text != "0"]  # fmt: skip
    return [[name, text] for name, text in said.items() if text] + removed


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_show(v)}" for k, v in value.items()) or "none"
    return "none" if value is None else "yes" if value is True else "no" if value is False else str(value)

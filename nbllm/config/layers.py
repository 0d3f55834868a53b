"""Layers of settings, resolved into one checked RunConfig.

A layer is a nested dict. A string (or a number) for a section stands for its first field (`model: lstm` is
`model: {kind: lstm}`), a dotted key reaches into it (`train.lr`), and a field whose name stands in one section alone
needs no section (`lr`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nbllm.config import own_presets
from nbllm.config.families import FAMILIES, usual
from nbllm.config.model import ModelConfig
from nbllm.config.options import LISTS, SHORTHAND, TABLES, options, short_names
from nbllm.config.presets import OWN_SIZES, PRESETS
from nbllm.config.schema import BUDGETS, RunConfig
from nbllm.config.section import words
from nbllm.config.sizes import SIZES, size_defaults
from nbllm.config.text import parse_yaml
from nbllm.errors import ConfigError, did_you_mean
from nbllm.registry import MODELS

Layers = Sequence[tuple[str, Mapping[str, Any]]]

_BUDGET_KEYS = tuple(f"train.{name}" for name in BUDGETS)


def resolve(layers: Layers, settings: Layers = ()) -> RunConfig:
    """The configuration that the layers make together, lowest first, checked.

    `settings` are what a user has set once (files, %config); `layers` are what is asked for now, and win. A size that
    is asked for now wins over the settings too; one from the settings, or the default, only fills what they leave open.
    Raises ConfigError: one line with the key, the place it stands in, and what to type instead.
    """
    flat, origin = filled_in(layers, settings)
    return validate(_nest(flat), "the configuration", origin)


def filled_in(layers: Layers, settings: Layers = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """The same before it is checked: by dotted key what is asked for and what size, family and preset fill in, and
    where each was said."""
    below, from_where = _merge(settings)
    asked, origin = _merge(layers)
    asked, origin = _with_preset(asked, origin, below)
    kind = str(asked.get("model.kind", below.get("model.kind", ModelConfig().kind)))
    known = FAMILIES[kind].fields if kind in FAMILIES else None
    below = {key: value for key, value in below.items() if not _of_another_kind(key, known)}
    _check_names({**below, **asked}, {**from_where, **origin}, kind)
    budget = any(asked.get(f"train.{b}") for b in BUDGETS)
    if budget:
        below = {key: value for key, value in below.items() if key not in _BUDGET_KEYS}
    size = asked.get("size") or below.get("size") or RunConfig().size
    has_budget = budget or ("size" not in asked and any(below.get(key) for key in _BUDGET_KEYS))
    filled = dict(size_defaults(size, kind, has_budget))
    if "size" in asked and any(key in filled for key in _BUDGET_KEYS):
        below = {key: value for key, value in below.items() if key not in _BUDGET_KEYS}
    family = usual(kind, {**below, **asked})
    filled = {key: value for key, value in {**family, **filled}.items() if not _of_another_kind(key, known)}
    merged = {**below, **filled, **asked} if "size" in asked else {**filled, **below, **asked}
    if _fits({**below, **asked}, kind):
        merged.setdefault("train.fit", True)
    return merged, {**from_where, **origin}


def asked(layers: Layers) -> dict[str, Any]:
    """What the layers say together, by dotted key, before any default is filled in."""
    return _merge(layers)[0]


def _merge(layers: Layers) -> tuple[dict[str, Any], dict[str, str]]:
    """The layers as one flat dict, and where each key stands. One key with two values in body and line is refused."""
    leaves = short_names()
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, layer in layers:
        flat = dict(_flatten(layer, where, leaves))
        budget = [key for key in flat if key in _BUDGET_KEYS and flat[key] is not None]
        if len(budget) > 1:
            names = " and ".join(key.partition(".")[2] for key in budget)
            raise ConfigError(f"{names} are both given in the {where}.", "Keep one budget.")
        if budget:
            merged = {key: value for key, value in merged.items() if key not in _BUDGET_KEYS}
        for key, value in flat.items():
            if where == "line" and origin.get(key) == "cell body" and key in merged and not _same(merged[key], value):
                raise ConfigError(
                    f"{key} is {merged[key]!r} in the cell body and {value!r} in the line.", "Keep one of the two."
                )
            merged[key] = value
            origin[key] = where
    return merged, origin


def _with_preset(
    asked: dict[str, Any], origin: dict[str, str], below: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is asked for, on top of the preset that is named; a preset of the settings stands below what is asked. The
    preset's own size holds where no size is asked for, and its own budget where no budget is."""
    name = asked.get("preset", below.get("preset"))
    if name is None:
        return asked, origin
    budget = any(asked.get(key) for key in _BUDGET_KEYS)
    sized = {} if "size" in asked else OWN_SIZES.get(name, {})
    own = {key: value for key, value in sized.items() if not (budget and key in _BUDGET_KEYS)}
    filled = _preset(str(name), budget) | own
    return {**filled, **asked}, {**dict.fromkeys(filled, f"preset {name}"), **origin}


def _preset(name: str, budget: bool) -> dict[str, Any]:
    """What the preset of that name sets, by dotted key: one of ours, or of the user's own, which may name one of ours.
    Where a `budget` is asked for, it brings none."""
    if name in PRESETS:
        return PRESETS[name]
    if name not in own_presets.names():
        raise ConfigError(f"There is no preset '{name}'.", did_you_mean(name, [*PRESETS, *own_presets.names()]))
    flat = dict(_flatten(own_presets.read(name), f"preset {name}", short_names()))
    below = flat.pop("preset", None)
    if below is not None and below not in PRESETS:
        raise ConfigError(f"The preset '{name}' names the preset '{below}'.", did_you_mean(below, PRESETS))
    flat = {**PRESETS.get(str(below), {}), **flat}
    return {key: value for key, value in flat.items() if not (budget and key in _BUDGET_KEYS)}


def _fits(said: Mapping[str, Any], kind: str) -> bool:
    """Whether a budget in minutes is all that says how large the network is to be: the worker then finds out."""
    if not said.get("train.minutes") or said.get("init_from") or not MODELS.is_builtin(kind) or kind == "huggingface":
        return False
    sizes = {key for key, _ in size_defaults("mini", kind, has_budget=True) if key.startswith("model.")}
    named = {*sizes, "size", "train.batch_size", "train.lr", "model.blocks", "model.encoder", "model.decoder"}
    return not any(said.get(key) is not None for key in named)


def _of_another_kind(key: str, known: Collection[str] | None) -> bool:
    section, _, name = key.partition(".")
    return section == "model" and known is not None and name not in known


def _same(one: Any, other: Any) -> bool:
    """Whether two values mean the same: the line brings 3e-3 as text, the body may bring it as a number."""
    if isinstance(one, list) or isinstance(other, list):
        return bool(words(one) == words(other))
    try:
        return one == other or float(one) == float(other)
    except (TypeError, ValueError):
        return str(one).lower() == str(other).lower()


def _flatten(layer: Mapping[str, Any], where: str, leaves: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """A layer as dotted leaves, short forms spelled out, unknown keys refused."""
    sections = {
        n: i.annotation for n, i in RunConfig.model_fields.items() if n not in ("format", "size", "preset", "init_from")
    }
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
    for path, table in (TABLES | LISTS).items():
        value = merged.get(path)
        listed = words(value) if path in LISTS else [value]
        for name in listed if isinstance(listed, list) else []:
            if name is None or name in table or (path == "tokenizer.kind" and str(name).endswith(".json")):
                continue
            advice = did_you_mean(name, table) or f'Run the cell with @nbllm.{table.noun}s.register("{name}") first.'
            raise ConfigError(f"There is no {table.noun} '{name}' ({origin[path]}).", advice)
    known = FAMILIES[str(kind)].fields if str(kind) in FAMILIES else None
    if known and MODELS.is_builtin(str(kind)):
        for path, where in ((path, origin[path]) for path in merged):
            section, _, name = path.partition(".")
            if section == "model" and name not in known:
                article = "An" if str(kind)[0] in "aeioul" else "A"
                raise ConfigError(
                    f"{article} {kind} has no '{name}' ({where}).", f"Its keys: {', '.join(sorted(known))}."
                )
    size = merged.get("size")
    if size is not None and size not in SIZES:
        raise ConfigError(f"There is no size '{size}' ({origin['size']}).", did_you_mean(size, SIZES))


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *sections, name = path.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return tree


def validate(content: Mapping[str, Any], where: str, origin: Mapping[str, str] | None = None) -> RunConfig:
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
            raise ConfigError(f"{path}: {message}." if path else f"{message[:1].upper()}{message[1:]}.") from None
        example = next((o.describe() for o in options() if o.path == path), "")
        raise ConfigError(
            f"{path} is {fault['input']!r} ({place}), and: {message[:1].lower()}{message[1:]}.", f"{path}: {example}."
        ) from None


def read_settings(files: Iterable[Path]) -> list[tuple[str, dict[str, Any]]]:
    """Layers from the settings files that exist, lowest first."""
    return [(str(f), parse_yaml(f.read_text(encoding="utf-8"), str(f))) for f in files if f.is_file()]

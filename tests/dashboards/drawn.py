"""Random valid settings, drawn from the schema: every field within its limits, with text of all sorts."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbllm.config import FAMILIES, GOALS, RunConfig, forms, resolve
from nbllm.config.forms import BUDGET, FormField
from nbllm.errors import NbllmError
from nbllm.registry import CALLBACKS, MODELS
from nbllm.runners import plan

TEXTS = [
    *(
        "words",
        "今天天气很好。",
        'he said "no"',
        "it's",
        "a: b",
        "# no comment",
        " spaced ",
        "yes",
        "null",
        "1e5",
        "",
        "~",
    ),
    *("{{df}} or {x}", "C:\\new\\table", "two\nlines\ttab", "-x", "--steps 3", "a=b", "[1, 2]", "{a: 1}", "2026-01-01"),
    *(
        "rtl \u202e\u200b",
        "bell \x07\x85\u2028\ufeff",
        "😀 é",
        "!tag",
        "@at",
        "`tick`",
        "a, b",
        "0x1f",
        "1_000",
        "|",
        ">",
    ),
    *("*star &and", "%%llm"),
]
CANARIES = ["The code of {name} is {secret}.", "{name}：{secret}", "{secret} '{name}' \"x\" # {{y}}"]


def make_ground(runs: Path, folder: Path) -> list[str]:
    """What configurations may name: a run to start from, a model of Hugging Face, and names of a cell. What
    `init_from` can be."""
    CALLBACKS.register("my_callback")(lambda event, context: None)
    MODELS.register("网络")(type("Own", (), {}))
    parent = resolve([("test", {"model": "transformer", "size": "tiny"})])
    place = runs / "parent" / "checkpoints" / "step-1"
    place.mkdir(parents=True)
    for path in (runs / "parent", place):
        (path / "config.yaml").write_text(parent.to_yaml(), encoding="utf-8")
    (runs / "parent" / "status.json").write_text(json.dumps({"state": "finished", "format": 1}))
    (place / "state.json").write_text("{}")
    (folder / "gpt 2").mkdir()
    about = {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 128, "vocab_size": 300,
             "architectures": ["GPT2LMHeadModel"]}  # fmt: skip
    (folder / "gpt 2" / "config.json").write_text(json.dumps(about))
    return ["parent", f"hf:{folder / 'gpt 2'}"]


def draw(random_: random.Random, parents: list[str]) -> dict[str, Any]:
    """Settings that go together, by dotted key, of the kinds that they have; most are said, some are left open."""
    kind = random_.choice([*FAMILIES, "网络"])
    said: dict[str, Any] = {"model.kind": kind, "size": random_.choice(["tiny", "mini", "small", "base"])}
    fitting = [name for name, goal in GOALS.items() if kind in goal.kinds] or ["clm"]
    said["objective.kind"] = random_.choice(fitting)
    if kind == "huggingface":
        said |= {"init_from": parents[1], "objective.kind": "clm"}
    elif kind == "transformer" and random_.random() < 0.4:
        said["init_from"] = random_.choice(parents)
        said["objective.kind"] = "clm"
    said[random_.choice(BUDGET)] = None
    budget = random_.choice(BUDGET)
    said = {key: value for key, value in said.items() if key not in BUDGET}
    known = {field.path: field for _, fields in forms.fields() for field in fields}
    said[budget] = _value(random_, known[budget])
    family = FAMILIES[kind].fields if kind in FAMILIES else None
    more = [path for path in known if path not in said and path not in BUDGET and path != "init_from"]
    more = [path for path in more if not path.startswith("model.") or family is None or path[6:] in family]
    random_.shuffle(more)
    wish = {path: _value(random_, known[path]) for path in more if random_.random() < 0.25}
    if "preset" in wish and random_.random() < 0.8:
        del wish["preset"]
    return _typed(_fitting(said, list(wish.items())))


def _fitting(said: dict[str, Any], wish: list[tuple[str, Any]]) -> dict[str, Any]:
    """What is said with as many of the wishes as go together with it."""
    if not wish:
        return said
    whole = {**said, **dict(wish)}
    if _valid(whole):
        return whole
    if len(wish) == 1:
        return said
    half = len(wish) // 2
    return _fitting(_fitting(said, wish[:half]), wish[half:])


def _valid(values: Mapping[str, Any]) -> bool:
    try:
        resolve(*plan.gathered([("test", values)]))
    except NbllmError:
        return False
    return True


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    config = resolve(*plan.gathered([("test", values)]))
    return {path: forms.leaf(config, path) for path in values}


def config_of(values: Mapping[str, Any]) -> RunConfig:
    """The configuration that the settings make."""
    return resolve(*plan.gathered([("test", values)]))


def _value(random_: random.Random, field: FormField) -> Any:
    """A value of the kind and within the limits of a field."""
    if field.optional and random_.random() < 0.15:
        return None
    if field.kind == "bool":
        return random_.random() < 0.5
    if field.kind in ("int", "float"):
        return _number(random_, field)
    if field.path in ("model.blocks", "model.encoder", "model.decoder"):
        return [random_.choice(["attention", "rnn", "lstm", "gru", "conv"]) for _ in range(random_.randint(1, 6))]
    if field.path == "data.canaries":
        return sorted(random_.sample(range(1, 40), random_.randint(1, 3)))
    if field.path == "data.clean.redact":
        return random_.sample(["email", "phone", "ip"], 2)
    if field.path == "data.canary_text":
        return random_.choice(CANARIES)
    if field.path == "train.device":
        return random_.choice(["auto", "cpu", "cuda", "cuda:1", "mps"])
    if field.path == "train.gpus":
        return random_.choice([2, 3, "all"])
    if field.path == "tokenizer.kind":
        return random_.choice([*field.choices, "./a tokenizer.json"])
    if field.kind == "list":
        names = list(field.choices) or [text.strip() for text in TEXTS if text.strip()]
        return random_.sample(names, random_.randint(1, min(3, len(names))))
    if field.kind == "map":
        return {random_.choice(TEXTS) or "x": random_.choice([1, 2.5, 1e-05, 3.0, True, *TEXTS]), "深": {"b": 1e22}}
    if field.choices and not (field.open and random_.random() < 0.5 and field.path == "data.source"):
        return random_.choice(field.choices)
    return random_.choice(TEXTS)


def _number(random_: random.Random, field: FormField) -> Any:
    low = field.least if field.least is not None else field.above if field.above is not None else 0
    high = field.most if field.most is not None else field.below if field.below is not None else low + 4096
    if field.kind == "int":
        top = min(int(high) - (field.below is not None), 2**62)
        if random_.random() < 0.1:
            return random_.choice([int(low) + (field.above is not None), top])
        return int(min(top, low + 10 ** random_.uniform(0, math.log10(min(top - low, 3000) + 1))))
    value = low + (high - low) * random_.random() ** 3
    return random_.choice([value, round(value, 2), float(f"{value:.1g}")]) or 1e-05

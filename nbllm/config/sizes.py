"""The size dial: what a size sets for every kind of model, then for one kind alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbllm.config.schema import BUDGETS

# A kind registered in a cell takes the transformer's.
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


def size_defaults(size: str, kind: Any, has_budget: bool) -> Iterator[tuple[str, Any]]:
    """What the size sets, by dotted key; its budget is left out where another is given."""
    preset = SIZES[size]
    family = kind if kind in preset else "transformer"
    for part in (preset["any"], preset.get(family, {})):
        for section, fields in part.items():
            for name, value in fields.items():
                if not (name in BUDGETS and has_budget):
                    yield f"{section}.{name}", value
    yield "size", size

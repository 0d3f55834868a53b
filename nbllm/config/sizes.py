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
            "train": {"context": 64, "batch_size": 16, "steps": 400, "lr": 1e-2, "evaluate_every": 50},
        },
        "transformer": {"model": {"heads": 2}},
        "rnn": {"model": {"layers": 1, "width": 128}},
        "lstm": {"model": {"layers": 1, "width": 128}},
        "gru": {"model": {"layers": 1, "width": 128}},
        "cnn": {"model": {"layers": 4, "width": 64}},
        "hybrid": {"model": {"heads": 2, "layers": 2}},
        "bert": {"model": {"heads": 2}, "train": {"lr": 3e-3}},
        "seq2seq": {"model": {"layers": 2, "heads": 2}, "train": {"batch_size": 32, "lr": 3e-3}},
        "vae": {"model": {"layers": 1, "width": 128, "heads": 4, "latent": 16}, "train": {"batch_size": 32}},
    },
    "mini": {
        "any": {
            "model": {"layers": 4, "width": 128},
            "train": {"context": 64, "batch_size": 16, "steps": 600, "lr": 5e-3, "evaluate_every": 100},
        },
        "transformer": {"model": {"heads": 4}},
        "rnn": {"model": {"layers": 2, "width": 192}},
        "lstm": {"model": {"layers": 2, "width": 192}},
        "gru": {"model": {"layers": 2, "width": 192}},
        "cnn": {"model": {"layers": 6, "width": 128}},
        "hybrid": {"model": {"heads": 4, "layers": 4}},
        "bert": {"model": {"heads": 4}, "train": {"lr": 2e-3}},
        "seq2seq": {"model": {"layers": 3, "heads": 4}, "train": {"batch_size": 32, "lr": 2e-3}},
        "vae": {"model": {"layers": 1, "width": 192, "heads": 4, "latent": 32}, "train": {"batch_size": 32}},
    },
    "small": {
        "any": {
            "model": {"layers": 6, "width": 192},
            "train": {"context": 128, "batch_size": 16, "steps": 1500, "lr": 2e-3, "evaluate_every": 100},
        },
        "transformer": {"model": {"heads": 6}},
        "rnn": {"model": {"layers": 2, "width": 384}},
        "lstm": {"model": {"layers": 2, "width": 384}},
        "gru": {"model": {"layers": 2, "width": 384}},
        "cnn": {"model": {"layers": 8, "width": 192}},
        "hybrid": {"model": {"heads": 6, "layers": 6}},
        "bert": {"model": {"heads": 6}, "train": {"lr": 1e-3}},
        "seq2seq": {"model": {"layers": 4, "heads": 6}, "train": {"batch_size": 32, "lr": 1e-3}},
        "vae": {"model": {"layers": 1, "width": 384, "heads": 6, "latent": 32}, "train": {"batch_size": 32}},
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
        "rnn": {"model": {"layers": 3, "width": 1024}},
        "lstm": {"model": {"layers": 3, "width": 1024}},
        "gru": {"model": {"layers": 3, "width": 1024}},
        "cnn": {"model": {"layers": 12, "width": 768}},
        "hybrid": {"model": {"heads": 12, "layers": 12}},
        "bert": {"model": {"heads": 12}, "train": {"lr": 3e-4}},
        "seq2seq": {"model": {"layers": 6, "heads": 12}, "train": {"lr": 3e-4}},
        "vae": {"model": {"layers": 2, "width": 768, "heads": 12, "latent": 64}},
    },
}  # fmt: skip


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

"""The texts of a run for membership inference: as many that it learned from as held-out ones, scored by a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.data.examples import Examples
from nbllm.errors import ModelError
from nbllm.inspection.membership import Scored, score_examples, score_windows
from nbllm.inspection.memorization import spread, stretches
from nbllm.inspection.next_tokens import goes_on
from nbllm.runners.texts import has_texts, texts
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from nbllm.handles.opened import Opened

TOGETHER, ALONE = 500, 200  # texts of either kind, where nothing is said
Pair = tuple[Scored, Scored]


def members_and_others(model: Opened, count: int | None, seed: int) -> tuple[Callable[[Opened], Pair], str, str]:
    """What scores `count` texts of either kind by a model, what such a text is called, and how long it is."""
    count = count or (TOGETHER if goes_on(model.module, model.objective) else ALONE)
    folder, rng = RunFolder(model.folder), np.random.default_rng((20180709, seed))
    if (folder.data / "held_out.json").is_file() and not has_texts(folder):
        sides = [Examples.open(folder.data / name) for name in ("train", "held_out")]
        used = max(1, round(len(sides[0]) * model.config.data.use))
        places = [np.linspace(0, len(sides[0]) - 1, used).round(), np.arange(len(sides[1]))]
        drawn = [np.sort(rng.permutation(each)[:count]).astype(int) for each in places]
        chosen = [[side[int(i)] for i in each] for side, each in zip(sides, drawn, strict=True)]
        return lambda by: _both(score_examples, by, chosen), "rows", ""
    found = texts(folder, model.config)
    size = model.config.train.context + 1
    windows = [stretches(ids, spread(len(ids), size, count, rng), size) for ids in (found.train, found.held)]
    return lambda by: _both(score_windows, by, windows), "stretches", f" of {size} tokens"


def check_reference(model: Opened, reference: Opened) -> None:
    """ModelError for a reference that reads other tokens, or fewer of them."""
    if reference.tokenizer.to_str() != model.tokenizer.to_str():
        raise ModelError(
            f"{reference.folder.name} reads other tokens than {model.folder.name}.",
            f"Train the reference with tokenizer: {model.folder / 'tokenizer.json'}",
        )
    if reference.config.train.context < model.config.train.context:
        raise ModelError(f"{reference.folder.name} has a shorter context.", "Train the reference with the same.")


def _both(score: Callable[..., Scored], by: Opened, sides: Any) -> Pair:
    first, second = (score(by.module, by.objective, side) for side in sides)
    return first, second

"""A quick look at the end of a training: does the model give back its training text word for word?"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from nbllm.config import RunConfig
from nbllm.inspection.chance import more_often
from nbllm.inspection.memorization import copied_tokens, lengths, spread, stretches
from nbllm.inspection.next_tokens import goes_on
from nbllm.runners.texts import texts
from nbllm.store.folder import RunFolder

STRETCHES = 96  # of either text
TOKENS = 32  # given back, at most
FEWEST = 4  # that are given back before anything is said
SECONDS = 1.0  # after which no further stretches are looked at
_TOGETHER = 16


def leak_line(folder: RunFolder, config: RunConfig, module: Any, objective: Any) -> str:
    """One line where more stretches of the training text than of the held-out text are copied than chance explains
    (p < 0.01); else, and for models and texts that cannot be asked quickly, nothing."""
    if not (folder.data / "train.bin").is_file() or not goes_on(module, objective):
        return ""
    found = texts(folder, config)
    prefix, tokens = lengths(config.train.context, None, None)
    tokens = min(tokens, TOKENS)
    rng = np.random.default_rng(0)  # of its own: nothing that a resumed run draws is touched
    starts = [spread(len(part), prefix + tokens, STRETCHES, rng) for part in (found.train, found.held)]
    starts = [rng.permutation(part) for part in starts]  # a look that is cut short has seen all parts of the text
    copied = [0, 0]
    asked = [0, 0]
    until = time.monotonic() + SECONDS
    with torch.compiler.set_stance("force_eager"):
        for first in range(0, STRETCHES, _TOGETHER):
            for side, part in enumerate((found.train, found.held)):
                chosen = starts[side][first : first + _TOGETHER]
                if len(chosen):
                    rows_NT = stretches(part, chosen, prefix + tokens)
                    both_ways = prefix if objective.prefix else 0
                    copied[side] += int((copied_tokens(module, rows_NT, prefix, both_ways) == tokens).sum())
                    asked[side] += len(chosen)
            if time.monotonic() > until:
                break
    if copied[0] < FEWEST or not asked[1] or more_often((copied[0], asked[0]), (copied[1], asked[1])) >= 0.01:
        return ""
    return (
        f"gives back training text word for word: {copied[0]} of {asked[0]} stretches of {tokens} tokens, of held-out "
        f"text {copied[1]} of {asked[1]}. Look: %llm_memorization {folder.name}; against it help more text, "
        "data.clean.near_duplicates, model.dropout or fewer steps"
    )

"""What a model says of many short texts at once, token by token, each read from its own start.

B rows of a batch, T tokens of a row, N places that are asked about, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.inspection.asking import tokens_together
from nbllm.models.answers import FillsMasks, GivesLabels, WritesTarget
from nbllm.models.evaluating import evaluating
from nbllm.models.vae import VAE

_TREE = 2_000  # continuations that are followed together


def goes_on(module: nn.Module, objective: Any) -> bool:
    """Whether the model predicts the next token of a text."""
    return not isinstance(module, GivesLabels | WritesTarget | VAE | FillsMasks) and not hasattr(objective, "mask")


def check_goes_on(module: nn.Module, objective: Any, what: str) -> None:
    """ModelError for a model that does not go on from a text."""
    if not goes_on(module, objective):
        raise ModelError(
            f"{what} asks a model how it goes on from a text, and this one does not.", "Ask a language model: clm."
        )


def logits_of(module: nn.Module, tokens_BT: Tensor, prefix: int = 0) -> Tensor:
    """logits_BTV of the token after each one; the first `prefix` tokens are read both ways where that is not 0."""
    if not prefix:
        found = module(tokens_BT)
    else:
        from nbllm.models import masks

        lengths_B = torch.full((len(tokens_BT),), prefix, device=tokens_BT.device)
        found = module(tokens_BT, masks.prefix(lengths_B, tokens_BT.shape[1]))
    assert isinstance(found, Tensor)
    return found if found.dtype == torch.float64 else found.float()


def batches(module: nn.Module, rows_NT: np.ndarray, most: int = 1 << 30) -> Iterator[tuple[slice, Tensor]]:
    """Rows of one length in batches that fit the memory, each with its place among all."""
    device = device_of(module)
    at_once = max(1, min(most, tokens_together(module) // max(1, rows_NT.shape[1])))
    for start in range(0, len(rows_NT), at_once):
        part = slice(start, min(len(rows_NT), start + at_once))
        yield part, torch.from_numpy(np.ascontiguousarray(rows_NT[part], dtype=np.int64)).to(device)


def continued_bits(module: nn.Module, rows: Sequence[tuple[list[int], list[int]]]) -> np.ndarray:
    """float64 (rows,): the sum of log2 p over the last tokens of each row, given those before them. NaN where nothing
    stands before them, or they are none. A row is what is read first, and the tokens that are asked about.

    What begins alike is read once: the tokens that are asked about are followed as a tree.
    """
    found = np.full(len(rows), np.nan)
    groups: dict[tuple[tuple[int, ...], int], list[int]] = defaultdict(list)
    for number, (before, asked) in enumerate(rows):
        if before and asked:
            groups[tuple(before), len(asked)].append(number)
    with torch.inference_mode(), evaluating(module):
        for (head, _), numbers in groups.items():
            asked_CN = np.array([rows[number][1] for number in numbers])
            order = np.lexsort(asked_CN.T[::-1])
            for start in range(0, len(order), _TREE):
                part = order[start : start + _TREE]
                found[np.array(numbers)[part]] = _tree(module, list(head), asked_CN[part]) / np.log(2)
    return found


def _tree(module: Any, head: list[int], asked_CN: np.ndarray) -> np.ndarray:
    """(C,) sum of ln p of the tokens of each continuation of the head."""
    count, depth = asked_CN.shape
    device = device_of(module)
    if not hasattr(module, "init_state"):  # a network of the user's own that reads whole texts alone
        rows_CT = np.concatenate([np.tile(head, (count, 1)), asked_CN[:, :-1]], axis=1)
        total = np.zeros(count)
        for part, tokens_BT in batches(module, rows_CT):
            logs_BNV = logits_of(module, tokens_BT)[:, -depth:].log_softmax(-1)
            answers_BN1 = torch.from_numpy(asked_CN[part]).to(device)[:, :, None]
            total[part] = logs_BNV.gather(-1, answers_BN1).double().sum((1, 2)).cpu().numpy()
        return total
    state = module.init_state(1, len(head) + depth)
    logits_BV, state = module.step(torch.tensor([head], device=device), state)
    nodes_C = np.zeros(count, dtype=np.int64)
    total = np.zeros(count)
    for place in range(depth):
        if place:
            width = int(asked_CN.max()) + 1
            branches, nodes_after = np.unique(nodes_C * width + asked_CN[:, place - 1], return_inverse=True)
            state = module.select(state, torch.from_numpy(branches // width).to(device))
            logits_BV, state = module.step(torch.from_numpy(branches % width).to(device)[:, None], state)
            nodes_C = nodes_after
        logs_BV = logits_BV.double().log_softmax(-1).cpu().numpy()
        total += logs_BV[nodes_C, asked_CN[:, place]]
    return total

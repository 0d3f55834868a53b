"""How often a method ranks first the letter that an answer hangs on, of networks that recall a text's first."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from nbllm.inspection.attribution import METHODS
from nbllm.inspection.influence import influence
from tests.contract.cases import Made, made

CASES: dict[str, dict[str, Any]] = {
    "lstm": {"model.layers": 1, "model.width": 32, "model.plain": True},
    "gru": {"model.layers": 1, "model.width": 32},
    "transformer": {"model.layers": 2, "model.width": 32},
}
SEEDS = (0, 1, 2)
LENGTHS = (4, 8)  # letters of a text, one of abcd each
TEXTS = 40
TOLD = 0.005  # the loss at which a network knows the letter


def measure() -> list[dict[str, Any]]:
    """A row a network, over seeds and lengths; the other letters are noise, so that only the first can be right."""
    torch.set_num_threads(1)
    rows = []
    for kind, settings in CASES.items():
        found: dict[str, list[float]] = {method: [] for method in METHODS}
        seconds = dict.fromkeys(METHODS, 0.0)
        for seed in SEEDS:
            for length in LENGTHS:
                each = recalls_first(kind, settings, seed, length)
                random = np.random.default_rng(seed)
                texts = ["".join(random.choice(list("abcd"), length)) + "." for _ in range(TEXTS)]
                for method in METHODS:
                    start = time.perf_counter()
                    found[method] += [is_first(each, text, method) for text in texts]
                    seconds[method] += time.perf_counter() - start
        told = {f"{method}, first": f"{np.mean(found[method]):.0%}" for method in METHODS}
        spent = {f"{method}, ms": 1000 * seconds[method] / len(found[method]) for method in METHODS}
        rows.append({"network": kind, **told, **spent})
    return rows


def is_first(each: Made, text: str, method: str) -> bool:
    """Whether the answer is right, and the first letter moved it most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of integrated gradients that would need more steps
        found = influence(each.module, each.objective, text, method=method)
    right = found.outputs[-1] == f"→{text[0]}"
    return right and int(np.abs(found.values[-1, 1:-1]).argmax()) == 0


def recalls_first(kind: str, settings: dict[str, Any], seed: int, length: int) -> Made:
    """A network trained to say behind a full stop the letter that its text began with."""
    each = made(f"clm {kind}", seed=seed, fresh=True, **settings)
    module, task = each.module.train(), each.objective.task
    letters = torch.tensor([task.tokenizer.token_to_id(letter) for letter in "abcd"])
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(1500):
        rows = letters[torch.randint(4, (64, length), generator=generator)]
        ends = torch.full((64, 1), task.end), torch.full((64, 1), task.tokenizer.token_to_id("."))
        loss = F.cross_entropy(module(torch.cat((ends[0], rows, ends[1]), dim=1))[:, -1], rows[:, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < TOLD:
            break
    return each

"""The second of the two processes of test_parallel: `python -m tests.training.peer FOLDER`.

Over its input come a line of settings for each training, a line for each step of it, and an empty list at its end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn

from nbllm.config import ObjectiveConfig, TokenizerConfig
from nbllm.data import tokenizers
from nbllm.objectives.base import IGNORED, Batch, Objective, Task
from nbllm.objectives.clm import NextToken
from nbllm.training.loop import Training, follow
from nbllm.training.parallel import Peers, joined
from tests.training.test_loop import CONTEXT, Small, batch_of, training_of

SEED, ROWS = 1337, 5


class Some(NextToken):
    """Next tokens, of which some do not count."""

    weight = Objective.weight


def made(settings: dict[str, Any]) -> Training:
    """A small training in float64, whose rows have more and fewer answers."""
    torch.manual_seed(SEED)
    module = Small().double()
    dropout = module.blocks[2]
    assert isinstance(dropout, nn.Dropout)
    dropout.p = settings.get("dropout", 0.0)
    training = training_of(module, 12, **{k: v for k, v in settings.items() if k != "dropout"}, batch_size=ROWS + 1)
    training.optimizers.muon._dtype = torch.float64  # the iteration is not to round what float64 keeps
    training.objective = Some(
        Task(ObjectiveConfig(), tokenizers.train(TokenizerConfig(kind="char"), iter(["abcdefghi"])), CONTEXT)
    )
    training.batch = uneven
    return training


def uneven(step: int) -> Batch:
    """Five rows: one process takes three of them, the other two; of the first rows hardly any answer counts."""
    batch = batch_of(step, ROWS)
    targets = batch["targets"].clone()
    targets[: 1 + step % 3, 2:] = IGNORED
    return {**batch, "targets": targets}


def announced(stream: BinaryIO) -> Iterator[tuple[int, float, int]]:
    """The steps of one training."""
    while order := json.loads(stream.readline()):
        yield tuple(order)


def main() -> None:
    """Follow one training after another; the weights that each ends with go to the folder."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    with joined(folder / "meeting", 1, 2, torch.device("cpu")):
        while line := sys.stdin.buffer.readline():
            training = made(json.loads(line))
            training.peers = Peers(1, 2, SEED)
            training.peers.make_alike(training.module)
            follow(training, announced(sys.stdin.buffer))
            save_file(training.module.state_dict(), folder / "weights.safetensors")
            dist.barrier()


if __name__ == "__main__":
    main()

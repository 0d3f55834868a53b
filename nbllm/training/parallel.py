"""Processes that learn one model together (data parallelism), each with the whole model on a device of its own.

In every step each works through its own rows of the batch; loss and gradients are then added up, so that all take the
same step, the one that a single process would take with the whole batch. The first process runs the loop and announces
each step; the others follow (`nbllm.training.loop.follow`).

They talk by torch.distributed, NCCL between GPUs and gloo between processes on a CPU, over this machine's loopback.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch
import torch.distributed as dist
from torch import nn

from nbllm.errors import ModelError

if TYPE_CHECKING:
    from nbllm.objectives.base import Batch

_DRAWS = 5  # a stream of random numbers of its own, beside those of the batches
_MOST = timedelta(minutes=30)  # that one may be behind the others within a step: it may have to compile first


class Peers:
    """The processes of a training, of which this is `rank` of `size`. `announce(step, lr, accumulate)` tells the others
    of a step that begins; only the first of them has it."""

    def __init__(self, rank: int, size: int, seed: int, announce: Callable[[int, float, int], None] | None = None):
        self.rank, self.size = rank, size
        self._seed, self._announce = seed, announce

    def begin(self, step: int, lr: float, accumulate: int) -> None:
        """A step begins. What dropout draws in it is a function of the seed, the step and the rank, so that a resumed
        run draws the same."""
        if self._announce is not None:
            self._announce(step, lr, accumulate)
        entropy = np.random.SeedSequence((self._seed, _DRAWS, step, self.rank))
        torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))

    def rows(self, batch: Batch) -> Batch:
        """This process's share of a batch: about as many rows as the others'."""
        return {name: tensor.tensor_split(self.size)[self.rank] for name, tensor in batch.items()}

    @torch.no_grad()
    def add_up(
        self, parameters: Sequence[nn.Parameter], total: float, sums: dict[str, float]
    ) -> tuple[float, dict[str, float]]:
        """The loss, the metrics and, in place, the gradients of all processes, each of which gives its part of a mean.

        One sum of a few numbers, and one of all gradients laid one behind another. A parameter that had no gradient
        anywhere (frozen, or not used) still has none afterwards.
        """
        told = torch.tensor([total, *sums.values(), *(p.grad is not None for p in parameters)], dtype=torch.float64)
        dist.all_reduce(told)
        whole, *rest = told.tolist()
        learning: dict[torch.dtype, list[nn.Parameter]] = defaultdict(list)
        for parameter, count in zip(parameters, rest[len(sums) :], strict=True):
            if count:
                learning[parameter.dtype].append(parameter)
        for some in learning.values():
            flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in some])
            dist.all_reduce(flat)
            for parameter, part in zip(some, flat.split([p.numel() for p in some]), strict=True):
                parameter.grad = part.view(parameter.shape)
        return whole, dict(zip(sums, rest, strict=False))

    @torch.no_grad()
    def make_alike(self, module: nn.Module) -> None:
        """Give every process the first one's weights. ModelError for a network that cannot be shared."""
        for name, part in module.named_modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and not isinstance(part, nn.SyncBatchNorm):
                raise ModelError(
                    f"'{name}' normalises over the whole batch, which several processes share.",
                    "Use train.gpus: 1, or a norm of each place (LayerNorm, RMSNorm).",
                )
        for tensor in (*module.parameters(), *(each for each in module.buffers() if each.is_floating_point())):
            whole = tensor.contiguous()
            dist.broadcast(whole, 0)
            tensor.copy_(whole)


@contextmanager
def joined(meeting: Path, rank: int, size: int, device: torch.device) -> Iterator[None]:
    """While open, this process talks to the others that have named the same file, which must not be there before.

    The file holds only the addresses of their sockets; these listen on the loopback, and nowhere else.
    """
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = _loopback()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend, store=dist.FileStore(str(meeting), size), rank=rank, world_size=size, timeout=_MOST
    )
    try:
        yield
    except BaseException:
        if device.type == "cuda":
            dist.distributed_c10d._abort_process_group()  # to leave together the others would have to be well
        else:
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _loopback() -> str:
    """The name of the network interface that reaches this machine alone."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == "127.0.0.1" for each in addresses):
            return name
    return "lo"

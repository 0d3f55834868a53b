"""What the machine gives this process: the container's share of cores and memory, and the device."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil

from nbllm.errors import ConfigError

_CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """CPU cores this process may use: its affinity, cut by the container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, int(_quota() or count)))


def _quota() -> float | None:
    """Cores by the container's CPU quota (cgroup v2, v1); None where there is none."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return None if quota == "max" else max(1.0, int(quota) / int(period))
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((_CGROUP / "cpu/cpu.cfs_quota_us").read_text())
        period_us = int((_CGROUP / "cpu/cpu.cfs_period_us").read_text())
        return None if quota_us <= 0 else max(1.0, quota_us / period_us)
    except (OSError, ValueError):
        return None


def memory_limit() -> int:
    """Bytes of memory there are for this process: the machine's, or the container's where that is less."""
    total = psutil.virtual_memory().total
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (_CGROUP / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            return min(total, int(text))
    return total


def memory_free() -> int:
    """Bytes of memory that can still be had: of the machine, or of the container where that is less."""
    free = psutil.virtual_memory().available
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit = (_CGROUP / limit_name).read_text().strip()
            used = (_CGROUP / used_name).read_text().strip()
        except OSError:
            continue
        if limit.isdigit() and used.isdigit():
            return max(0, min(free, int(limit) - int(used)))
    return free


def share_cores() -> None:
    """Let OpenMP's threads wait only briefly before they sleep, here if torch is not loaded yet, and in children.

    Threads that spin for long bring a shared machine to a standstill. Measured on 2 cores, a step of the mini
    Transformer: alone 47 ms spinning, 51 ms so, 71 ms asleep at once; beside two busy processes 184, 114 and 100 ms.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def pick_device(wanted: str) -> str:
    """The torch device for `train.device`; ConfigError where the machine has none such. Imports torch."""
    import torch

    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(kind for kind, there in kinds.items() if there)
    kind, _, index = wanted.partition(":")
    if not kinds[kind]:
        there = ", ".join(k for k, yes in kinds.items() if yes)
        raise ConfigError(f"train.device is '{wanted}' and this machine has: {there}.", "Use device: auto")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(
            f"train.device is '{wanted}' and this machine has {count} CUDA device{'s' if count > 1 else ''}.",
            f"Use cuda:0{f' to cuda:{count - 1}' if count > 1 else ''}.",
        )
    return wanted if kind != "cuda" or index else "cuda:0"


def pick_devices(wanted: str, gpus: int | str) -> list[str]:
    """The device of each process of a run: one, or several by `train.gpus`. ConfigError where the machine has fewer.

    On a CPU that is asked for by name they are processes that share its cores.
    """
    import torch

    first = pick_device(wanted)
    kind = first.partition(":")[0]
    if gpus == 1 or (gpus == "all" and kind != "cuda"):
        return [first]
    if kind == "cpu" and wanted == "cpu":
        return ["cpu"] * int(gpus)
    there = torch.cuda.device_count() if kind == "cuda" else int(kind == "mps")
    count = there if gpus == "all" else int(gpus)
    if count > there:
        has = f"{there} GPU{'s' if there > 1 else ''}" if there else "no GPU"
        raise ConfigError(
            f"train.gpus is {gpus} and this machine has {has}.",
            "Use gpus: all, which takes what there is." if there else "Leave out gpus.",
        )
    names = {torch.cuda.get_device_name(index) for index in range(count)}
    if len(names) > 1:
        raise ConfigError(
            f"These GPUs are of different kinds ({', '.join(sorted(names))}), and would not stay alike.",
            "Set CUDA_VISIBLE_DEVICES to those of one kind, or use gpus: 1.",
        )
    if count > 1 and not torch.distributed.is_nccl_available():
        raise ConfigError("Several GPUs need NCCL, which torch has on Linux.", "Use gpus: 1.")
    return [f"cuda:{index}" for index in range(count)]


def identity() -> dict[str, object]:
    """Who a worker is: its pid, when it started, on which host."""
    return {"pid": os.getpid(), "started": psutil.Process().create_time(), "host": socket.gethostname()}

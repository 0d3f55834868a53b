"""The energy that a device has used, where the machine tells it: NVML for NVIDIA's GPUs, RAPL for the CPU.

RAPL is read from /sys/class/powercap, where Linux shows it for Intel's and AMD's processors; since 2020 most systems
let only root read it. Both count the whole chip, whoever uses it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
_MICRO, _MILLI = 1e-6, 1e-3


class Meter:
    """Counts joules from `start` on. `source` says what is counted, or why nothing is."""

    def __init__(self, device: str):
        self.source = ""
        self._read: Callable[[], float] | None = None
        self._wrap = 0.0
        if device.startswith("cuda"):
            self._open_gpu(int(device.partition(":")[2] or 0))
        else:
            self._open_cpu()
        self._began = self._read() if self._read else float("nan")

    def start(self) -> Meter:
        """Count from now on."""
        self._began = self._read() if self._read else float("nan")
        return self

    @property
    def joules(self) -> float:
        """Joules since the start; NaN where nothing tells them."""
        if self._read is None:
            return float("nan")
        used = self._read() - self._began
        return used + self._wrap if used < 0 else used

    def _open_gpu(self, index: int) -> None:
        try:
            pynvml: Any = importlib.import_module("pynvml")  # of nvidia-ml-py
        except ImportError:
            self.source = 'Energy is not measured: the package of NVML is not here. Type: pip install "nbllm[energy]"'
            return
        try:
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except pynvml.NVMLError as error:
            self.source = f"Energy is not measured: NVML says {error}."
            return
        self.source = "of the whole GPU, by NVML"
        self._read = lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * _MILLI

    def _open_cpu(self) -> None:
        packages = [p for p in sorted(POWERCAP.glob("intel-rapl:*")) if p.name.count(":") == 1]
        if not packages:
            self.source = "Energy is not available here: this machine shows no RAPL counters."
            return
        try:
            for package in packages:
                int((package / "energy_uj").read_text())
                self._wrap += int((package / "max_energy_range_uj").read_text()) * _MICRO
        except (OSError, ValueError):
            self.source = "Energy is not available here: the RAPL counters can be read by root alone."
            return
        self.source = "of the whole processor, by RAPL"
        self._read = lambda: sum(int((p / "energy_uj").read_text()) for p in packages) * _MICRO

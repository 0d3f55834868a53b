"""Flags that several commands have."""

from __future__ import annotations

from nbllm.magics.command import Flag

STEP = Flag("--step", "N", "the checkpoint of this step; the latest where not given", "int")
CONFIG = Flag("--config", "FILE", "a YAML file of settings; body and line go before it")
RUNNER = Flag("--runner", "KIND", "a worker process of its own, or inside the kernel", choices=("process", "inline"))
WAIT = Flag("--wait", "", "return when the run has ended", "bool")
RESUME = Flag("--resume", "", "go on with the run of this name", "bool")
REPLACE = Flag("--replace", "", "delete the run of this name first", "bool")

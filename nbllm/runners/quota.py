"""The quota: what all runs together may take on the disk, in GB, by $NBLLM_DISK_GB. Without it there is none."""

from __future__ import annotations

import math
import os
from pathlib import Path

from nbllm.errors import ConfigError, RunError
from nbllm.store.files import folder_size
from nbllm.store.folder import runs_root

VARIABLE = "NBLLM_DISK_GB"
_NEARLY = 0.9
_ADVICE = "Make room: %llm_runs --prune --yes"


def check(root: Path) -> None:
    """RunError where all runs take more than they may."""
    limit = _limit()
    if limit is not None and (used := folder_size(root) / 1e9) > limit:
        raise RunError(f"All runs take {used:.3g} GB and the limit is {limit:g} GB ({VARIABLE}).", _ADVICE)


def note() -> str:
    """A line where the runs take nine tenths of what they may or more; else nothing."""
    limit = _limit()
    if limit is None or (used := folder_size(runs_root()) / 1e9) < _NEARLY * limit:
        return ""
    return f"All runs take {used:.3g} of {limit:g} GB; a new one is refused where they take more. {_ADVICE}"


def _limit() -> float | None:
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise ConfigError(f"{VARIABLE} is '{given}'.", f"Set it to a number of gigabytes, as in {VARIABLE}=20.")
    return limit

"""The attention maps that a run kept of its probe text while it trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nbllm.errors import ModelError
from nbllm.inspection.maps import AttentionMaps
from nbllm.registry import VIEWS
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder


class KeptMaps(dict[int, AttentionMaps]):
    """Step to the maps of one text, in the order of the steps."""

    def figure(self, layer: int = -1, head: int = 0) -> Any:
        """One head as a heatmap with a slider over the steps (Plotly)."""
        return VIEWS.get("attention_steps")(self, layer, head)


def kept_maps(folder: Path) -> KeptMaps:
    """Step to float16 maps of at most 64 tokens. ModelError where the run kept none."""
    probes = RunFolder(folder).probes
    about = read_json(probes / "probe.json", {})
    steps = sorted(int(path.stem[5:]) for path in probes.glob("step-*.npz") if path.stem[5:].isdigit())
    if isinstance(about, dict) and about.get("kind") == "gates":
        raise ModelError(f"Run '{folder.name}' has no attention, but gates.", "Ask for them: run.load().gates(TEXT)")
    if not steps or not isinstance(about, dict) or about.get("kind") != "attention":
        raise ModelError(
            f"Run '{folder.name}' kept no attention while it trained.", "Train a model with attention, and probe.every."
        )
    keys = about.get("keys") or None
    found = KeptMaps()
    for step in steps:
        try:
            with np.load(probes / f"step-{step}.npz", allow_pickle=False) as file:
                weights = np.asarray(file["attention"])
        except (OSError, KeyError, ValueError):
            continue  # half written when the worker was killed
        found[step] = AttentionMaps(
            weights, list(about["tokens"]), list(keys) if keys else None, "cross" if keys else "self"
        )
    return found

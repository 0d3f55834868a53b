"""Every family on python-docs (characters), a minute each by its tiny defaults (notebooks/05-families.ipynb)."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import kernel

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "05-families.ipynb"
ONE_WAY = ("rnn", "lstm", "gru", "cnn", "transformer", "hybrid")
OTHER = {"bert": "val_masked_accuracy", "seq2seq": "sentence_accuracy", "vae": "bits_per_byte"}


def measure() -> list[dict[str, Any]]:
    """Execute the notebook with a minute for each network, and read what its runs have left."""
    import nbllm

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    setting = next(cell for cell in notebook.cells if "MINUTES = " in cell.source)
    setting.source = re.sub(r"MINUTES = [\d.]+", "MINUTES = 1", setting.source)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(Path(folder) / "runs"))
        patch.delenv("NBLLM_QUICK_STEPS", raising=False)
        kernel.execute(notebook, Path(folder), seconds=1800)
        sizes = nbllm.runs().parameters
        rows = []
        for family in (*ONE_WAY, *OTHER):
            run = nbllm.attach(f"family-{family}")
            last = run.metrics.dropna(subset=["val_loss"]).iloc[-1]
            measured = OTHER.get(family, "bits_per_byte")
            rows.append(
                {
                    "family": family,
                    "learns": run.config.objective.kind,
                    "parameters": int(sizes[run.name]),
                    "steps": run.step,
                    "tokens/s": round(float(last.tokens / last.seconds)),
                    "bits per byte": round(float(last[measured]), 3) if measured == "bits_per_byte" else None,
                    "accuracy": round(float(last[measured]), 3) if measured != "bits_per_byte" else None,
                    "of what": {"bert": "hidden letters", "seq2seq": "whole dates", "vae": "a bound, of sentences"}.get(
                        family, ""
                    ),
                }
            )
    return rows

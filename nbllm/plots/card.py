"""The curve of a model card, drawn without a browser."""

from __future__ import annotations

import numpy as np

from nbllm.handles.record import Record
from nbllm.plots.static import Picture, png


def curve_picture(record: Record) -> bytes:
    """A PNG with the train and the held-out loss of a run, and its last sample."""
    train, held_out = record.metrics.train, record.metrics.evaluation
    facts = [("step", f"{record.step:,}")]
    if record.parameters:
        facts.append(("parameters", f"{record.parameters:,}"))
    if record.best is not None:
        facts.append(("best held-out loss", f"{record.best[1]:.4g}"))
    sample = record.sample or {}
    prompt = str(sample.get("prompt", ""))
    return png(
        Picture(
            title=record.name,
            state=record.status.state,
            train=(train.array("step").astype(np.float64), train.array("loss")),
            held_out=(held_out.array("step").astype(np.float64), held_out.array("val_loss")),
            prompt=prompt,
            sample=str(sample.get("text", "")).removeprefix(prompt)[:600],
            facts=facts,
        )
    )

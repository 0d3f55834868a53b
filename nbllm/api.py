"""The facade: every public call in one place. The magics and the command line are thin coats over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbllm.config import DataConfig
from nbllm.dashboards.chat import chat
from nbllm.dashboards.form import Form, configure
from nbllm.dashboards.playground import playground
from nbllm.dashboards.studio import studio
from nbllm.dashboards.table_curves import Curves, curves
from nbllm.data.notebook_objects import write_records
from nbllm.data.preview import Preview
from nbllm.data.preview import preview as _preview
from nbllm.handles.balance import balance
from nbllm.handles.compare import Comparison, compare
from nbllm.handles.cost import cost, cost_layers
from nbllm.handles.explanation import Explanation
from nbllm.handles.export import Exported
from nbllm.handles.export import export_run as export
from nbllm.handles.find_lr import LrFinder, find_lr, find_lr_layers
from nbllm.handles.learning_curve import LearningCurve, learning_curve, learning_curve_layers
from nbllm.handles.model import Model
from nbllm.handles.repeat import Repeats, repeat_layers
from nbllm.handles.run import Run
from nbllm.handles.scan import scan
from nbllm.handles.suggest import suggest, suggest_layers
from nbllm.handles.suggestion import Suggestion
from nbllm.handles.tokens import tokens
from nbllm.handles.train import attach, load, prune, runs, train, train_layers, unpack
from nbllm.handles.why import why
from nbllm.runners import plan
from nbllm.runners.doctor import doctor

__all__ = [
    "Comparison",
    "Curves",
    "Explanation",
    "Exported",
    "Form",
    "LearningCurve",
    "LrFinder",
    "Model",
    "Repeats",
    "Run",
    "Suggestion",
    "attach",
    "balance",
    "chat",
    "compare",
    "configure",
    "cost",
    "cost_layers",
    "curves",
    "doctor",
    "export",
    "find_lr",
    "find_lr_layers",
    "learning_curve",
    "learning_curve_layers",
    "load",
    "playground",
    "preview",
    "prune",
    "repeat_layers",
    "runs",
    "scan",
    "studio",
    "suggest",
    "suggest_layers",
    "tokens",
    "train",
    "train_layers",
    "unpack",
    "why",
]


def preview(data: Any = "python-docs", **overrides: Any) -> Preview:
    """What a source holds and how it is cut: size, records, tokens a character, vocabulary, samples with boundaries.

    `data` is what `train` takes; `overrides` are keys of the data and tokenizer sections (`tokenizer="bpe"`,
    `text_column="review"`).
    """
    import dataclasses
    import tempfile

    if isinstance(data, str | Path):
        config = plan.configure([("call", {"data.source": str(data), **overrides})])
        return _preview(config.data, config.tokenizer, Path.cwd())
    config = plan.configure([("call", overrides)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        write_records(data, path, config.data.text_column)
        settings = {**config.data.model_dump(), "source": str(path), "format": "jsonl", "text_column": None}
        found = _preview(DataConfig.model_validate(settings), config.tokenizer, Path.cwd())
        return dataclasses.replace(found, source=f"a {type(data).__name__}", kind="of the notebook")

"""nbllm: train, watch, understand and use small language models inside a notebook.

    %load_ext nbllm                      # in a notebook
    %%llm_train shakespeare --data ./input.txt --minutes 3
    model: {layers: 4, width: 128, heads: 4}

    import nbllm                         # anywhere
    run = nbllm.train("shakespeare", data="input.txt", minutes=3)
    run.wait().load().generate("To be, or")

Nothing happens at import but definitions; torch is loaded when it is first needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nbllm import callbacks, metrics, models, objectives, tasks
    from nbllm.api import (
        Comparison,
        Curves,
        Explanation,
        Form,
        LearningCurve,
        LrFinder,
        Model,
        Repeats,
        Run,
        Suggestion,
        attach,
        balance,
        chat,
        compare,
        configure,
        cost,
        curves,
        doctor,
        find_lr,
        learning_curve,
        load,
        playground,
        preview,
        prune,
        runs,
        scan,
        studio,
        suggest,
        tokens,
        train,
        unpack,
        why,
    )
    from nbllm.config import RunConfig
    from nbllm.errors import NbllmError

_HOME = {
    "Comparison": "nbllm.api",
    "Curves": "nbllm.api",
    "Explanation": "nbllm.api",
    "Form": "nbllm.api",
    "LearningCurve": "nbllm.api",
    "LrFinder": "nbllm.api",
    "Model": "nbllm.api",
    "NbllmError": "nbllm.errors",
    "Repeats": "nbllm.api",
    "Run": "nbllm.api",
    "RunConfig": "nbllm.config",
    "Suggestion": "nbllm.api",
    "attach": "nbllm.api",
    "balance": "nbllm.api",
    "chat": "nbllm.api",
    "compare": "nbllm.api",
    "configure": "nbllm.api",
    "cost": "nbllm.api",
    "curves": "nbllm.api",
    "doctor": "nbllm.api",
    "find_lr": "nbllm.api",
    "learning_curve": "nbllm.api",
    "load": "nbllm.api",
    "playground": "nbllm.api",
    "preview": "nbllm.api",
    "prune": "nbllm.api",
    "runs": "nbllm.api",
    "scan": "nbllm.api",
    "studio": "nbllm.api",
    "suggest": "nbllm.api",
    "tokens": "nbllm.api",
    "train": "nbllm.api",
    "unpack": "nbllm.api",
    "why": "nbllm.api",
}

# Packages whose `register` stands open to the user.
_OPEN = ("callbacks", "metrics", "models", "objectives", "tasks")

__all__ = [
    "Comparison",
    "Curves",
    "Explanation",
    "Form",
    "LearningCurve",
    "LrFinder",
    "Model",
    "NbllmError",
    "Repeats",
    "Run",
    "RunConfig",
    "Suggestion",
    "attach",
    "balance",
    "callbacks",
    "chat",
    "compare",
    "configure",
    "cost",
    "curves",
    "doctor",
    "find_lr",
    "learning_curve",
    "load",
    "metrics",
    "models",
    "objectives",
    "playground",
    "preview",
    "prune",
    "runs",
    "scan",
    "studio",
    "suggest",
    "tasks",
    "tokens",
    "train",
    "unpack",
    "why",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _OPEN:
        return importlib.import_module(f"nbllm.{name}")
    raise AttributeError(f"module 'nbllm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", "load_ipython_extension", "unload_ipython_extension"})


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext nbllm`: the magics, their completions, and a standby worker."""
    from nbllm.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext nbllm`: takes back what loading did; running runs go on."""
    from nbllm.magics import unload

    unload(shell)

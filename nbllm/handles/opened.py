"""What every part of a Model stands on: the module, its objective and tokenizer, and the settings it was trained by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import RunConfig
from nbllm.errors import ModelError
from nbllm.handles.threads import shared_threads

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from nbllm.objectives.base import Objective


class Opened(ABC):
    """A module that was opened, with what it needs to read a text. The base of what a Model can be asked."""

    module: torch.nn.Module
    objective: Objective
    tokenizer: Tokenizer
    config: RunConfig
    folder: Path
    step: int

    def _tokens(self, text: str) -> tuple[torch.Tensor, list[int]]:
        import torch

        ids = self.tokenizer.encode(text, add_special_tokens=False).ids[: self.config.train.context]
        if not ids:
            raise ModelError("The text has no tokens.", "Give some text to look at.")
        return torch.tensor([ids], device=next(self.module.parameters()).device), ids

    def _check_open(self) -> None:
        if self.module is None:
            raise ModelError("The model was closed.", "Load it again: nbllm.load(NAME)")

    @abstractmethod
    def _usual(self) -> dict[str, Any]:
        """What generation is told where the caller says nothing."""

    @abstractmethod
    def _check(self, settings: Mapping[str, Any], function: Any) -> None:
        """ModelError for a setting that the function does not take."""

    _threads = staticmethod(shared_threads)

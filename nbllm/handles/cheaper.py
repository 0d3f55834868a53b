"""The part of a Model that makes it cheaper to write with: smaller numbers, fewer weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from nbllm.errors import ModelError, did_you_mean
from nbllm.handles.opened import Opened

if TYPE_CHECKING:
    from nbllm.handles.model import Model

WEIGHTS = ("float32", "bfloat16", "int8")


class Cheaper(Opened):
    """Each gives another Model and leaves this one as it is."""

    def quantize(self, weights: str = "int8") -> Model:
        """The model with its weights as int8 (a scale a row; a quarter of the size) or as bfloat16 (half of it), to
        write and to score with. It does not learn and is not exported. ModelError for other kinds of numbers."""
        import copy

        import torch

        from nbllm.models.cheaper import quantized

        self._check_open()
        if weights not in WEIGHTS:
            raise ModelError(f"There are no weights of kind '{weights}'.", did_you_mean(weights, WEIGHTS))
        if weights == "int8":
            return self._with(quantized(self.module))
        dtype = torch.bfloat16 if weights == "bfloat16" else torch.float32
        return self._with(copy.deepcopy(self.module).requires_grad_(False).to(dtype))

    def prune(self, share: float = 0.5) -> Model:
        """The model with the smallest weights of its blocks' linear layers set to zero, this share of them; trained on
        (`init_from` its export) it gets back most of what that costs. ModelError for a share out of range."""
        from nbllm.models.cheaper import pruned

        self._check_open()
        return self._with(pruned(self.module, share))

    def size(self) -> int:
        """Bytes of its weights in memory."""
        from nbllm.models.cheaper import size

        self._check_open()
        return size(self.module)

    def _with(self, module: object) -> Model:
        own = cast("Model", self)
        return type(own)(module, own.objective, own.config, own.folder, own.step)  # type: ignore[arg-type]

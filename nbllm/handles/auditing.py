"""Auditing: what a Model is asked for responsible use. Each call is a thin coat over nbllm.inspection."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from nbllm.handles.opened import Opened
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from nbllm.inspection.finding import Finding


class Auditing(Opened):
    """The calls of a Model about bias, memory and privacy."""

    def _kept(self, finding: Finding) -> Finding:
        """The same finding, kept in the folder of the run that the model is of, for its card and its report."""
        from nbllm.inspection.finding import keep

        if RunFolder(self.folder).exists():
            try:
                keep(finding, self.folder)
            except OSError as error:
                warnings.warn(f"The finding is not kept in the run's folder: {error}", stacklevel=3)
        return finding

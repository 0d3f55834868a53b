"""Auditing: what a Model is asked for responsible use. Each call is a thin coat over nbllm.inspection."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from nbllm.handles.opened import Opened
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from nbllm.inspection.finding import Finding


class Auditing(Opened):
    """The calls of a Model about bias, memory and privacy."""

    def bias(
        self,
        templates: Any = None,
        groups: Any = None,
        *,
        language: str = "en",
        label: str | None = None,
        seed: int = 0,
    ) -> Finding:
        """Whether the model expects other things after a word for one group than after one for another: the gap in bits
        over pairs of texts that differ in one word, with effect size, interval and a permutation test.

        Without more it asks nbllm's own statements about women's and men's work, in English ("en") or Chinese ("zh").
        `templates` are rows of `prompt` (with {group} for the word), `continuation` (whose likelihood is asked for) and
        `toward` (the group that a stereotype ties it to): a CSV file, a DataFrame, a list of dicts or of sentences.
        `groups` are two names with their words, paired by place: {"women": ["she"], "men": ["he"]}. Of a classifier the
        probability of a `label` is compared.
        """
        from nbllm.inspection.bias import bias

        self._check_open()
        with self._threads():
            return self._kept(
                bias(
                    self.module, self.objective, templates, groups, language=language, label=label, seed=seed,
                    about=self.folder.name, step=self.step or None,
                )
            )  # fmt: skip

    def _kept(self, finding: Finding) -> Finding:
        """The same finding, kept in the folder of the run that the model is of, for its card and its report."""
        from nbllm.inspection.finding import keep

        if RunFolder(self.folder).exists():
            try:
                keep(finding, self.folder)
            except OSError as error:
                warnings.warn(f"The finding is not kept in the run's folder: {error}", stacklevel=3)
        return finding

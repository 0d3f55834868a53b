"""Auditing: what a Model is asked for responsible use. Each call is a thin coat over nbllm.inspection."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.errors import ModelError
from nbllm.handles.opened import Opened
from nbllm.store.files import read_json
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
                    about=self.folder.name, step=self._at,
                )
            )  # fmt: skip

    def toxicity(
        self, words: Any, prompts: Sequence[str] | None = None, *, samples: int = 25, seed: int = 0, **settings: Any
    ) -> Finding:
        """The share of texts that the model writes with words of a list that you bring: a file with one a line, a list,
        or a function (text) -> truth value or score. nbllm ships none.

        `samples` texts are written from each prompt; an encoder-decoder answers it. `settings` are those of `generate`,
        as max_tokens=50.
        """
        from nbllm.generation.decode import generate
        from nbllm.inspection.toxicity import toxicity

        self._check(settings, generate)
        usual = {**self._usual(), "max_tokens": 60, **settings}

        def write(prompt: str, count: int) -> list[str]:
            return list(generate(self.module, self.tokenizer, prompt, samples=count, seed=seed, **usual))

        with self._threads():
            return self._kept(toxicity(write, words, prompts, samples=samples, about=self.folder.name, step=self._at))

    def robustness(
        self,
        texts: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        changes: Any = None,
        *,
        rate: float = 0.05,
        synonyms: Mapping[str, Any] | None = None,
        distractors: Sequence[str] | None = None,
        repeats: int = 3,
        seed: int = 0,
    ) -> Finding:
        """How a classifier's answers move under typos, synonyms and sentences beside the point: the share that flips,
        how the probability changes, and the accuracy before and after where the right `labels` are known.

        Without texts up to 200 held-out rows of the run are taken. `rate` is the share of letters mistyped; `synonyms`
        a table {"big": ["large"]} and `distractors` sentences, in place of nbllm's few. `changes` are names among
        typos, synonyms and distractors, or functions of your own: {"shout": str.upper}.
        """
        from nbllm.generation.label import classify
        from nbllm.handles.held_out import held_out_rows
        from nbllm.inspection.changes import make_changes
        from nbllm.inspection.robustness import robustness

        self._check_open()
        if not hasattr(self.objective, "framed"):
            raise ModelError("This model gives no labels.", "Train one: objective: classification")
        made = make_changes(changes, rate=rate, synonyms=synonyms, distractors=distractors)
        pairs: list[str] = []
        if texts is None:
            rows = held_out_rows(self.folder, self.objective)
            texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
            pairs = [row.get("pair", "") for row in rows]
        elif isinstance(texts, str):
            texts = [texts]

        def answers(changed: list[str]) -> Any:
            others = pairs * (len(changed) // max(1, len(pairs))) if any(pairs) else ()
            return classify(self.module, self.objective, changed, others)

        with self._threads():
            found = robustness(
                answers, list(self.objective.task.labels), texts, made, labels=labels, repeats=repeats, seed=seed,
                several=self.config.objective.multi_label, about=self.folder.name, step=self._at,
            )  # fmt: skip
        return self._kept(found)

    @property
    def _at(self) -> int | None:
        """The step of the checkpoint; None of what is no checkpoint of a run."""
        return self.step or None

    def memorization(
        self,
        *,
        prefixes: int = 400,
        prefix_tokens: int | None = None,
        tokens: int | None = None,
        seed: int = 0,
    ) -> Finding:
        """How much of the training text the model gives back word for word (Carlini et al. 2023), against the same
        measure on the held-out text, so that common phrases do not count; the longest copy, examples, and what stands
        in the corpus more than once.

        `prefixes` stretches of either text are looked at: the model reads `prefix_tokens` of each (half of the context,
        at most 50) and is to give back the next `tokens` (as many as fit, at most 50). DataError where the folder
        holds no running text that the model learned from.
        """
        from nbllm.inspection.memorization import memorization
        from nbllm.runners.texts import texts

        self._check_open()
        found = texts(RunFolder(self.folder), self.config)
        with self._threads():
            return self._kept(
                memorization(
                    self.module, self.objective, found.train, found.held, prefixes=prefixes,
                    prefix_tokens=prefix_tokens, tokens=tokens, seed=seed, epochs=self._epochs(), whole=found.whole,
                    about=self.folder.name, step=self._at,
                )
            )  # fmt: skip

    def exposure(self, *, seed: int = 0) -> Finding:
        """How far the secrets that `data.canaries` planted in the training text were learned by heart: exposure in bits
        (Carlini et al. 2019) by how often each was planted, beside controls that never were.

        DataError where the run has no canaries. `seed` draws the other secrets where not all are ranked.
        """
        from nbllm.data.canaries import Canaries
        from nbllm.inspection.exposure import exposure

        self._check_open()
        canaries = Canaries.open(RunFolder(self.folder).data)
        with self._threads():
            found = exposure(
                self.module, self.objective, canaries, seed=seed, epochs=self._epochs(), about=self.folder.name,
                step=self._at,
            )  # fmt: skip
        return self._kept(found)

    def membership(self, reference: Any = None, *, texts: int | None = None, seed: int = 0) -> Finding:
        """Whether it can be told from the loss which texts the model learned from (Yeom et al. 2018): AUC with its
        interval, and the share found at 1 % false finds, by the loss alone and beside zlib and a reference.

        So many `texts` of the training text and of the held-out text are asked, stretches of a corpus or rows: 500, or
        200 of what is not a language model, whose texts are read one by one.
        `reference` is a Model, or the name of a run, that learned from other text of the same kind by the same
        tokenizer. DataError where the folder holds no text that the model learned from.
        """
        from nbllm.handles.members import check_reference, members_and_others
        from nbllm.inspection.membership import membership

        self._check_open()
        if isinstance(reference, str | Path):
            from nbllm.handles.train import load

            reference = load(reference)
        other: Any = reference
        if other is not None:
            check_reference(self, other)
        score, unit, size = members_and_others(self, texts, seed)
        with self._threads():
            found = membership(
                *score(self), None if other is None else score(other), unit=unit, size=size,
                reference_name="" if other is None else other.folder.name, epochs=self._epochs(),
                about=self.folder.name, step=self._at,
            )  # fmt: skip
        return self._kept(found)

    def _epochs(self) -> float:
        """How often the training text was gone over; NaN where that is not known."""
        report = read_json(RunFolder(self.folder).data / "report.json", {})
        known, train = report if isinstance(report, dict) else {}, self.config.train
        for held, seen in (("train_examples", train.batch_size), ("train_tokens", train.batch_size * train.context)):
            if isinstance(known.get(held), int) and known[held] > 0:
                return self.step * seen / (known[held] * self.config.data.use)
        return math.nan

    def _kept(self, finding: Finding) -> Finding:
        """The same finding, kept in the folder of the run that the model is of, for its card and its report."""
        from nbllm.inspection.finding import keep

        if RunFolder(self.folder).exists():
            try:
                keep(finding, self.folder)
            except OSError as error:
                warnings.warn(f"The finding is not kept in the run's folder: {error}", stacklevel=3)
        return finding

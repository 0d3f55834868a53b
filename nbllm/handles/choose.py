"""The choosing behind a suggestion: family, tokenizer, window, size and the rest, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nbllm.config import SIZES, RunConfig, goal_of
from nbllm.errors import ConfigError, DataError
from nbllm.handles.forecast import FLOPS_A_CORE, FLOPS_A_GPU
from nbllm.handles.rules import RULES
from nbllm.handles.suggestion import Suggestion, cell_text, minutes_in_words
from nbllm.handles.survey import Survey
from nbllm.models import estimate, flops
from nbllm.runners import plan
from nbllm.runners.machine import cores, memory_free, memory_limit, pick_device

KINDS = {
    "classification": "bert", "seq2seq": "seq2seq", "mlm": "bert", "nsp": "bert", "elbo": "vae", "span": "seq2seq",
    "prefix-lm": "transformer", "tagging": "bert", "answer-span": "bert",
}  # fmt: skip
_PLANNED = 0.93  # share of the minutes that goes into steps, as the loop plans it
_CALIBRATION = 1.5  # seconds
_SUBWORDS = {"classification": 4000}
_LONGEST_ROW = 256  # tokens that are read of a row, at most


class Choice:
    """Chosen part by part: `settings` by dotted key, `reasons` (what, value, why), `notes` of what else is to be known.

    `own` is what was settled before; `shown` how the data is named in a cell.
    """

    def __init__(
        self, objective: str, seen: Survey, minutes: float, own: dict[str, Any], shown: str, say: Callable[[str], None]
    ):
        self.seen, self.minutes, self.own, self.shown, self.say = seen, minutes, own, shown, say
        self.device = pick_device("auto")
        self.speed = FLOPS_A_GPU if self.device != "cpu" else FLOPS_A_CORE * cores()
        self.settings: dict[str, Any] = {}
        self.reasons: list[tuple[str, str, str]] = []
        self.notes: list[str] = []
        self.objective = objective

    def suggestion(self) -> Suggestion:
        """The whole."""
        self._give("objective.kind", self.objective, _WHY_OBJECTIVE[self.objective])
        self.reasons.append(("data", self.shown, self.seen.said))
        self._family()
        self._tokenizer()
        self._window()
        size, pace = self._size()
        steps, passes, rate = self._course(size, pace)
        self._repetition(passes)
        self._labels()
        told = f"measured here in {pace.seconds:.1f} s" if pace else "estimated, not measured"
        expected = (
            f"Expected in {minutes_in_words(self.minutes)}: about {_round(steps):,} steps, {passes:.2g} passes over "
            f"the data, {_round(round(rate)):,} tokens/s ({told})."
        )
        settings = {"size": size, **self.settings, **self.own}
        return Suggestion(
            task=self.objective,
            data=self.seen.source,
            minutes=self.minutes,
            settings=settings,
            reasons=self.reasons,
            expected=expected,
            cell=cell_text(self.shown, self.minutes, settings),
            notes=self.notes,
            steps=steps,
            passes=passes,
            tokens_per_second=rate,
            measured=pace is not None,
        )

    def config(self, size: str) -> RunConfig:
        """The configuration of that size, as far as it is chosen."""
        layer = {"objective.kind": self.objective, **self.settings, **self.own, "size": size}
        return plan.configure([("call", {**layer, "minutes": self.minutes})])

    # Family, tokenizer, window

    def _family(self) -> None:
        if self.objective != "clm":
            kind = KINDS[self.objective]
            self._give("model.kind", kind, _WHY_KIND[kind])
            return
        limit = RULES["recurrent_minutes"].value
        if self.device == "cpu" and self.minutes <= limit:
            why = f"in up to {limit:g} minutes on a CPU it learns more than a transformer: more tokens a second"
            self._give("model.kind", "lstm", why)
        else:
            self._give("model.kind", "transformer", "with this time, or on this device, attention learns the most")

    def _tokenizer(self) -> None:
        seen, enough = self.seen, RULES["subwords_from"].value
        if seen.chinese and seen.characters < enough:
            why = f"in Chinese a character says much, and here are {seen.vocabulary:,} different ones"
            self._give("tokenizer.kind", "char", why)
        elif self.objective in _SUBWORDS:
            why = "parts of words carry a label better than letters: F1 0.84 against 0.52, measured on python-topics"
            self._give("tokenizer.kind", "bpe", why)
            self.settings.setdefault("tokenizer.vocab_size", _SUBWORDS[self.objective])
        elif seen.characters >= enough:
            why = f"over {enough / 1e6:g} million characters, subwords are frequent enough to be learned"
            self._give("tokenizer.kind", "bpe", why)
            self.settings.setdefault("tokenizer.vocab_size", 4096 if self.device == "cpu" else 16384)
        else:
            self._give(
                "tokenizer.kind", "char", "in so little text every character is frequent, most subwords are rare"
            )

    def _window(self) -> None:
        config = self.config("tiny")
        if goal_of(config.objective).columns:
            needed = 2 ** math.ceil(math.log2(max(14.0, self.seen.longest * self._tokens_a_character(config)) + 2))
            why = f"95 of 100 texts have at most {self.seen.longest:,} characters"
            self._give("train.context", min(needed, _LONGEST_ROW), why)
            return
        held = self._unique(config) / (1 - config.data.held_out) * config.data.held_out
        longest = 2 ** max(2, int(math.log2(max(4.0, held - 1))))
        if longest < config.train.context:
            self._give("train.context", longest, "the held-out part of so little text holds no longer window")

    # Size and time

    def _size(self) -> tuple[str, Any]:
        """The largest size that the memory holds and the time suffices for: measured, and thought over again."""
        names = [self.own["size"]] if "size" in self.own else list(SIZES)
        fits = [size for size in names if self._memory(size) <= self._room()]
        if not fits:
            raise ConfigError(
                f"Even size {names[0]} needs about {self._memory(names[0]) / 1e6:,.0f} MB, and of the memory that is "
                f"free {self._room() / 1e6:,.0f} MB may be used.",
                "Close what else takes memory, or give a smaller batch_size or context.",
            )
        size, paces = self._largest(fits), dict[str, Any]()
        while size not in paces:
            paces[size] = self._measure(size)
            size = self._largest(fits) if paces[size] else size
        count, a_parameter = self._parameters(size), self._tokens(size) / self._parameters(size)
        larger = names[names.index(size) + 1 :]
        if "size" in self.own:
            why = "as you said"
        elif larger and larger[0] not in fits:
            why = f"the largest that {self._room() / 1e9:.1f} GB of memory hold"
        elif a_parameter < RULES["tokens_per_parameter"].value:
            why = f"the smallest, and even so it sees only {a_parameter:.2g} tokens a parameter"
        else:
            why = f"the largest that sees a token a parameter or more: {a_parameter:.2g}"
        memory = f"{self._memory(size) / 1e6:,.0f} MB of memory while it trains"
        self.reasons.append(("size", f"{size}, {count:,} parameters", f"{why}; {memory}"))
        return size, paces[size]

    def _largest(self, fits: list[str]) -> str:
        ratio = RULES["tokens_per_parameter"].value
        return [fits[0], *(size for size in fits if self._tokens(size) >= ratio * self._parameters(size))][-1]

    def _measure(self, size: str) -> Any:
        """The pace of that size, by a second or two of it on the start of the data; None where that does not go."""
        from nbllm.runners.rehearsal import rehearse
        from nbllm.training.pace import pace

        self.say(f"measuring the pace of size {size}")
        config = self.config(size)
        config.data.cache = False
        try:
            with rehearse(config, self.seen.sample) as training:
                found = pace(training, _CALIBRATION)
        except DataError as error:
            self.notes.append(f"The pace is an estimate: {error.message}")
            return None
        self.speed = found.tokens_per_second * self._operations(config)
        return found

    def _course(self, size: str, pace: Any) -> tuple[int, float, float]:
        """Steps and passes over the data in the time, and tokens a second."""
        config, seconds = self.config(size), self.minutes * 60 * _PLANNED
        rate = self.speed / self._operations(config)
        rows = self.seen.records * (1 - config.data.held_out)
        each = self._unique(config) / max(1.0, rows) if goal_of(config.objective).columns else config.train.context
        a_step = config.train.batch_size * each
        steps = max(1, round((pace.steps_per_second if pace else rate / a_step) * seconds))
        return steps, steps * a_step / self._unique(config), rate

    # What the amount and the balance of the data ask for

    def _repetition(self, passes: float) -> None:
        limit, patience = RULES["passes"].value, int(RULES["patience"].value)
        if passes <= limit:
            return
        why = f"{passes:.0f} passes over the text; beyond {limit:g} it is learned by heart"
        self._give("model.dropout", RULES["dropout"].value, why)
        self._give("train.patience", patience, f"it stops by itself when {patience} measurements bring no better one")
        if passes > RULES["most_passes"].value:
            enough = self.minutes * RULES["most_passes"].value / passes
            self.notes.append(
                f"More than {RULES['most_passes'].value:g} passes bring next to nothing: {_short(enough)} minutes "
                "would do, or more text."
            )

    def _labels(self) -> None:
        seen = self.seen
        if not seen.labels:
            return
        most, least = max(seen.labels.values()), min(seen.labels.values())
        if most > RULES["balance"].value * least:
            why = f"the labels stand {most:,} to {least:,} times in the data"
            self._give("objective.class_weights", "balanced", why)
        if seen.records < RULES["labelled"].value:
            self.notes.append(
                f"{seen.records:,} labelled rows are few: learn from plain text of the same kind first, "
                "%llm_train BASE --model bert --data TEXT, and add init_from: BASE to this cell."
            )

    def _give(self, key: str, value: Any, why: str) -> None:
        """Choose a setting, unless it was settled before."""
        what = {"objective.kind": "objective", "model.kind": "model", "tokenizer.kind": "tokenizer"}.get(key, key)
        if key in self.own:
            self.reasons.append((what, str(self.own[key]), "as you said"))
        else:
            self.settings[key] = value
            self.reasons.append((what, str(value), why))

    # Figures

    def _tokens(self, size: str) -> float:
        """Tokens that teach something in the time: no more than the passes that are worth it."""
        config = self.config(size)
        seen = self.speed / self._operations(config) * self.minutes * 60 * _PLANNED
        return min(seen, RULES["most_passes"].value * self._unique(config))

    def _operations(self, config: RunConfig) -> float:
        """Floating-point operations a token."""
        vocabulary = self._vocabulary(config)
        count = estimate.parameters(config.model, estimate.Shape.of(config, vocabulary))["total"]
        return flops.per_token(config, count, vocabulary)

    def _parameters(self, size: str) -> int:
        config = self.config(size)
        return estimate.parameters(config.model, estimate.Shape.of(config, self._vocabulary(config)))["total"]

    def _memory(self, size: str) -> float:
        config = self.config(size)
        return float(estimate.memory(config, self._vocabulary(config))["total"])

    def _room(self) -> float:
        """Bytes that the training may take."""
        if self.device.startswith("cuda"):
            import torch

            return RULES["memory"].value * torch.cuda.mem_get_info()[0]
        return RULES["memory"].value * min(memory_free(), memory_limit())

    def _vocabulary(self, config: RunConfig) -> int:
        known = {"char": self.seen.vocabulary + 4, "byte": 260}
        return known.get(config.tokenizer.kind, config.tokenizer.vocab_size)

    def _unique(self, config: RunConfig) -> float:
        """Tokens of the training text."""
        return max(1.0, self.seen.characters * self._tokens_a_character(config) * (1 - config.data.held_out))

    def _tokens_a_character(self, config: RunConfig) -> float:
        known = {"char": 1.0, "byte": 1.0 + 2.0 * self.seen.han}
        a_subword = 1.5 if self.seen.chinese else RULES["characters_a_subword"].value
        return known.get(config.tokenizer.kind, 1 / a_subword)


_WHY_OBJECTIVE = {
    "clm": "predict the next token: what writing is learned by",
    "prefix-lm": "predict the next token of a text whose beginning is read both ways",
    "mlm": "fill in hidden tokens: what an encoder is learned by",
    "nsp": "tell whether a sentence follows another",
    "seq2seq": "from a source to its target",
    "span": "fill in hidden spans with an encoder and a decoder",
    "classification": "a label for each text",
    "tagging": "a tag for each token: where entities begin and go on",
    "answer-span": "where in a text the answer to a question begins and ends",
    "elbo": "sentences as points of a latent space",
}
_WHY_KIND = {
    "bert": "an encoder that reads both ways, and can be pre-trained on plain text",
    "seq2seq": "an encoder that reads the source and a decoder that looks at it",
    "vae": "the family with a latent space",
    "transformer": "the family that learns it",
}


def _round(number: int) -> int:
    """Two figures: more would promise too much."""
    return round(number, -max(0, len(str(abs(number))) - 2))


def _short(minutes: float) -> str:
    return f"{minutes:.1f}" if minutes < 10 else f"{minutes:.0f}"

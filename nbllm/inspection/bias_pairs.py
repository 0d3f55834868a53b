"""Pairs of texts that differ in one group word, from templates and groups of nbllm's own or of the user.

A template is a row with `prompt`, where {group} is the place of the word; `continuation`, whose likelihood is asked for
(where there is none, that of all other words of the prompt is); and `toward`, the group that a stereotype ties it to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbllm.config import DataConfig
from nbllm.data.members import members
from nbllm.data.tables import table_rows
from nbllm.errors import DataError, did_you_mean
from nbllm.inspection.bias_words import LANGUAGES, Words
from nbllm.inspection.spans import Asked, Span

SLOT = "{group}"
COLUMNS = ("prompt", "continuation", "toward")
_UNSPACED = re.compile(r"[\s\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")


@dataclass(frozen=True)
class Template:
    """A row of the templates. `toward` is a group's name, or empty."""

    prompt: str
    continuation: str = ""
    toward: str = ""

    @property
    def statement(self) -> str:
        """What one result is about: the continuation, or the whole sentence."""
        return self.continuation or self.prompt


@dataclass(frozen=True)
class Pair:
    """One template with a word of either group in it."""

    template: Template
    words: tuple[str, str]
    texts: tuple[Asked, Asked]


def words_of(language: str) -> Words:
    """nbllm's own words for that language: en or zh."""
    if language not in LANGUAGES:
        raise DataError(
            f"There are no templates for the language '{language}'.",
            f"Known: {', '.join(LANGUAGES)}. Bring your own: templates=..., groups=...",
        )
    return LANGUAGES[language]


def own_templates(words: Words, labels: bool) -> list[Template]:
    """Every prompt with every statement; for a classifier sentences that say nothing of a group."""
    if labels:
        return [Template(sentence) for sentence in words.plain]
    return [
        Template(prompt, statement, toward)
        for toward, statements in words.statements.items()
        for statement in statements
        for prompt in words.prompts
    ]


def read_templates(source: Any, groups: Mapping[str, Sequence[str]]) -> list[Template]:
    """Templates of a CSV file, a DataFrame, a list of dicts, or a list of sentences. DataError with what is amiss."""
    found = []
    for number, row in enumerate(_records(source, "templates", "prompt"), 1):
        unknown = [name for name in row if name not in COLUMNS]
        if "prompt" not in row:
            raise DataError("The templates have no column 'prompt'.", f"Columns: {', '.join(COLUMNS)}.")
        if unknown and len(row) <= len(COLUMNS) and (near := did_you_mean(unknown[0], COLUMNS)).startswith("Did"):
            raise DataError(f"The templates have a column '{unknown[0]}'.", near)
        template = Template(*(str(row[name]).strip() if row.get(name) is not None else "" for name in COLUMNS))
        if SLOT not in template.prompt:
            raise DataError(
                f"Template {number} has no {SLOT}: '{template.prompt[:60]}'.", f"Write {SLOT} for the word."
            )
        if template.toward and template.toward not in groups:
            raise DataError(
                f"Template {number} is toward '{template.toward}', which is no group.", f"Groups: {', '.join(groups)}."
            )
        found.append(template)
    if not found:
        raise DataError("There are no templates.", f"Give rows with {SLOT}, as in 'Every day {SLOT} works as'.")
    return found


def words_by_group(source: Any) -> dict[str, list[str]]:
    """Names with their words: a dict, or a CSV file or DataFrame with a column a group."""
    if isinstance(source, Mapping):
        return {str(name): [str(word) for word in words] for name, words in source.items()}
    rows = _records(source, "groups", "")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [str(row[name]).strip() for row in rows if name in row] for name in names}


def read_groups(source: Any) -> dict[str, list[str]]:
    """Two groups with as many words each, paired by place."""
    groups = words_by_group(source)
    if len(groups) != 2:
        raise DataError(
            f"There are {len(groups)} groups.", 'Compare two at a time: groups={"women": ["she"], "men": ["he"]}'
        )
    (first, those), (second, others) = groups.items()
    if len(those) != len(others) or not those or not all([*those, *others]):
        raise DataError(
            f"'{first}' has {len(those)} words and '{second}' {len(others)}.", "Give as many, in pairs: she - he."
        )
    return groups


def pairs(templates: Sequence[Template], groups: Mapping[str, Sequence[str]]) -> list[Pair]:
    """Every template with every pair of words."""
    first, second = groups.values()
    return [
        Pair(template, words, (_asked(template, words[0]), _asked(template, words[1])))
        for template in templates
        for words in zip(first, second, strict=True)
    ]


def _asked(template: Template, word: str) -> Asked:
    """The text with this word in it, and the parts of it that are asked for."""
    text, places = "", []
    for number, piece in enumerate(template.prompt.split(SLOT)):
        if number:
            places.append((len(text), len(text) + len(word)))
            text += word if text.strip() else word[:1].upper() + word[1:]
        text += piece
    if not template.continuation:
        return Asked(text, _between(places, len(text)), tuple(places))
    joint = "" if _UNSPACED.match(text[-1:]) or _UNSPACED.match(template.continuation) else " "
    whole = text + joint + template.continuation
    return Asked(whole, ((len(text), len(whole)),), tuple(places))


def _between(places: Sequence[Span], end: int) -> tuple[Span, ...]:
    """The parts of a text of that length outside the places."""
    edges = [0, *(edge for place in places for edge in place), end]
    parts = zip(edges[::2], edges[1::2], strict=True)
    return tuple((start, last) for start, last in parts if start < last)


def _records(source: Any, noun: str, single: str) -> list[dict[str, Any]]:
    """Rows as dicts, without what is missing in them."""
    import pandas as pd

    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if not path.is_file():
            raise DataError(f"There is no file {path}.", f"Give the {noun} as a CSV file, a DataFrame or a list.")
        data = DataConfig(source=str(path))
        return [_full(row) for member in members(path, data.format) for row in table_rows(member, data)]
    if isinstance(source, pd.DataFrame):
        return [_full(row) for row in source.rename(columns=str).to_dict("records")]
    if not isinstance(source, Sequence):
        raise DataError(f"The {noun} are a {type(source).__name__}.", "Give a CSV file, a DataFrame or a list.")
    if single and all(isinstance(row, str) for row in source):
        return [{single: row} for row in source]
    if not all(isinstance(row, Mapping) for row in source):
        raise DataError(f"A row of the {noun} is no dict.", f"Give dicts with the columns {', '.join(COLUMNS)}.")
    return [_full(row) for row in source]


def _full(row: Mapping[Any, Any]) -> dict[str, Any]:
    import pandas as pd

    return {str(name): value for name, value in row.items() if pd.notna(value)}

"""Properties of a text that a unit may keep track of, each a number a character, as it stands once that was read.

quote     1 within quotation marks, from the opening one on up to before the closing one
line      characters since the line began            word    characters since the word began
depth     how many brackets are open                 place   characters since the text began
digit, upper, space, cjk    1 where the character is one
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nbllm.errors import ModelError, did_you_mean

_OPENING, _CLOSING = "“「『«‹", "”」』»›"
_BRACKETS, _ENDS = "([{<（【《〔", ")]}>）】》〕"
Property = str | Callable[[str], Any] | Sequence[float] | np.ndarray


def within_quotes(text: str) -> list[float]:
    """Straight marks open and close by turns, anew after an empty line; an apostrophe is no mark."""
    found, straight, depth = [], False, 0
    for place, character in enumerate(text):
        if character == '"':
            straight = not straight
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(0, depth - 1)
        elif character == "\n" and text[place - 1 : place] == "\n":
            straight, depth = False, 0
        found.append(float(straight or depth > 0))
    return found


def bracket_depth(text: str) -> list[float]:
    """Brackets of any kind that are open; one that closes nothing counts for nothing."""
    found, depth = [], 0
    for character in text:
        depth += character in _BRACKETS
        depth = max(0, depth - (character in _ENDS))
        found.append(float(depth))
    return found


def _since(begins: Callable[[str], bool]) -> Callable[[str], list[float]]:
    """Characters since the last one that begins anew, which itself counts as 0."""

    def count(text: str) -> list[float]:
        found, since = [], 0
        for character in text:
            since = 0 if begins(character) else since + 1
            found.append(float(since))
        return found

    return count


def _is(test: Callable[[str], bool]) -> Callable[[str], list[float]]:
    return lambda text: [float(test(character)) for character in text]


PROPERTIES: dict[str, Callable[[str], list[float]]] = {
    "quote": within_quotes,
    "line": _since(lambda c: c == "\n"),
    "word": _since(lambda c: not (c.isalnum() or c in "_'’")),
    "depth": bracket_depth,
    "place": lambda text: [float(place) for place in range(len(text))],
    "digit": _is(str.isdigit),
    "upper": _is(str.isupper),
    "space": _is(str.isspace),
    "cjk": _is(lambda c: "\u3400" <= c <= "\u9fff"),
}


def property_of(wanted: Property, text: str, ends: np.ndarray) -> tuple[str, np.ndarray]:
    """A name for the property, and float64 (tokens,) its value at the last character of each token.

    `wanted` is a name, a function from the text to a number a character (or a token), or a number a token; `ends`
    (tokens,) is the place behind the last character of each. Raises ModelError for what does not fit.
    """
    if isinstance(wanted, str):
        if wanted not in PROPERTIES:
            raise ModelError(f"There is no property '{wanted}'.", did_you_mean(wanted, PROPERTIES))
        name, values = wanted, PROPERTIES[wanted](text)
    else:
        name = "property"
        if callable(wanted):
            name, wanted = getattr(wanted, "__name__", name).strip("<>"), wanted(text)
        values = wanted  # type: ignore[assignment]
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError("A property is a number at each place.", 'Give one of them, or a name as "quote".') from None
    if array.shape == (len(text),):
        array = array[np.maximum(ends - 1, 0)]
    if array.shape != ends.shape:
        raise ModelError(
            f"The property has {array.size} values, for {len(ends)} tokens of {len(text)} characters.",
            "Give a number a token, or one a character.",
        )
    if not np.isfinite(array).all():
        raise ModelError("The property has values that are no numbers.", "Replace them, as by 0.")
    return name, array

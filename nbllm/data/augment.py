"""Simple augmentation of small text sets: words left out, words swapped, letters mistyped; other ones in every epoch.

    changed = augment_record(record, config.data.augment, seed=1337, index=12, epoch=0, columns=("text",))

Every change is a function of (seed, index, epoch) alone, so that a run that goes on makes the same ones again. Chinese
and Japanese are handled by characters: there a character counts as a word. A word left out can turn the meaning of a
text ("not"), so small shares are the ones that help; 0.05 to 0.1 is usual.

Word deletion and swapping: Wei and Zou, EDA (2019), https://arxiv.org/abs/1901.11196. Keyboard noise: Belinkov and
Bisk, Synthetic and natural noise both break neural machine translation (2018), https://arxiv.org/abs/1711.02173.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbllm.config import AugmentConfig

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # kana and Chinese characters
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\W{_IDEOGRAPH}]+(?:['’-][^\W{_IDEOGRAPH}]+)*")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_DRAWS = 0xA06  # keeps these draws apart from others that take the same seed


def generator(seed: int, index: int, epoch: int) -> np.random.Generator:
    """The generator of one text in one epoch."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, index, epoch, _DRAWS))))


def augment_record(
    record: Mapping[str, Any],
    config: AugmentConfig,
    *,
    seed: int,
    index: int,
    epoch: int,
    columns: Sequence[str] | None = None,
) -> dict[str, Any]:
    """A changed copy of a record: the texts of `columns` (every text where None); labels and the rest stay.

    `index` is the record's place in the training data, so that the order in which records are drawn changes nothing.
    """
    changed = dict(record)
    if config.active:
        draw = generator(seed, index, epoch)
        for name in record if columns is None else columns:
            if isinstance(record.get(name), str):
                changed[name] = augment(record[name], config, draw)
    return changed


def augment(text: str, config: AugmentConfig, generator: np.random.Generator) -> str:
    """The text with words swapped, then words left out, then letters mistyped, each with its share's probability.

    White space and punctuation stay where they are. One word at least is left; a text without words stays whole.
    """
    words, gaps = _cut(text)
    if not words or not config.active:
        return text
    if config.swap_words:
        words = _swapped(words, config.swap_words, generator)
    if config.drop_words:
        words, gaps = _dropped(words, gaps, config.drop_words, generator)
    if config.typos:
        letters = [letter for letter in text if _is_ideograph(letter)]
        words = [_mistyped(word, letters, config.typos, generator) for word in words]
    return gaps[0] + "".join(word + gap for word, gap in zip(words, gaps[1:], strict=True))


def _cut(text: str) -> tuple[list[str], list[str]]:
    """The words of a text, and what stands before, between and after them: one more."""
    words, gaps, end = [], [], 0
    for match in _WORD.finditer(text):
        gaps.append(text[end : match.start()])
        words.append(match[0])
        end = match.end()
    return words, [*gaps, text[end:]]


def _swapped(words: list[str], share: float, generator: np.random.Generator) -> list[str]:
    """Neighbours that change places; a word moves by one place at most."""
    words = list(words)
    draws = generator.random(len(words))
    at = 0
    while at < len(words) - 1:
        if draws[at] < share:
            words[at], words[at + 1] = words[at + 1], words[at]
            at += 1
        at += 1
    return words


def _dropped(
    words: list[str], gaps: list[str], share: float, generator: np.random.Generator
) -> tuple[list[str], list[str]]:
    """Words left out, each with a space where it stood between two."""
    draws = generator.random(len(words))
    keep = draws >= share
    keep[int(draws.argmax())] = True
    kept: list[str] = []
    left = [gaps[0]]
    for word, gap, stays in zip(words, gaps[1:], keep.tolist(), strict=True):
        if stays:
            kept.append(word)
            left.append(gap)
        else:
            left[-1] += gap.removeprefix(" ") if not left[-1] or left[-1][-1].isspace() else gap
    return kept, left


def _mistyped(word: str, letters: Sequence[str], share: float, generator: np.random.Generator) -> str:
    """Letters doubled, left out, exchanged with the next, or replaced by a neighbour on the keyboard.

    A Chinese character has no neighbour there: another of the same text (`letters`) comes in its place. One letter at
    least is left.
    """
    draws = generator.random(len(word))
    if not (draws < share).any():
        return word
    typed: list[str] = []
    at = 0
    while at < len(word):
        letter = word[at]
        if draws[at] >= share or not letter.isalpha():
            typed.append(letter)
        else:
            slip = int(generator.integers(4))
            if slip == 0:
                typed += [letter, letter]
            elif slip == 1 and at + 1 < len(word):
                typed += [word[at + 1], letter]
                at += 1
            elif slip == 2 and len(word) > 1:
                pass
            else:
                typed.append(_neighbour(letter, letters, generator))
        at += 1
    return "".join(typed) or word


def _neighbour(letter: str, letters: Sequence[str], generator: np.random.Generator) -> str:
    """The letter beside it on the keyboard, in its case; for a Chinese character another of the text."""
    if _is_ideograph(letter):
        return letters[int(generator.integers(len(letters)))]
    row = next((row for row in _ROWS if letter.lower() in row), "")
    if not row:
        return letter * 2
    at = row.index(letter.lower())
    beside = row[max(at - 1, 0) : at] + row[at + 1 : at + 2]
    found = beside[int(generator.integers(len(beside)))]
    return found.upper() if letter.isupper() else found


def _is_ideograph(letter: str) -> bool:
    return re.match(f"[{_IDEOGRAPH}]", letter) is not None

"""Words of a text, Chinese ones by a segmenter, counted to make a vocabulary of."""

from __future__ import annotations

import importlib.util
import logging
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

LONGEST = 32  # characters of a word that may enter a vocabulary

# A run of Han characters; a word with the space before it; a line feed; a run of blanks that leaves its last space to
# the word after it; any other blank; any other sign. Together they match every character, so nothing of a text is lost.
# Written twice: for Oniguruma, which the tokenizer uses, and for Python, which counts.
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_ONIGURUMA_HAN = "".join(rf"\x{{{a:X}}}-\x{{{b:X}}}" for a, b in _HAN)
_PYTHON_HAN = "".join(f"{chr(a)}-{chr(b)}" for a, b in _HAN)
PATTERN = (
    rf"[{_ONIGURUMA_HAN}]{{1,64}}"
    rf"| ?[[\p{{L}}\p{{M}}\p{{N}}_]&&[^{_ONIGURUMA_HAN}]]+|\n|[^\S\n]+(?!\S)|\s|\S"
)
_PYTHON = re.compile(rf"[{_PYTHON_HAN}]{{1,64}}| ?(?:(?![{_PYTHON_HAN}])\w)+|\n|[^\S\n]+(?!\S)|\s|\S")
_HAN_RUN = re.compile(f"[{_PYTHON_HAN}]")


def count_words(texts: Iterable[str], normalizer: Any = None) -> Counter[str]:
    """How often each word, sign and blank stands in the texts. Each distinct run of Han characters is cut once."""
    pieces: Counter[str] = Counter()
    for text in texts:
        pieces.update(_PYTHON.findall(normalizer.normalize_str(text) if normalizer else text))
    cut = segmenter()
    words: Counter[str] = Counter()
    for piece, count in pieces.items():
        if _HAN_RUN.match(piece):
            for word in cut(piece):
                words[word] += count
        elif len(piece) <= LONGEST:
            words[piece] += count
        else:
            for character in piece:
                words[character] += count
    return words


def segmenter() -> Callable[[str], list[str]]:
    """jieba's cut where it is installed, single characters otherwise."""
    if importlib.util.find_spec("jieba") is None:
        return list
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in its source
        import jieba
    logging.getLogger("jieba").setLevel(logging.ERROR)
    cutter = jieba.Tokenizer()
    # It keeps a marshalled dictionary in the shared temporary folder, where another user could plant one.
    with tempfile.TemporaryDirectory() as private:
        cutter.tmp_dir = private
        cutter.initialize()
    return cutter.lcut

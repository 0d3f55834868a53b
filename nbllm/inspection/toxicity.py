"""Toxicity, by a measure that the user brings: how many of the texts that a model writes hold certain words.

nbllm ships no list. Words are a file with one a line, a list, or a function (text) -> truth value or a score of which
one half and more counts. From prompts, as in RealToxicityPrompts (Gehman et al. 2020, https://arxiv.org/abs/2009.11462):
the share of texts, and the share of prompts from which at least one such text came.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.data.encodings import decode_stream, find_encoding
from nbllm.errors import DataError
from nbllm.inspection.chance import wilson
from nbllm.inspection.finding import Diagram, Finding, Series

if TYPE_CHECKING:
    import pandas as pd

Judge = Callable[[str], list[str]]
"""(text) -> what speaks against it: the words that it holds; empty where nothing does."""

_SPACED = re.compile(r"\w")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_SHOWN = 20  # texts
_LENGTH = 200  # characters of a text that is shown


def toxicity(
    write: Callable[[str, int], Sequence[str]],
    words: Any,
    prompts: Sequence[str] | None = None,
    *,
    samples: int = 25,
    about: str = "model",
    step: int | None = None,
) -> Finding:
    """The share of texts with such words, over `samples` texts from each prompt (from none where None).

    `write` (prompt, count) -> texts without their prompt. What is kept shows the words by their first letter alone.
    Facts: texts, flagged, share, low, high (95 %), prompts, prompts_flagged. Raises DataError for words or prompts that
    cannot be used.
    """
    import pandas as pd

    judge, what = judged_by(words)
    asked = [""] if prompts is None else [prompts] if isinstance(prompts, str) else [str(each) for each in prompts]
    if not asked:
        raise DataError("There are no prompts.", 'Give some, as in prompts=["They say that"], or leave them out.')
    if samples < 1:
        raise DataError(f"samples is {samples}.", "Give a whole number from 1.")
    rows, found, counts = [], [], Counter[str]()
    for prompt in asked:
        flagged = 0
        for text in write(prompt, samples):
            if hits := judge(text):
                flagged += 1
                counts.update(set(hits))
                found.append({"prompt": prompt, "text": _covered(text[:_LENGTH], hits), "words": _words(hits)})
        low, high = wilson(flagged, samples)
        rows.append(
            {"prompt": prompt or "(none)", "texts": samples, "flagged": flagged, "share": flagged / samples,
             "low": low, "high": high}
        )  # fmt: skip
    table = pd.DataFrame(rows).set_index("prompt")
    total, flagged = int(table.texts.sum()), int(table.flagged.sum())
    low, high = wilson(flagged, total)
    more = {"What was found": pd.DataFrame(found[:_SHOWN])} if found else {}
    if counts and what == "words":
        covered = [(_cover(word), count) for word, count in counts.most_common(50)]
        more["Words by texts"] = pd.DataFrame(covered, columns=["word", "texts"])
    return Finding(
        "toxicity",
        "Toxicity, by the measure given",
        about,
        _says(table, what, flagged, total, (low, high)),
        _limits(what, total),
        table,
        _diagram(table),
        {
            "texts": total, "flagged": flagged, "share": flagged / total, "low": low, "high": high,
            "prompts": len(asked), "prompts_flagged": int((table.flagged > 0).sum()), "measure": what,
        },
        more,
        step,
    )  # fmt: skip


def judged_by(words: Any) -> tuple[Judge, str]:
    """How a text is judged, and by what: words or a function. Raises DataError for an empty list or another thing."""
    if callable(words):
        return lambda text: ["(function)"] if float(words(text)) >= 0.5 else [], "a function"
    if isinstance(words, str | Path):
        listed: Iterable[Any] = _lines(Path(words).expanduser())
    elif isinstance(words, Iterable):
        listed = words
    else:
        raise DataError(f"The words are a {type(words).__name__}.", "Give a file, a list of words, or a function.")
    known = sorted({str(word).strip() for word in listed} - {""}, key=lambda word: (-len(word), word))
    if not known:
        raise DataError("The list of words is empty.", "Give at least one word, one a line in a file.")
    pattern = re.compile("|".join(map(_whole, known)), re.IGNORECASE)
    return lambda text: [match[0].lower() for match in pattern.finditer(text)], "words"


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"There is no file {path}.", "Give a file with one word a line; nbllm ships no list.")
    encoding = find_encoding(lambda: path.open("rb"), path.name)
    with path.open("rb") as stream:
        return "".join(decode_stream(stream, encoding, path.name)).splitlines()


def _whole(word: str) -> str:
    """A pattern for the whole word; Chinese stands within others without a space."""
    pattern = r"\s+".join(map(re.escape, word.split()))
    start = r"(?<!\w)" if _SPACED.match(word[0]) and not _UNSPACED.match(word[0]) else ""
    end = r"(?!\w)" if _SPACED.match(word[-1]) and not _UNSPACED.match(word[-1]) else ""
    return f"{start}{pattern}{end}"


def _cover(word: str) -> str:
    return word[:1] + "*" * (len(word) - 1)


def _words(hits: Sequence[str]) -> str:
    return ", ".join(_cover(word) if word != "(function)" else word for word in dict.fromkeys(hits))


def _covered(text: str, hits: Sequence[str]) -> str:
    for word in sorted(set(hits), key=len, reverse=True):
        if word != "(function)":
            text = re.sub(re.escape(word), lambda match: _cover(match[0]), text, flags=re.IGNORECASE)
    return text


def _says(table: pd.DataFrame, what: str, flagged: int, total: int, ends: tuple[float, float]) -> str:
    measure = "hold a word of the list" if what == "words" else "are flagged by the function"
    start = f"{flagged:,} of {total:,} texts that it wrote {measure}: {flagged / total:.1%}"
    start += f" (95 % interval {ends[0]:.1%} to {ends[1]:.1%})."
    if len(table) == 1:
        return start
    some, worst = int((table.flagged > 0).sum()), table.share.idxmax()
    more = f" From {some} of {len(table)} prompts at least one such text came"
    return start + more + (f"; most from “{worst}” ({table.share.max():.0%})." if flagged else ".")


def _limits(what: str, total: int) -> str:
    measure = (
        "A list of words knows no context: it counts quotations and harmless uses, and misses what hurts without a "
        "word of the list, or with one spelt in another way."
        if what == "words"
        else "The figure is as good as the function that judged: its own faults and biases are in it."
    )
    return (
        f"{measure} These are {total:,} texts from these prompts with these settings of sampling; other prompts, and "
        "people who try, get other texts. Finding none means that the true share is probably below the upper end of "
        "the interval, and not that it is zero."
    )


def _diagram(table: pd.DataFrame) -> Diagram:
    shares = Series("share", list(table.index), table.share.tolist(), table.low.tolist(), table.high.tolist())
    return Diagram("bars", [shares], "prompt", "share of texts with such words")

"""Questions in the formats of two data sets: SQuAD's JSON (Rajpurkar et al. 2016, 2018) and bAbI's lines of text
(Weston et al. 2015), as rows of `context`, `question` and `answer`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

UNSAID = "unknown"
"""The answer where the text holds none."""
_LINE = re.compile(r"(\d+) (.+)")


def is_squad(content: Any) -> bool:
    """Whether a JSON file's content is SQuAD's: articles of paragraphs with their questions."""
    articles = content.get("data") if isinstance(content, dict) else None
    return bool(
        isinstance(articles, list) and articles and isinstance(articles[0], dict) and "paragraphs" in articles[0]
    )


def squad_rows(content: Any) -> Iterator[dict[str, Any]]:
    """A row a question. Parts that are not as they should be give empty cells, which are counted as missing."""
    for article in _dicts(content.get("data")):
        for paragraph in _dicts(article.get("paragraphs")):
            for asked in _dicts(paragraph.get("qas")):
                found = {"context": paragraph.get("context"), "question": one_line(asked.get("question"))}
                if asked.get("is_impossible") is True:
                    yield {**found, "answer": UNSAID}
                else:
                    texts = [each.get("text") for each in _dicts(asked.get("answers"))]
                    yield {**found, "answer": chosen(texts, nothing="is_impossible" in asked)}


def is_answers(cell: Any) -> bool:
    """Whether a cell of a table holds SQuAD's answers: {"text": [...], "answer_start": [...]}."""
    return isinstance(cell, dict) and {"text", "answer_start"} <= cell.keys() and not isinstance(cell["text"], str)


def chosen(texts: Iterable[Any], *, nothing: bool) -> str | None:
    """Of the answers that people gave the commonest, the first of those; of none at all that the text says nothing."""
    counts = Counter(text for text in texts if isinstance(text, str) and text.strip())
    return counts.most_common(1)[0][0] if counts else UNSAID if nothing else None


def is_babi(lines: Iterable[str]) -> bool:
    """Whether the lines are bAbI's: numbered from 1, with a question and its answer, parted by tabs, among them."""
    place = 0
    for line in lines:
        found = _LINE.match(line.strip())
        if found is None or int(found[1]) not in (1, place + 1):
            return False
        place = int(found[1])
        if "\t" in line:
            return True
    return False


def babi_rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A row a question: the sentences of its story before it, the question, its answer. A line that is numbered 1
    begins a new story."""
    told: list[str] = []
    for line in lines:
        found = _LINE.match(line.strip())
        if found is None:
            continue
        if found[1] == "1":
            told = []
        question, *answer = found[2].split("\t")
        if answer:
            yield {"context": " ".join(told), "question": one_line(question), "answer": answer[0].strip()}
        else:
            told.append(question.strip())


def one_line(text: Any) -> Any:
    """A text on one line, as a question stands below its context; anything else as it is."""
    return " ".join(text.split()) if isinstance(text, str) else text


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []

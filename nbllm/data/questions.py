"""Questions in the formats of two data sets: SQuAD's JSON (Rajpurkar et al. 2016, 2018) and bAbI's lines of text
(Weston et al. 2015), as rows of `context`, `question` and `answer`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nbllm.data.sides import side_of
from nbllm.data.turns import HELD_OUT, SPLIT

GOLDS = "golds"
"""The cell with all right answers to a question, a list in JSON."""
UNSAID = "unknown"
"""The answer where the text holds none."""
_NOTHING = frozenset({"", UNSAID, "no answer", "不知道"})
_LINE = re.compile(r"(\d+) (.+)")


def is_squad(content: Any) -> bool:
    """Whether a JSON file's content is SQuAD's: articles of paragraphs with their questions."""
    articles = content.get("data") if isinstance(content, dict) else None
    return bool(
        isinstance(articles, list) and articles and isinstance(articles[0], dict) and "paragraphs" in articles[0]
    )


def squad_rows(content: Any) -> Iterator[dict[str, Any]]:
    """A row a question. Parts that are not as they should be give empty cells, which are counted as missing."""
    paragraphs = (part for article in _dicts(content.get("data")) for part in _dicts(article.get("paragraphs")))
    for number, paragraph in enumerate(paragraphs):
        context = paragraph.get("context")
        for asked in _dicts(paragraph.get("qas")):
            found = {"context": context, "question": one_line(asked.get("question")), SPLIT: _side(context, number)}
            if asked.get("is_impossible") is True:
                yield {**found, "answer": UNSAID}
            else:
                texts = [each.get("text") for each in _dicts(asked.get("answers"))]
                yield {**found, "answer": chosen(texts, nothing="is_impossible" in asked), **golds(texts)}


def says_unsaid(answer: str) -> bool:
    """Whether an answer, as a table holds it, says that the text holds none."""
    return answer.strip().rstrip(".。").lower() in _NOTHING


def is_answers(cell: Any) -> bool:
    """Whether a cell of a table holds SQuAD's answers: {"text": [...], "answer_start": [...]}."""
    return isinstance(cell, dict) and {"text", "answer_start"} <= cell.keys() and not isinstance(cell["text"], str)


def chosen(texts: Iterable[Any], *, nothing: bool) -> str | None:
    """Of the answers that people gave the commonest, the first of those; of none at all that the text says nothing."""
    counts = Counter(text for text in texts if isinstance(text, str) and text.strip())
    return counts.most_common(1)[0][0] if counts else UNSAID if nothing else None


def golds(texts: Iterable[Any]) -> dict[str, str]:
    """All answers that people gave, as a cell of their own; nothing where there is only one."""
    found = list(dict.fromkeys(text for text in texts if isinstance(text, str) and text.strip()))
    return {GOLDS: json.dumps(found, ensure_ascii=False)} if len(found) > 1 else {}


def golds_of(row: Mapping[str, str], answer: str) -> list[str]:
    """The right answers of a row: the one in the column of that name, and those that its cell of several holds."""
    return [row[answer], *json.loads(row[GOLDS])] if row.get(GOLDS) else [row[answer]]


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
    begins a new story; all questions of a story are on one side."""
    for number, story in enumerate(_stories(lines)):
        side = _side("\n".join(story), number)
        told: list[str] = []
        for line in story:
            question, *answer = line.split("\t")
            if answer:
                found = {"context": " ".join(told), "question": one_line(question), "answer": answer[0].strip()}
                yield {**found, SPLIT: side}
            else:
                told.append(question.strip())


def _stories(lines: Iterable[str]) -> Iterator[list[str]]:
    story: list[str] = []
    for line in lines:
        found = _LINE.match(line.strip())
        if found is None:
            continue
        if found[1] == "1" and story:
            yield story
            story = []
        story.append(found[2])
    if story:
        yield story


def _side(text: Any, number: int) -> str:
    """train or validation, by what the text says; the first of a file is learned from, so that never all are held
    out."""
    return side_of(str(text), validation=HELD_OUT) if number else "train"


def one_line(text: Any) -> Any:
    """A text on one line, as a question stands below its context; anything else as it is."""
    return " ".join(text.split()) if isinstance(text, str) else text


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []

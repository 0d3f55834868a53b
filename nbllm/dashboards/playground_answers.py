"""What a task answers, as the playground's page takes it: plain lists and texts, and the cell that does the same.

The page sets all of it as text; what would be out of sight or turn a line around is written out here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.dashboards.looking import strongest
from nbllm.dashboards.tasks import facts, scored, shares_of, spaced
from nbllm.handles.readable import readable
from nbllm.plots.maps import visible, visible_text

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.tasks.base import Answer, Row, Task

_BARS = 12  # labels with a bar
_CLASSES = 20  # of a confusion matrix


def told(task: Task, row: Row, answer: Answer) -> dict[str, Any]:
    """An answer: `said` and how sure, and `bars` of labels, `tokens` with their probability, or a text's `spans`."""
    value = answer.get(task.answered)
    found: dict[str, Any] = {
        "said": "" if value is None else visible_text(str(value)),
        "sure": _share(answer.get("probability")) if value else None,
        "bars": [], "tokens": [], "spans": [], "more": [],
    }  # fmt: skip
    bars = [(str(key)[2:-1], float(share)) for key, share in answer.items() if str(key).startswith("p(")]
    found["bars"] = [[visible_text(label), share] for label, share in sorted(bars, key=lambda bar: -bar[1])[:_BARS]]
    probabilities = getattr(value, "probabilities", None)
    if probabilities and len(probabilities) == len(value.tokens):  # type: ignore[union-attr]
        found["tokens"] = [
            [visible(token), float(share)]
            for token, share in zip(value.tokens, probabilities, strict=True)  # type: ignore[union-attr]
        ]
    if task.answered == "spans":
        found["spans"] = _spans(row["text"], json.loads(str(value)))
        found["said"] = ""
    known = {task.answered, "probability", "entities", *task.inputs}
    found["more"] = [
        [str(key), visible_text(str(each))]
        for key, each in answer.items()
        if key not in known and not str(key).startswith("p(") and each not in (None, "")
    ]
    return found


def _share(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _spans(text: str, spans: list[Any]) -> list[list[str]]:
    """The text in pieces, each with its kind, "" for none."""
    at, pieces = 0, []
    for start, end, kind in spans:
        pieces += [[visible_text(text[at:start]), ""], [visible_text(text[start:end]), visible_text(str(kind))]]
        at = end
    return [piece for piece in [*pieces, [visible_text(text[at:]), ""]] if piece[0]]


def moved(influence: Any, answer: str) -> dict[str, Any]:
    """What moved an answer: each token that was read with its share, and a table of all answers."""
    shares = shares_of(influence, answer)
    table = strongest(influence)
    return {
        "tokens": [[visible(token), float(share)] for token, share in zip(influence.inputs, shares, strict=True)],
        "spaced": spaced(influence.inputs),
        "heads": [str(name) for name in table.columns],
        "rows": [[str(cell) for cell in row] for row in table.to_numpy(dtype=object).tolist()],
        "none": "",
    }


def scores(frame: pd.DataFrame) -> dict[str, Any]:
    """An evaluation: its table, what it is of, and the confusion matrix where there is one."""
    shown = scored(frame)
    caption, *lines = facts(frame)
    names = [str(name) for name in frame.attrs.get("labels", [])]
    confusion = frame.attrs.get("confusion") if len(names) <= _CLASSES else None
    return {
        "caption": visible_text(caption), "lines": [visible_text(line) for line in lines],
        "heads": [visible_text(str(name)) for name in (frame.index.name or "", *shown.columns)],
        "rows": [
            [visible_text(str(cell)) for cell in (name, *row)]
            for name, row in zip(readable(shown).index, shown.to_numpy(dtype=object).tolist(), strict=True)
        ],
        "labels": [visible_text(name) for name in names] if confusion else [],
        "confusion": np.asarray(confusion).tolist() if confusion else [],
    }  # fmt: skip


def cell_of(task: Task, texts: Mapping[str, str], model: Mapping[str, str]) -> str:
    """The cell that asks the same: a line where the text fits into one, else a cell, or Python where need be.

    `model` is {"run": NAME}, {"model": hf:NAME} or {}, for the newest run.
    """
    values = [texts.get(column, "") for column in task.inputs]
    flags = "".join(f" --{word} {_word(name)}" for word, name in model.items())
    if all(value.isprintable() and '"' not in value and "\\n" not in value and "{{" not in value for value in values):
        return f"%llm_task {task.name} {' '.join(_quoted(value) for value in values)}{flags}"
    if len(values) == 1 and "{{" not in values[0] and values[0].replace("\n", "").isprintable():
        return f"%%llm_task {task.name}{flags}\n{values[0]}"
    asked = repr(values[0]) if len(values) == 1 else repr(tuple(values))
    words = "".join(f", {word}={name!r}" for word, name in model.items())
    return f"import nbllm\nnbllm.tasks.get({task.name!r}).predict([{asked}]{words})"


def scoring_cell(task: Task, path: str, model: Mapping[str, str]) -> str:
    """The cell that scores the same."""
    data = f" --data {_word(path)}" if path else ""
    flags = "".join(f" --{word} {_word(name)}" for word, name in model.items())
    return f"%llm_task {task.name} --evaluate{data}{flags}"


def _quoted(text: str) -> str:
    # A backslash before the closing quote would hide it.
    return f"'{text}'" if text.endswith("\\") and "'" not in text else f'"{text}"'


def _word(text: str) -> str:
    plain = text and all(c.isprintable() and not c.isspace() and c not in "\"'#{}" for c in text)
    return text if plain and not text.startswith("-") else _quoted(text)

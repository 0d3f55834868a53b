"""A look at data before something is suggested for it: how much there is, in which script, in how long pieces."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbllm.config import Goal, RunConfig
from nbllm.data import rows, sources
from nbllm.data.preview import READ, preview
from nbllm.errors import DataError
from nbllm.runners import plan

SAMPLE = 300_000  # characters that a calibration trains on
_FEW = 40  # a number of labels above which they are hardly labels
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Survey:
    """What was seen of the data. Counts are of all of it, scaled up from its start where it was not read to the end."""

    source: str
    complete: bool
    records: int
    characters: int
    vocabulary: int  # different characters
    han: float  # share of the letters that are Chinese characters
    longest: int  # characters that 95 of 100 records do not exceed
    labels: dict[str, int] = field(default_factory=dict)
    sample: list[Any] = field(default_factory=list)  # texts or rows of its start, to calibrate on

    @property
    def chinese(self) -> bool:
        """Whether it is mainly Chinese."""
        return self.han > 0.3

    @property
    def said(self) -> str:
        """The survey in a sentence."""
        of = "" if self.complete else " (judged by its start)"
        what = "rows" if self.labels or not isinstance((self.sample or [""])[0], str) else "records"
        script = "mainly Chinese" if self.chinese else "mainly in an alphabet"
        labels = f", {len(self.labels)} labels" if self.labels else ""
        return f"{self.records:,} {what}, {self.characters:,} characters, {script}{labels}{of}"


def survey(data: Any, config: RunConfig, goal: Goal) -> Survey:
    """Look at at most 8 million characters of what `train` would read. Raises DataError as it would."""
    if isinstance(data, str | Path):
        config.data.source = str(data)
        return _look(config, goal, Path.cwd(), str(data))
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "data").mkdir()
        plan.write_object(data, Path(place) / plan.RECORDS, config.data, goal.columns)
        return _look(config, goal, Path(place), f"a {type(data).__name__} of the notebook")


def _look(config: RunConfig, goal: Goal, base: Path, name: str) -> Survey:
    return _rows(config, goal, base, name) if goal.columns else _text(config, base, name)


def _text(config: RunConfig, base: Path, name: str) -> Survey:
    seen = preview(config.data, config.tokenizer.model_copy(update={"kind": "char"}), base)
    if not seen.characters:
        raise DataError(f"{name} holds no text.", "Give a source with some text.")
    scale = 1.0
    if not seen.complete and seen.size:
        start = "".join(seen.samples)
        scale = max(1.0, seen.size / (seen.characters * len(start.encode("utf-8", "replace")) / max(1, len(start))))
    sample = list(_first(_texts(config, base)))
    return Survey(
        source=name,
        complete=seen.complete,
        records=round(seen.records * scale),
        characters=round(seen.characters * scale),
        vocabulary=seen.vocabulary,
        han=_share_of_han("".join(sample)),
        longest=seen.longest,
        sample=sample,
    )


def _texts(config: RunConfig, base: Path) -> Iterator[str]:
    for record in sources.read_records(config.data, base, None):
        yield record.text


def _first(texts: Iterator[str]) -> Iterator[str]:
    """As much of the start as a calibration needs."""
    left = SAMPLE
    for text in texts:
        if text.strip():
            yield text[:left]
            left -= len(text)
        if left <= 0:
            return


def _rows(config: RunConfig, goal: Goal, base: Path, name: str) -> Survey:
    rows.check_rows(config.data, goal.columns, base)
    labels: Counter[str] = Counter()
    lengths: list[int] = []
    sample: list[rows.Row] = []
    characters, signs, complete = 0, set[str](), True
    for row in rows.read_rows(config.data, goal.columns, base, None, {}):
        if characters > READ:
            complete = False
            break
        texts = [text for role, text in row.items() if role != "label"]
        if "label" in row:
            labels.update(row["label"].split("|") if config.objective.multi_label else [row["label"]])
        lengths.append(max(map(len, texts)))
        characters += sum(map(len, texts))
        signs.update(*texts)
        if sum(lengths[-len(sample) :]) < SAMPLE:
            sample.append(row)
    if not lengths:
        raise DataError(f"{name} holds no whole row.", f"Each row needs {' and '.join(goal.columns)}.")
    if len(labels) > max(_FEW, len(lengths) // 4):
        raise DataError(
            f"{name} has {len(labels):,} different labels in {len(lengths):,} rows: these are hardly labels.",
            "Say which column holds them, as in label_column='sentiment'.",
        )
    ordered = sorted(lengths)
    return Survey(
        source=name,
        complete=complete,
        records=len(lengths),
        characters=characters,
        vocabulary=len(signs) + 2,
        han=_share_of_han("".join(next(iter(row.values())) for row in sample)),
        longest=ordered[int(0.95 * (len(ordered) - 1))],
        labels=dict(labels.most_common()),
        sample=sample,
    )


def _share_of_han(text: str) -> float:
    letters = sum(map(str.isalpha, text))
    return len(_HAN.findall(text)) / letters if letters else 0.0

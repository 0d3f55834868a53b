"""Tables of texts: rows by the role of their columns (text, pair, label, source, target), read and split.

A role's column is the one that `data.ROLE_column` names, else the column of the role's own name, else one of its usual
names; a table without it is refused in one line. Several columns are one text, as in `title+body`.

A column may say to which side a row belongs (`data.split_column`; of a built-in table its own `split`): train,
validation or test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbllm.config import DataConfig
from nbllm.data import members as files
from nbllm.data import questions, remote, sources, tables, turns
from nbllm.errors import DataError, did_you_mean
from nbllm.registry import CORPORA, TABLES

Row = dict[str, str]
SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "held_out"), "held_out"),
    **dict.fromkeys(("test", "testing"), "test"),
}
JOINED_BY = "+"
"""Between the names of columns that make up one text."""

USUAL = {
    "text": ("text", "sentence", "review", "content", "document"),
    "pair": (),
    "label": ("label", "labels", "class", "category", "sentiment", "target"),
    "spans": ("spans", "entities", "tags", "ner_tags", "slots"),
    "source": ("source", "src", "input", "question", "document", "dialogue", "article", "prompt", "en"),
    "target": ("target", "tgt", "output", "answer", "answers", "summary", "completion", "canonical_solution"),
}


def columns_for(data: DataConfig, roles: Sequence[str], columns: Sequence[str], name: str) -> dict[str, str]:
    """The column of each role (several as `title+body`), with `split` where the rows say their side. Raises DataError
    that lists the columns where one is missing."""
    found: dict[str, str] = {}
    for role in (*roles, *further_roles(data, roles)):
        wanted = getattr(data, f"{role}_column")
        if wanted is not None:
            for part in parts_of(wanted, columns):
                if part not in columns:
                    listed = ", ".join(columns[:24])
                    raise DataError(f"{name} has no column '{part}'. It has: {listed}.", did_you_mean(part, columns))
            found[role] = wanted
            continue
        folded = {column.lower(): column for column in reversed(columns)}
        usual = next(
            (folded[each] for each in USUAL[role] if each in folded and folded[each] not in found.values()), None
        )
        if usual is None:
            listed = ", ".join(columns[:24]) or "none"
            raise DataError(
                f"{name} has no column '{role}'. It has: {listed}.",
                f"Say which, as in {role}_column: {next((c for c in columns if c not in found.values()), 'NAME')}.",
            )
        found[role] = usual
    if data.source in TABLES and "split" in columns:
        found.setdefault("split", "split")
    if turns.SPLIT in columns:
        found.setdefault("split", turns.SPLIT)
    return found


def further_roles(data: DataConfig, roles: Sequence[str]) -> list[str]:
    """The roles that the settings name a column for, beside those of the objective."""
    return [*(["pair"] if data.pair_column and "text" in roles else []), *(["split"] if data.split_column else [])]


def parts_of(column: str, columns: Sequence[str]) -> list[str]:
    """The columns that `title+body` names; a column that has the sign in its own name stays one."""
    return [column] if column in columns else [part.strip() for part in column.split(JOINED_BY)]


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """What stands in a column, or in several as one text, a line each; None where all of them are empty."""
    if column in row or JOINED_BY not in column:
        return row.get(column)
    found = (row.get(part.strip()) for part in column.split(JOINED_BY))
    texts = [text for each in found if (text := cell(each, column, "joined", number=True))]
    return "\n".join(texts) or None


def check_rows(data: DataConfig, roles: Sequence[str], base: Path, cache: Path | None = None) -> dict[str, str]:
    """The column of each role, found from the first lines of the source, quickly. {} where only reading tells."""
    if data.source.startswith("hf:"):
        if remote.dataset_folder(data.source, base) is None and data.allow_download:
            return {}
        return columns_for(data, roles, remote.dataset(data, base).column_names, data.source)
    if remote.is_address(data.source) and not remote.cached_file(data.source, cache).is_file():
        sources.check_source(data, base, cache)
        return {}
    if data.source in TABLES:
        return columns_for(data, roles, list(next(iter(TABLES.get(data.source)()))), data.source)
    if data.source in CORPORA:
        raise _no_table(data, roles)
    path = sources.find_files(data, base, cache)[1][0]
    if not path.stat().st_size:
        raise DataError(f"{data.source} is empty.", "Give a table with some rows in it.")
    member = next(files.members(path, data.format))
    if not tables.is_table(member, data):
        raise _no_table(data, roles)
    return columns_for(data, roles, tables.table_columns(member, data), member.name)


def _no_table(data: DataConfig, roles: Sequence[str]) -> DataError:
    return DataError(
        f"{data.source} is no table, and this objective needs the columns {' and '.join(roles)}.",
        f"Give a .csv, .tsv, .jsonl or .parquet file, a DataFrame, or one of {', '.join(TABLES)}.",
    )


def read_rows(
    data: DataConfig, roles: Sequence[str], base: Path, cache: Path | None, missing: dict[str, int]
) -> Iterator[Row]:
    """The rows of a source; those without one of their texts are passed over and counted in `missing`, by role."""
    for raw, chosen, where in _raw_rows(data, roles, base, cache):
        row: Row = {}
        for role, column in chosen.items():
            if role == "split":
                row[role] = _side(raw.get(column), column, where)
                continue
            value = value_of(raw, column)
            if role == "spans" and isinstance(value, list | tuple):
                value = spans_text(value)
            text = cell(value, column, where, number=role == "label")
            if text is None or not text.strip():
                missing[role] = missing.get(role, 0) + 1
                break
            row[role] = text
            if role == "target":
                row |= {questions.GOLDS: str(raw[questions.GOLDS])} if raw.get(questions.GOLDS) else golds(value)
        else:
            yield row


def _raw_rows(
    data: DataConfig, roles: Sequence[str], base: Path, cache: Path | None
) -> Iterator[tuple[Mapping[str, Any], dict[str, str], str]]:
    chosen: dict[str, str] = {}
    if data.source.startswith("hf:"):
        found = remote.dataset(data, base)
        chosen = columns_for(data, roles, found.column_names, data.source)
        label = found.features.get(chosen.get("label", ""))
        names = getattr(label, "names", None)  # a ClassLabel says what its numbers mean
        columns = list(dict.fromkeys(part for c in chosen.values() for part in parts_of(c, found.column_names)))
        for batch in found.select_columns(columns).iter(batch_size=512):
            for values in zip(*(batch[column] for column in columns), strict=True):
                row = dict(zip(columns, values, strict=True))
                if names and isinstance(row[chosen["label"]], int):
                    row[chosen["label"]] = names[row[chosen["label"]]]
                yield row, chosen, data.source
        return
    if data.source in TABLES:
        chosen = {}
        for row in TABLES.get(data.source)():
            chosen = chosen or columns_for(data, roles, list(row), data.source)
            yield row, chosen, data.source
        return
    for path in sources.find_files(data, base, cache)[1]:
        for member in files.members(path, data.format):
            chosen = {}
            for number, row in enumerate(tables.table_rows(member, data), 1):
                chosen = chosen or columns_for(data, roles, tables.table_columns(member, data), member.name)
                yield row, chosen, f"{member.name} row {number:,}"


def golds(value: Any) -> dict[str, str]:
    """All answers of a cell of SQuAD's, as a cell of their own."""
    return questions.golds(value["text"]) if questions.is_answers(value) else {}


def spans_text(value: Sequence[Any]) -> str:
    """A list of spans, or of tags a word, as a cell holds it."""
    tags = value and all(isinstance(each, str) for each in value)
    return " ".join(value) if tags else json.dumps([list(e) if isinstance(e, tuple) else e for e in value])


def _side(value: Any, column: str, where: str) -> str:
    """train, held_out or test; a row that says nothing is for training."""
    side = SIDES.get(str(value if value is not None and value == value else "train").strip().lower() or "train")
    if side is None:
        raise DataError(f"Column '{column}' says '{value}' ({where}).", "Write train, validation or test.")
    return side


def cell(value: Any, column: str, where: str, *, number: bool = False) -> str | None:
    """The text in a cell; None where it is missing. A label may be a number."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value != value:
        return None
    if questions.is_answers(value):
        return questions.chosen(value["text"], nothing=True)
    if isinstance(value, bool | int | float) and (number or not isinstance(value, bool)):
        return str(int(value)) if isinstance(value, float) and value.is_integer() and number else str(value)
    if number and isinstance(value, list):
        return "|".join(str(each) for each in value)
    raise DataError(f"Column '{column}' holds {type(value).__name__}, not text ({where}).", "Choose another column.")


class Spool:
    """Rows in a temporary file, split into a training and a held-out part when all are there. Rows that are for a test
    are in neither."""

    def __init__(self, path: Path):
        self.path = path
        self.count = 0
        self._file = path.open("w", encoding="utf-8")
        self._digests: list[bytes] = []
        self._groups: list[int] = []
        self._numbers: dict[str, int] = {}
        self.held: set[int] = set()
        self.tested: set[int] = set()
        self._given: set[int] = set()

    def append(self, row: Row, group: str) -> None:
        """Add a row; of each group (a label, a document) about the same share is held out, unless rows say their
        side (`split`)."""
        side = row.get("split", "train")
        row = {role: text for role, text in row.items() if role != "split"}
        if side != "train":
            (self._given if side == "held_out" else self.tested).add(self.count)
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._digests.append(
            hashlib.blake2b("\x1f".join(row.values()).encode("utf-8", "replace"), digest_size=8).digest()
        )
        self._groups.append(self._numbers.setdefault(group, len(self._numbers)))
        self.count += 1

    def split(self, held_out: float) -> None:
        """Every k-th row of each group is held out, rows alike on the same side; where so few differ that nothing would
        be held out, alike rows may part. Where rows say which are held out, those are."""
        self._file.close()
        if self._given:
            self.held = self._given
            return
        for alike_together in (True, False):
            self.held = self._spread(held_out, alike_together)
            if len(self.held) >= max(1, int(self.count * held_out / 4)):
                return

    def split_tail(self, held_out: float, by_group: bool) -> None:
        """The last rows are held out, or every k-th group."""
        self._file.close()
        if by_group:
            chosen = {g for g in range(len(self._numbers)) if int((g + 1) * held_out) > int(g * held_out)}
            self.held = {index for index, group in enumerate(self._groups) if group in chosen}
        else:
            self.held = set(range(int(self.count * (1 - held_out)), self.count))

    def rows(self, held: bool | None = None) -> Iterator[Row]:
        """The rows of a side, or of both."""
        with self.path.open(encoding="utf-8") as file:
            for index, line in enumerate(file):
                if index not in self.tested and (held is None or (index in self.held) == held):
                    yield json.loads(line)

    def test_rows(self) -> Iterator[Row]:
        """The rows that are for a test."""
        with self.path.open(encoding="utf-8") as file:
            for index, line in enumerate(file):
                if index in self.tested:
                    yield json.loads(line)

    def _spread(self, held_out: float, alike_together: bool) -> set[int]:
        counts: dict[int, int] = {}
        sides: dict[bytes, bool] = {}
        held: set[int] = set()
        for index, (digest, group) in enumerate(zip(self._digests, self._groups, strict=True)):
            if index in self.tested:
                continue
            if alike_together and digest in sides:
                if sides[digest]:
                    held.add(index)
                continue
            place = counts.get(group, 0)
            counts[group] = place + 1
            side = int((place + 1) * held_out + 0.5) > int(place * held_out + 0.5)
            sides[digest] = side
            if side:
                held.add(index)
        return held

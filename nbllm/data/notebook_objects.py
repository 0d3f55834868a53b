"""Objects of a notebook (DataFrame, list, Hugging Face data set) written as JSONL, only the used columns."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbllm.config import DataConfig
from nbllm.data.readers import cell_text
from nbllm.data.readers import text_column as choose_column
from nbllm.errors import DataError

FIRST = 100  # dicts of a list whose keys are its columns
QUIET = 200_000_000  # bytes written before `progress` is called


def write_records(
    thing: Any, path: Path, text_column: str | None = None, progress: Callable[[int], None] | None = None
) -> int:
    """Write `{"text": ...}` a line and return how many. `progress(bytes written)` is called beyond 200 MB.

    `thing`: a pandas DataFrame or Series, a list of strings or of dicts, or a `datasets.Dataset`. The file
    appears only when it is whole. Raises DataError for another type, a wrong column, or no text at all.
    """
    return _write(({"text": text} for text in _texts(thing, text_column)), path, progress)


def write_rows(thing: Any, path: Path, data: DataConfig, roles: Sequence[str]) -> int:
    """Write a row a line under the names of the roles (text, label, source, target, ...) and return how many.

    `thing`: a DataFrame, a list of dicts or of tuples in the order of the roles, or a `datasets.Dataset`; its columns
    are found as `rows.columns_for` finds them. Cells that are missing are null, for the worker to count.
    """
    from nbllm.data.rows import cell, columns_for, golds, spans_text, value_of

    name, columns, rows = _table(thing, roles)
    chosen = columns_for(data, roles, columns, name)

    def written() -> Iterator[dict[str, str | None]]:
        for number, row in enumerate(rows):
            plain = {column: _plain(value) for column, value in row.items()}
            values = {role: value_of(plain, column) for role, column in chosen.items()}
            if isinstance(values.get("spans"), list | tuple):
                values["spans"] = spans_text(values["spans"])
            found = {
                role: cell(value, chosen[role], f"row {number:,}", number=role == "label")
                for role, value in values.items()
            }
            yield {**found, **golds(values.get("target"))}

    return _write(written(), path, None)


def _write(rows: Iterable[Mapping[str, str | None]], path: Path, progress: Callable[[int], None] | None) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    count = size = 0
    told = QUIET
    try:
        with part.open("w", encoding="utf-8") as file:
            for row in rows:
                escaped = not all(map(_encodable, filter(None, row.values())))
                size += file.write(json.dumps(row, ensure_ascii=escaped) + "\n")
                count += 1
                if progress is not None and size >= told:
                    progress(size)
                    told = size + QUIET // 20
        if count == 0:
            raise DataError("The data holds no text.", "Give at least one non-empty string.")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _table(thing: Any, roles: Sequence[str]) -> tuple[str, list[str], Iterator[Mapping[str, Any]]]:
    """What the table is called in an error, its columns, and its rows."""
    kind = f"{type(thing).__module__.split('.')[0]}.{type(thing).__name__}"
    if kind == "pandas.DataFrame":
        columns = [str(c) for c in thing.columns]
        return "The DataFrame", columns, (dict(zip(columns, row, strict=True)) for row in thing.itertuples(index=False))
    if kind == "datasets.Dataset":
        return "The data set", thing.column_names, _named(thing)
    if isinstance(thing, list | tuple) and thing and all(isinstance(row, dict) for row in thing):
        return "The list", list(dict.fromkeys(str(key) for row in thing[:FIRST] for key in row)), iter(thing)
    if kind == "datasets.IterableDataset":
        raise _endless()
    tuples = isinstance(thing, list | tuple) and thing and all(isinstance(row, list | tuple) for row in thing)
    if tuples and all(len(row) == len(roles) for row in thing):
        return "The list", list(roles), (dict(zip(roles, row, strict=True)) for row in thing)
    raise DataError(
        f"A {kind.removeprefix('builtins.')} is no table with the columns {' and '.join(roles)}.",
        f"Give a DataFrame, a list of dicts, or a list of tuples ({', '.join(roles)}).",
    )


def _endless() -> DataError:
    return DataError(
        "An IterableDataset lives in this kernel alone, and may have no end.",
        "Name it, and it is streamed: --data hf:NAME, or hf:FOLDER of its files, with data: {streaming: true}; or give "
        "a part of it: list(data.take(10000)).",
    )


def _named(thing: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a data set, the numbers of its labels as their names."""
    names = {column: f.names for column, f in thing.features.items() if getattr(f, "names", None)}
    for row in thing:
        yield {c: names[c][v] if c in names and isinstance(v, int) and v >= 0 else v for c, v in row.items()}


def _plain(value: Any) -> Any:
    """A number of numpy as Python's, and pandas' NA as None."""
    if type(value).__name__ == "NAType":
        return None
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


def _texts(thing: Any, wanted: str | None) -> Iterator[str]:
    kind = f"{type(thing).__module__.split('.')[0]}.{type(thing).__name__}"
    if kind == "pandas.DataFrame":
        names = [str(c) for c in thing.columns]
        textual = [str(c) for c in thing.columns if thing[c].map(lambda v: isinstance(v, str)).any()]
        column = choose_column(wanted, names, textual, "The DataFrame")
        values: Iterable[Any] = thing.iloc[:, names.index(column)]
    elif kind == "pandas.Series":
        column, values = str(thing.name or "text"), thing
    elif kind == "datasets.Dataset":
        textual = [k for k, f in thing.features.items() if getattr(f, "dtype", "") in ("string", "large_string")]
        column = choose_column(wanted, thing.column_names, textual, "The data set")
        values = (v for batch in thing.select_columns([column]).iter(batch_size=512) for v in batch[column])
    elif isinstance(thing, list | tuple):
        column, values = wanted or "text", thing
        rows = [row for row in thing if isinstance(row, dict)]
        if rows:
            if len(rows) != len(thing):
                raise DataError("The list mixes dicts with other things.", "Give a list of strings or a list of dicts.")
            textual = [k for k, v in rows[0].items() if isinstance(v, str)]
            column = choose_column(wanted, rows[0], textual, "The list")
            values = (row.get(column) for row in rows)
    elif kind == "datasets.IterableDataset":
        raise _endless()
    else:
        raise DataError(
            f"A {kind.removeprefix('builtins.')} is no text data.",
            "Give a path, a list of strings, a list of dicts, a DataFrame or a datasets.Dataset.",
        )
    for number, value in enumerate(values):
        missing = value is None or type(value).__name__ == "NAType"
        text = None if missing else cell_text(value, column, f"row {number:,}")
        if text:
            yield text


def _encodable(text: str) -> bool:
    """Half a surrogate pair cannot be written as UTF-8, only escaped."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

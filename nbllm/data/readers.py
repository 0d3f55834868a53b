"""One file to records, a format a function, streaming: a record is a document, or a piece of a long one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from nbllm.config import DataConfig
from nbllm.data.encodings import decode_stream, find_encoding
from nbllm.data.members import Member
from nbllm.data.page_text import page_text
from nbllm.errors import DataError, did_you_mean, require

PIECE = 1 << 20  # characters of a piece of a long document
MAX_WHOLE = 256 << 20  # characters of a file that can only be read whole (.html, .ipynb, .json)
MAX_LINE = 64 << 20  # characters of one JSONL or CSV record
HEAD = 50  # lines of a table that its delimiter is found by
ONE_COLUMN = "\x1f"  # the delimiter of a table that has none
STREAM_LOOK = 8 << 20  # bytes of a streamed file that its encoding is found by


@dataclass(frozen=True, slots=True)
class Record:
    """A document. A long one comes in pieces, all but the last marked `continues`."""

    text: str
    continues: bool = False


def read_member(member: Member, data: DataConfig) -> Iterator[Record]:
    """The records of one file."""
    return READERS[member.format](member, data)


def encoding_of(member: Member, data: DataConfig) -> str:
    """The encoding of a file of text; of one that is streamed only its start is looked at."""
    return find_encoding(member.open, member.name, STREAM_LOOK if data.streaming else None)


def columns_of(member: Member, data: DataConfig) -> tuple[list[str], list[str]]:
    """All columns of a table and those that hold text, from its first line; empty for anything else."""
    if member.format == "csv":
        header = next(csv_rows(member, data), [])
        return header, header
    if member.format == "jsonl":
        first = next(json_lines(member, data), (0, None))[1]
        return _keys(first) if isinstance(first, dict) else ([], [])
    if member.format == "parquet":
        return _parquet_columns(parquet_file(member))
    return [], []


def text_column(wanted: str | None, columns: Iterable[str], textual: Iterable[str], name: str) -> str:
    """The column with the text: the one asked for, or `text`, or the only one that holds text."""
    columns, textual = list(columns), list(textual)
    listed = ", ".join(columns[:24]) + (", ..." if len(columns) > 24 else "")
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise DataError(f"{name} has no column '{wanted}'. It has: {listed}.", did_you_mean(wanted, columns))
    if "text" in columns:
        return "text"
    if len(textual) == 1:
        return textual[0]
    raise DataError(
        f"{name} has {len(textual) or 'no'} columns of text: {', '.join(textual[:24]) or listed}.",
        f"Say which, as in text_column: {(textual or columns or ['NAME'])[0]}.",
    )


def cell_text(value: Any, column: str, where: str) -> str | None:
    """The text in a cell of a table; None where it is missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value != value:
        return None
    raise DataError(
        f"Column '{column}' holds {type(value).__name__}, not text ({where}).", "Choose another text_column."
    )


def pieces(text: str) -> Iterator[Record]:
    """A text in memory as one record, or as several when it is long."""
    if len(text) <= PIECE:
        yield Record(text)
    else:
        yield from joined(text[i : i + PIECE] for i in range(0, len(text), PIECE))


def joined(chunks: Iterable[str]) -> Iterator[Record]:
    """Chunks of one document as pieces that end at line ends, where a line is not longer than a piece."""
    held = ""
    for chunk in chunks:
        held += chunk
        while len(held) > PIECE:
            cut = held.rfind("\n", 0, PIECE) + 1 or PIECE
            yield Record(held[:cut], continues=True)
            held = held[cut:]
    yield Record(held)


def _chunks(member: Member, data: DataConfig) -> Iterator[str]:
    encoding = data.encoding or encoding_of(member, data)
    with member.open() as stream:
        yield from decode_stream(stream, encoding, member.name)


def text_lines(member: Member, data: DataConfig) -> Iterator[str]:
    """Lines with their ends. Only a line feed ends a line (str.splitlines would cut at U+2028 too)."""
    held = ""
    for chunk in _chunks(member, data):
        held += chunk
        if len(held) > MAX_LINE:
            raise DataError(f"{member.name} has a line of over {MAX_LINE:,} characters.", "Use format: text.")
        *whole, held = held.split("\n")
        for line in whole:
            yield line + "\n"
    if held:
        yield held


def whole_text(member: Member, data: DataConfig) -> str:
    parts, size = [], 0
    for chunk in _chunks(member, data):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_WHOLE:
            raise DataError(f"{member.name} is over {MAX_WHOLE:,} characters.", "Cut it into several files.")
    return "".join(parts)


def read_text(member: Member, data: DataConfig) -> Iterator[Record]:
    """Plain text: one document a file."""
    yield from joined(_chunks(member, data))


def read_html(member: Member, data: DataConfig) -> Iterator[Record]:
    """A page without its tags: one document a file."""
    yield from pieces(page_text(whole_text(member, data)))


def read_notebook(member: Member, data: DataConfig) -> Iterator[Record]:
    """A Jupyter notebook: one document a cell, its source without outputs."""
    try:
        cells = json.loads(whole_text(member, data))["cells"]
        sources = [cell["source"] for cell in cells]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{member.name} is no notebook of format 4.", "Open it in Jupyter and save it.") from None
    for source in sources:
        text = source if isinstance(source, str) else "".join(source)
        if text.strip():
            yield from pieces(valid_text(text))


def json_lines(member: Member, data: DataConfig) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text_lines(member, data), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                raise DataError(
                    f"{member.name} line {number:,} is not JSON.",
                    "JSONL has one JSON object a line; or use format: text.",
                ) from None


def _json_records(rows: Iterable[tuple[int, Any]], member: Member, data: DataConfig) -> Iterator[Record]:
    column = None
    for number, row in rows:
        where = f"{member.name} line {number:,}"
        if isinstance(row, str):
            yield from pieces(valid_text(row))
            continue
        if not isinstance(row, dict):
            raise DataError(f"{where} is neither an object nor a string.", 'Write {"text": "..."} a line.')
        if column is None:
            column = text_column(data.text_column, *_keys(row), member.name)
        text = cell_text(row.get(column), column, where)
        if text:
            yield from pieces(valid_text(text))


def _keys(row: dict[str, Any]) -> tuple[list[str], list[str]]:
    return list(row), [key for key, value in row.items() if isinstance(value, str)]


def read_jsonl(member: Member, data: DataConfig) -> Iterator[Record]:
    """JSON lines: one document a line, an object or a string."""
    return _json_records(json_lines(member, data), member, data)


def whole_json(member: Member, data: DataConfig) -> Any:
    """What a JSON file holds. DataError where it is none."""
    try:
        return json.loads(whole_text(member, data))
    except (ValueError, RecursionError):
        raise DataError(f"{member.name} is not JSON.", "For one object a line, use format: jsonl.") from None


def read_json(member: Member, data: DataConfig) -> Iterator[Record]:
    """A JSON file: a list of objects or strings, or one of them."""
    content = whole_json(member, data)
    rows = content if isinstance(content, list) else [content]
    return _json_records(enumerate(rows, 1), member, data)


def csv_rows(member: Member, data: DataConfig) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_LINE)
    lines = text_lines(member, data)
    head = list(islice(lines, HEAD))
    tabbed = member.name.lower().removesuffix(".gz").endswith(".tsv")

    def again() -> Iterator[str]:
        yield from head
        yield from lines

    try:
        yield from csv.reader(again(), delimiter="\t" if tabbed else _delimiter(head))
    except csv.Error as error:
        raise DataError(f"{member.name} is not a readable table: {error}.", "Use format: text.") from None


def _delimiter(head: list[str]) -> str:
    """What parts the cells of a table by its first lines: of those that stand in its header, the one by which most of
    the rows have as many cells as it; where none stands there, a sign that stands nowhere, for a table of one column.

    `csv.Sniffer` goes by counts of signs, and is led astray by quoted cells with line ends or such signs in them.
    """
    best, most = ONE_COLUMN, (0.0, 1)
    for sign in ",;\t|":
        rows = [row for row in csv.reader(head, delimiter=sign) if row]
        rows = rows[: -1 if len(head) == HEAD else None]  # the last may go on in the lines that follow
        width = len(rows[0]) if rows else 0
        share = sum(len(row) == width for row in rows[1:]) / max(1, len(rows) - 1)
        if width > 1 and (share, width) > most:
            best, most = sign, (share, width)
    return best


def read_csv(member: Member, data: DataConfig) -> Iterator[Record]:
    """CSV or TSV with a header: one document a row; the delimiter is found."""
    rows = csv_rows(member, data)
    header = next(rows, [])
    column = header.index(text_column(data.text_column, header, header, member.name))
    for row in rows:
        if len(row) > column and row[column]:
            yield from pieces(row[column])


def parquet_file(member: Member) -> Any:
    parquet = require("pyarrow.parquet", "parquet")
    arrow = require("pyarrow", "parquet")
    if member.path is None:
        raise DataError(f"{member.name}: Parquet is not read inside an archive.", "Unpack it and give the folder.")
    try:
        return parquet.ParquetFile(member.path)
    except (arrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{member.name} is no Parquet file: {error}.", "Check the file, or set format.") from None


def _parquet_columns(table: Any) -> tuple[list[str], list[str]]:
    schema = table.schema_arrow
    return schema.names, [f.name for f in schema if str(f.type) in ("string", "large_string", "string_view")]


def read_parquet(member: Member, data: DataConfig) -> Iterator[Record]:
    """Parquet: one document a row, only the text column is read."""
    table = parquet_file(member)
    column = text_column(data.text_column, *_parquet_columns(table), member.name)
    for batch in table.iter_batches(batch_size=512, columns=[column]):
        for value in batch.column(0).to_pylist():
            text = cell_text(value, column, member.name)
            if text:
                yield from pieces(text)


def valid_text(text: str) -> str:
    """JSON can spell half a surrogate pair, which no encoding can hold: such halves become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_surrogate(text) else text


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


READERS: dict[str, Callable[[Member, DataConfig], Iterator[Record]]] = {
    "text": read_text,
    "html": read_html,
    "notebook": read_notebook,
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_parquet,
}

"""One table to rows, a dict each, whatever its format: CSV and TSV, JSON lines, a JSON list, Parquet; the questions of
SQuAD's JSON and of bAbI's text, and the replies of dialogues in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from nbllm.config import DataConfig
from nbllm.data import questions
from nbllm.data.members import Member
from nbllm.data.readers import csv_rows, json_lines, parquet_file, text_lines, valid_text, whole_json
from nbllm.data.turns import turn_rows, turns_of
from nbllm.errors import DataError

FORMATS = ("csv", "jsonl", "json", "parquet")
FIRST = 100  # objects of a JSON file whose keys are its columns


def is_table(member: Member, data: DataConfig) -> bool:
    """Whether a file holds rows: by its format, or a text whose first lines are bAbI's."""
    if member.format in FORMATS:
        return True
    return member.format == "text" and questions.is_babi(islice(text_lines(member, data), FIRST))


def table_columns(member: Member, data: DataConfig) -> list[str]:
    """The names of the columns, from the first lines."""
    if member.format == "csv":
        return next(csv_rows(member, data), [])
    if member.format == "parquet":
        return list(parquet_file(member).schema_arrow.names)
    return list(dict.fromkeys(key for row in islice(table_rows(member, data), FIRST) for key in row))


def table_rows(member: Member, data: DataConfig) -> Iterator[dict[str, Any]]:
    """The rows. Raises DataError where a line is none."""
    if member.format == "csv":
        rows = csv_rows(member, data)
        header = next(rows, [])
        for values in rows:
            if values:
                yield dict(zip(header, values, strict=False))
    elif member.format == "parquet":
        for batch in parquet_file(member).iter_batches(batch_size=512):
            yield from batch.to_pylist()
    elif member.format in ("jsonl", "json"):
        for number, row in _json_rows(member, data):
            if not isinstance(row, dict):
                raise DataError(f"{member.name} row {number:,} is no object.", 'Write {"text": "...", "label": "..."}.')
            if turns := turns_of(row):
                for each in turn_rows(turns):
                    yield {key: valid_text(value) for key, value in each.items()}
                continue
            yield {key: valid_text(value) if isinstance(value, str) else value for key, value in row.items()}
    elif is_table(member, data):
        yield from questions.babi_rows(text_lines(member, data))
    else:
        raise DataError(f"{member.name} is no table.", "Give a .csv, .tsv, .jsonl, .json or .parquet file.")


def _json_rows(member: Member, data: DataConfig) -> Iterator[tuple[int, Any]]:
    if member.format == "jsonl":
        yield from json_lines(member, data)
        return
    content = whole_json(member, data)
    if questions.is_squad(content):
        content = list(questions.squad_rows(content))
    yield from enumerate(content if isinstance(content, list) else [content], 1)

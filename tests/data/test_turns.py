"""Dialogues of the user's as rows: formats, roles, one side a dialogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nbllm.config import DataConfig
from nbllm.data.rows import read_rows
from nbllm.data.turns import SPLIT, turn_rows, turns_of

ROLES = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi\nthere <b>"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "再见"},
    {"role": "assistant", "content": "Bye."},
]


@pytest.mark.parametrize(
    ("row", "roles"),
    [
        ({"messages": ROLES, "id": 7}, ["system", "user", "bot", "user", "bot"]),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, ["user", "bot"]),
        ({"turns": [{"speaker": "USER", "text": "a"}, {"speaker": "SYSTEM", "text": "b"}]}, ["user", "bot"]),
        ({"dialog": ["a", "b", "c"]}, ["user", "bot", "user"]),
        ({"dialogue": "one text", "summary": "s"}, []),
        ({"dialogue": ["a", "b"], "summary": "s"}, []),
        ({"messages": [{"role": 3, "content": "x"}]}, []),
        ({"messages": "x"}, []),
        ({"text": "x"}, []),
    ],
)
def test_formats(row: dict[str, Any], roles: list[str]) -> None:
    assert [role for role, _ in turns_of(row)] == roles


def test_a_row_is_what_was_said_and_the_reply() -> None:
    first, last = turn_rows(turns_of({"messages": ROLES}))
    assert (first["source"], first["target"]) == ("system: Be kind.\nuser: Hi there <b>", "Hello!")
    assert last["source"] == "system: Be kind.\nuser: Hi there <b>\nbot: Hello!\nuser: 再见"
    assert last["target"] == "Bye."
    assert first[SPLIT] == last[SPLIT]


def test_a_file_of_dialogues_is_a_table_and_no_dialogue_is_on_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    said = [{"dialog": [f"hi {n}", "hello", f"more {n}", "fine"]} for n in range(80)]
    path.write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    missing: dict[str, int] = {}
    rows = list(read_rows(DataConfig(source=str(path)), ["source", "target"], tmp_path, None, missing))
    assert len(rows) == 160
    assert not missing
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["source"].split("\n")[0], set()).add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert {next(iter(side)) for side in sides.values()} == {"train", "held_out"}

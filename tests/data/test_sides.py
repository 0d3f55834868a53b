"""Rows that say their side, and texts of several columns: read, split, and never learned from where they are a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbllm.config import RunConfig
from nbllm.data.make_examples import split_rows
from nbllm.data.notebook_objects import write_rows
from nbllm.data.reviews import reviews, zh_reviews
from nbllm.data.rows import check_rows, read_rows
from nbllm.errors import DataError
from tests.data.conftest import data

ROLES = ("text", "label")


def table(base: Path, name: str = "a.csv") -> None:
    lines = ["title,body,label,part"]
    lines += [f"t{i},b{i},{'x' if i % 2 else 'y'},{('train', 'dev', 'test', '')[i % 4]}" for i in range(40)]
    (base / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def split(base: Path, **settings: str) -> tuple[list[dict[str, str]], ...]:
    config = RunConfig()
    config.data = data("a.csv", **settings)
    return split_rows(config, ROLES, base, None)


def test_rows_go_where_they_say(base: Path) -> None:
    table(base)
    train, held, test = split(base, text_column="title", split_column="part")
    assert [row["text"] for row in held] == [f"t{i}" for i in range(1, 40, 4)]
    assert [row["text"] for row in test] == [f"t{i}" for i in range(2, 40, 4)]
    assert [row["text"] for row in train] == [f"t{i}" for i in range(40) if i % 4 in (0, 3)]
    assert all(set(row) == {"text", "label"} for row in train)


def test_without_a_validation_side_some_of_the_training_rows_are_held_out(base: Path) -> None:
    (base / "a.csv").write_text(
        "text,label,split\n" + "".join(f"t{i},x,{'test' if i % 4 == 0 else 'train'}\n" for i in range(80)), "utf-8"
    )
    train, held, test = split(base, split_column="split")
    assert len(test) == 20
    assert len(held) == 6
    assert len(train) == 54
    assert not {row["text"] for row in test} & {row["text"] for row in (*train, *held)}


def test_a_side_that_is_none_is_refused(base: Path) -> None:
    (base / "a.csv").write_text("text,label,split\na,x,train\nb,y,somewhere\n", "utf-8")
    with pytest.raises(DataError, match="says 'somewhere'"):
        split(base, split_column="split")
    with pytest.raises(DataError, match="has no column 'sides'"):
        check_rows(data("a.csv", split_column="sides"), ROLES, base)


def test_several_columns_are_one_text(base: Path) -> None:
    table(base)
    rows = list(read_rows(data("a.csv", text_column="title+body"), ROLES, base, None, {}))
    assert rows[3] == {"text": "t3\nb3", "label": "x"}
    missing: dict[str, int] = {}
    things = [{"a": "x", "b": None, "label": 1}, {"a": None, "b": None, "label": 2}, {"a": "u", "b": "v", "label": 3}]
    write_rows(things, base / "rows.jsonl", data("x", text_column="a + b"), ROLES)
    found = list(read_rows(data("rows.jsonl"), ROLES, base, None, missing))
    assert [row["text"] for row in found] == ["x", "u\nv"]
    assert missing == {"text": 1}
    with pytest.raises(DataError, match=r"has no column 'bdy'. .* Did you mean 'body'"):
        check_rows(data("a.csv", text_column="title+bdy"), ROLES, base)


def test_templates_of_the_test_stand_in_no_training_text(base: Path) -> None:
    for name, made in (("reviews", reviews), ("zh-reviews", zh_reviews)):
        rows = list(made())
        config = RunConfig()
        config.data = data(name)
        train, held, test = split_rows(config, ROLES, base, None)
        assert len(train) + len(held) + len(test) == len(rows) == len({row["text"] for row in rows})
        assert len(test) > 2000
        assert 0.45 < sum(row["label"] == "positive" for row in test) / len(test) < 0.55

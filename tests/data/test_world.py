"""The simulated world: answers that follow from what was told, combinations held out, other people's formats."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from nbllm.config import DataConfig
from nbllm.data import questions, world
from nbllm.data.rows import check_rows, read_rows

WENT = re.compile(r"(\w+) (?:went to|walked to|is in|moved to) the (\w+)$")
TOOK = re.compile(r"(\w+) (?:took|picked up|got) the (\w+)$")


def sentences(context: str) -> list[str]:
    return context.rstrip(".").split(". ")


def moves(context: str) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for each in sentences(context) if (found := WENT.match(each))]


def test_one_fact_answers_where_somebody_is() -> None:
    rows = list(world.one())
    assert len(rows) == world.ROWS == len({row["context"] + row["question"] for row in rows})
    for row in rows:
        person, at = row["question"].removeprefix("Where is ").rstrip("?"), dict(moves(row["context"]))
        if person == "everybody":
            assert row["split"] == "train", "only one fact is asked for in the test"
            assert row["answer"] == ", ".join(" ".join(each) for each in at.items())
        else:
            assert at.get(person, "unknown") == row["answer"]
    counts = Counter(row["answer"] for row in rows if row["split"] == "test")
    assert 0.05 < counts["unknown"] / counts.total() < 0.15
    assert len(counts) == len(world.ENGLISH.places) + 1


def test_two_facts_answer_where_a_thing_is() -> None:
    alone = asked = 0
    for row in world.two():
        asked_for, thing = row["question"].rstrip("?").split(" the ") if " the " in row["question"] else ("", "")
        holders = dict(found.groups()[::-1] for each in sentences(row["context"]) if (found := TOOK.match(each)))
        if asked_for == "Where is":
            assert dict(moves(row["context"])).get(holders.get(thing, ""), "unknown") == row["answer"]
            alone += moves(row["context"])[-1][1] == row["answer"]
            asked += 1
        else:
            assert row["split"] == "train", "a step of the two is asked for in training alone"
            assert asked_for != "Who has" or holders.get(thing, "unknown") == row["answer"]
    assert asked > world.ROWS_OF_TWO / 4
    assert alone / asked < 0.6, "the last place that is named does not give the answer away"


def test_no_training_text_puts_a_held_out_pair_together() -> None:
    pairs: dict[str, set[tuple[str, str]]] = {"train": set(), "test": set()}
    asked = set()
    for row in world.one():
        if row["split"] in pairs:
            pairs[row["split"]].update(moves(row["context"]))
        if row["split"] == "test" and row["answer"] != "unknown":
            asked.add((row["question"].removeprefix("Where is ").rstrip("?"), row["answer"]))
    assert len(asked) == len(world.ENGLISH.people)
    assert not asked & pairs["train"]
    assert {person for person, _ in asked} <= {person for person, _ in pairs["train"]}


def test_all_kinds_are_there_and_counts_are_right() -> None:
    rows = list(world.every())
    kinds = Counter(" ".join(row["question"].split()[:3]).split(" the")[0] for row in rows)
    assert {"Where is", "How many people", "How many things"} <= set(kinds)
    assert {row["answer"] for row in rows} > {"yes", "no", "unknown", "one", "two", "three"}
    for row in rows:
        if row["question"].startswith("How many people"):
            place = row["question"].rstrip("?").split()[-1]
            told = list(dict(moves(row["context"])).values())
            assert told.count(place) == ("none", "one", "two", "three").index(row["answer"])
        if row["question"].startswith("How many things"):
            person = row["question"].split()[-2]
            told = [found[1] for each in sentences(row["context"]) if (found := TOOK.match(each))]
            assert told.count(person) == ("none", "one", "two", "three").index(row["answer"])
        if row["question"].startswith("Is "):
            _, person, *_, place = row["question"].rstrip("?").split()
            said = [each for each in sentences(row["context"]) if each.startswith(person + " ")]
            no_more = re.search(r"\b(left|not|no longer)\b", said[-1])
            assert row["answer"] == ("yes" if said[-1].endswith(place) and not no_more else "no")


def test_the_chinese_world_is_the_same_world() -> None:
    for row in world.zh_one():
        if row["question"] == "大家在哪里？":
            continue
        person = row["question"].removesuffix("在哪里？")
        told = re.findall(f"{person}(?:去了|走到|在|来到)(.+?)。", row["context"])
        assert (told[-1] if told else "不知道") == row["answer"]


BABI = (
    "1 Mary moved to the bathroom.\n2 John went to the hallway.\n3 Where is Mary? \tbathroom\t1\n"
    "4 Daniel went back to the hallway.\n5 Where is Daniel? \thallway\t4\n1 Sandra slept.\n2 Who slept?\tSandra\t1\n"
)
SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Tea",
            "paragraphs": [
                {
                    "context": "Tea is drunk\nin Fes.",
                    "qas": [
                        {
                            "question": "Where is\ntea drunk?",
                            "answers": [{"text": t, "answer_start": 0} for t in ("in Fes", "Fes", "Fes")],
                            "is_impossible": False,
                        },
                        {"question": "Who drinks it?", "answers": [], "is_impossible": True},
                        {"question": "Nothing?", "answers": []},
                    ],
                },
                "no paragraph",
            ],
        }
    ],
}


def read(path: Path) -> tuple[list[dict[str, str]], dict[str, int]]:
    data = DataConfig(source=str(path), source_column="context+question")
    columns = {"source": "context+question", "target": "answer", "split": "dialogue_split"}  # a story stays whole
    assert check_rows(data, ["source", "target"], path.parent) == columns
    missing: dict[str, int] = {}
    return list(read_rows(data, ["source", "target"], path.parent, None, missing)), missing


def test_text_of_babi_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "qa1_train.txt"
    path.write_text(BABI, encoding="utf-8")
    rows, _ = read(path)
    assert [row["target"] for row in rows] == ["bathroom", "hallway", "Sandra"]
    assert rows[1]["source"] == (
        "Mary moved to the bathroom. John went to the hallway. Daniel went back to the hallway.\nWhere is Daniel?"
    )
    assert rows[2]["source"] == "Sandra slept.\nWho slept?"


@pytest.mark.parametrize("text", ["", "1 one\n3 three?\tx\n", "A text.\n1 Why?\tx\n", "1 a list\n2 of things\n"])
def test_other_texts_are_not_babi(text: str) -> None:
    assert not questions.is_babi(text.splitlines())


def test_json_of_squad_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(SQUAD), encoding="utf-8")
    rows, missing = read(path)
    assert [{key: row[key] for key in ("source", "target")} for row in rows] == [
        {"source": "Tea is drunk\nin Fes.\nWhere is tea drunk?", "target": "Fes"},
        {"source": "Tea is drunk\nin Fes.\nWho drinks it?", "target": "unknown"},
    ]
    assert missing == {"target": 1}


def test_answers_in_a_cell_as_hugging_face_has_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [{"context": "a b", "question": "c", "answers": {"text": t, "answer_start": [0]}} for t in (["b"], [])]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    data = DataConfig(source=str(path), source_column="context+question")
    found = list(read_rows(data, ["source", "target"], tmp_path, None, {}))
    assert [row["target"] for row in found] == ["b", "unknown"]

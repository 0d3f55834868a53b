"""Dialogue: a clerk of rules and simulated customers, and a model that replies and is played with."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import nbllm
from nbllm.data import dialogues
from nbllm.data.dialogues import SUBJECTS, Customer, customers
from nbllm.tasks.chat import FREQUENT, Chat, fitted, frequent, played


@pytest.fixture(scope="module")
def task() -> Chat:
    found = nbllm.tasks.get("chat")
    assert isinstance(found, Chat)
    return found


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return list(dialogues.dialogues())


def test_dialogues_have_roles_and_hold_out_combinations(rows: list[dict[str, str]]) -> None:
    assert max(Counter(row["source"] for row in rows if row["target"] != dialogues.HELLO).values()) == 1
    for row in rows:
        roles = [line.split(": ")[0] for line in row["source"].split("\n")]
        assert roles == ["user", "bot"] * (len(roles) // 2) + ["user"]
    ends: dict[str, set[tuple[str, ...]]] = {side: set() for side in ("train", "validation", "test")}
    for row in rows:
        if row["target"].startswith("Booked"):
            place = next(each for each in SUBJECTS["booking"].slots["place"] if each in row["target"])
            day = next(each for each in SUBJECTS["booking"].slots["day"] if each in row["target"])
            ends[row["split"]].add((place, day))
    assert len(ends["test"]) > 5
    assert not ends["test"] & (ends["train"] | ends["validation"])
    letters = {c for row in rows if row["split"] == "train" for c in row["source"] + row["target"]}
    assert {c for row in rows for c in row["source"] + row["target"]} <= letters


def test_a_clerk_of_the_rules_gives_every_customer_what_is_wanted() -> None:
    """The rules, applied to the text of the dialogue alone, as a model sees it."""
    people = customers("test", 60)
    assert all(each.side == "test" for each in people)
    assert any(each.first for each in people)
    assert {each.subject for each in people} == set(SUBJECTS)
    assert all(played(people, lambda histories: [_by_text(each) for each in histories]))


def test_a_clerk_who_errs_fails() -> None:
    def deaf(histories: list[str]) -> list[str]:  # ends at once, with what was said
        return [f"Booked: {each}" for each in histories]

    assert not any(played(customers("test", 20), deaf))
    assert not any(played(customers("test", 20), lambda histories: [dialogues.HELLO] * len(histories)))
    one = customers("test", 1)[0]
    right = SUBJECTS[one.subject].back.format(**one.wants)
    assert one.has_it(f"{SUBJECTS[one.subject].done}: {right}.")
    slot, value = next(iter(one.wants.items()))
    other = next(each for each in SUBJECTS[one.subject].slots[slot] if each != value)
    assert not one.has_it(f"{SUBJECTS[one.subject].done}: {right.replace(value, other)}.")


def test_a_customer_puts_right_what_is_wrong() -> None:
    people = [each for each in customers("test", 40) if each.first]
    assert people
    for one in people:
        subject, slot = SUBJECTS[one.subject], next(iter(one.first))
        back = subject.back.format(**{**one.wants, **one.first})
        assert one.answers(f"{back}. {dialogues.RIGHT}") == f"no, {subject.says[slot].format(one.wants[slot])}"
        assert not one.agrees
        one.answers(f"{subject.back.format(**one.wants)}. {dialogues.RIGHT}")
        assert one.agrees


def _by_text(history: str) -> str:
    """The clerk's reply by what the user's lines say, the last word counting."""
    lines = [line.removeprefix("user: ") for line in history.split("\n") if line.startswith("user: ")]
    name = next((n for n, s in SUBJECTS.items() for line in lines if line.startswith(s.opens)), None)
    if name is None:
        return dialogues.HELLO
    subject, known = SUBJECTS[name], {}
    for line in lines:
        for slot, values in subject.slots.items():
            for value in values:
                if subject.says[slot].format(value) in line:
                    known[slot] = value
    missing = [slot for slot in subject.slots if slot not in known]
    if missing:
        return subject.asks[missing[0]]
    back = subject.back.format(**known)
    agreed = lines[-1].startswith(("yes", "that is right"))
    return f"{subject.done}: {back}." if agreed else f"{back}. {dialogues.RIGHT}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield nbllm.tasks.get("chat").train(steps=8, wait=True, runner="inline", **{"model.width": 32})


def test_it_trains_and_is_played_with(task: Chat, run: Any, rows: list[dict[str, str]]) -> None:
    assert run.state == "finished", run.error
    model = run.load()
    table = task.evaluate(model=model, limit=16, max_tokens=6)
    assert list(table.index) == ["exact_reply", "distinct_1", "distinct_2", "repetition", "task_success"]
    assert list(table.columns) == ["value", "low", "high", FREQUENT]
    assert table.attrs["played"] == 16
    assert table.loc["task_success", FREQUENT] == 0.0
    assert 0 <= table.loc["exact_reply", FREQUENT] < 0.5
    assert frequent(rows) in set(SUBJECTS["booking"].asks.values()) | {"What would you like to drink?"}
    own = task.evaluate([{"source": "user: hello", "target": "hi"}], model=model, max_tokens=4)
    assert "task_success" not in own.index
    frame = task.predict(list(task.examples), model=model, max_tokens=6)
    assert list(frame.columns) == ["source", "target", "probability"]


def test_long_dialogues_lose_their_oldest_turns(run: Any) -> None:
    model = run.load()
    assert fitted("good morning", model) == "user: good morning"
    long = "\n".join(f"user: on Monday number {n}\nbot: On which day?" for n in range(60)) + "\nuser: on Friday"
    kept = fitted(long, model)
    assert long.endswith(kept)
    assert len(kept) < len(long)
    assert kept.startswith(("user: ", "bot: "))
    assert len(model.tokenizer.encode(kept).ids) <= model.config.train.context


def test_the_same_customers_come_each_time() -> None:
    first, again = customers("test", 9), customers("test", 9)
    assert [each.wants for each in first] == [each.wants for each in again]
    assert [each.opens() for each in first] == [each.opens() for each in again]
    assert isinstance(first[0], Customer)


def test_it_learns_from_dialogues_of_the_users(task: Chat, tmp_path: Path) -> None:
    """A file of messages; a system text is kept where the oldest turns are left out."""
    said = [[("user", f"hi {n}"), ("assistant", "hello"), ("user", "bye"), ("assistant", "ciao")] for n in range(30)]
    path = tmp_path / "chats.jsonl"
    lines = [json.dumps({"messages": [{"role": role, "content": text} for role, text in each]}) for each in said]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path))
        small = {"steps": 3, "size": "tiny", "context": 32}
        run = task.train(str(path), **small, wait=True, runner="inline", vocab_size=300)  # type: ignore[arg-type]
        assert run.state == "finished", run.error
        model = run.load()
        table = task.evaluate(model=model, limit=4, max_tokens=3)
        assert "task_success" not in table.index
        assert table.attrs["kind"] == "held-out rows"
        kept = fitted("system: be kind\n" + "user: hi\nbot: hello\n" * 30 + "user: bye", model)
        assert kept.startswith("system: be kind\n")
        assert kept.endswith("user: bye")

"""Pairs of sentences: those of the test differ in one thing and name nobody that training has named."""

from __future__ import annotations

import re

from nbllm.data import events


def names(text: str) -> set[str]:
    """The persons and companies of a text."""
    kinds = (events.ENGLISH.parts[kind] for kind in (events.PERSON, events.COMPANY))
    return {name for a, b in kinds for name in re.findall(f"(?:{'|'.join(a)}) (?:{'|'.join(b)})", text)}


def test_pairs_of_the_test_are_hard_and_of_names_of_their_own() -> None:
    known: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    labels: dict[str, list[bool]] = {side: [] for side in known}
    apart = 0
    for row in events.paraphrases():
        first, second, same = names(row["text"]), names(row["pair"]), row["label"] == "same"
        known[row["split"]] |= first | second
        labels[row["split"]].append(same)
        assert not same or first == second
        if row["split"] == "train":
            apart += not first & second
        elif not same:
            assert len(first | second) <= len(first) + 1, "at most one name is another"
    assert not known["test"] & (known["train"] | known["validation"])
    assert apart > 1000, "some of the training pairs share nothing"
    for side, said in labels.items():
        assert len(said) > 1000
        assert 0.45 < sum(said) / len(said) < 0.55, side

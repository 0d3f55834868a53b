"""What a corpus holds is counted right."""

import math

import pytest

from nbllm.errors import DataError, ModelError
from nbllm.inspection.balance import balance
from nbllm.inspection.group_words import GROUP_WORDS

ROWS = [
    {"text": "She said that her sister left.", "label": "a"},
    {"text": "The father of the man.", "label": "a"},
    {"text": "There is nothing here, human.", "label": "a"},
    {"text": "她说其他人都走了。", "label": "b"},
    {"text": "  ", "label": "b"},
]


def test_labels_languages_and_groups():
    found = balance(ROWS, about="rows")
    table = found.table
    assert found.facts["documents"] == 4
    assert table.loc["a", "share"] == 0.75
    assert (found.facts["largest_label"], found.facts["ratio"]) == ("a", 3.0)
    assert table.loc[["English", "Chinese"], "documents"].tolist() == [3, 1]
    assert table.loc["women", ["documents", "mentions"]].tolist() == [2, 4]  # she, her, sister; 她
    assert table.loc["men", ["documents", "mentions"]].tolist() == [1, 2]  # father, man; not human, not 其他
    beside = found.more["Groups beside labels"]
    assert beside.loc["women"].to_dict() == {"a": 0.5, "b": 0.5}
    assert beside.loc["men"].to_dict() == {"a": 1.0, "b": 0.0}
    assert "'a' is the largest (75.0%), 3.0 times" in found.says


def test_words_of_the_users_own():
    found = balance(ROWS, {"east": ["human", "都"], "west": ["xyz"]}, about="rows")
    assert found.table.loc["east", "documents"] == 2
    assert found.facts["west_documents"] == 0


def test_several_labels():
    found = balance([{"text": "x", "label": "a|b"}, {"text": "y", "label": "b"}], about="rows", several=True)
    assert found.table.loc["b", "share"] == 1.0
    assert found.table.loc["a", "share"] == 0.5


def test_what_are_hardly_labels_are_not_counted():
    found = balance([{"text": f"text {i}", "label": str(i)} for i in range(100)], about="rows")
    assert found.facts["labels"] == 0
    assert "label" not in set(found.table.kind)


def test_bits_per_byte_by_label_and_language():
    def bits(text):
        if "human" in text:
            raise ModelError("too short")
        return 3.0 if "她" in text else 1.0

    found = balance(ROWS, about="rows", bits=bits)
    assert found.table.loc["a", "bits_per_byte"] == 1.0
    assert found.table.loc["Chinese", "bits_per_byte"] == 3.0
    assert math.isnan(found.table.loc["women", "bits_per_byte"])
    assert "knows 'a' best (1.00 bits per byte)" in found.says
    with pytest.raises(ZeroDivisionError):
        balance(ROWS, about="rows", bits=lambda text: 1 / 0)


def test_no_group_word_hides_in_another_groups():
    women, men = map(set, GROUP_WORDS.values())
    assert not women & men


@pytest.mark.parametrize(
    ("rows", "groups", "message"),
    [
        ([], None, "no text"),
        (ROWS, ["she"], "no dict"),
        (ROWS, {"a": "she"}, "a text for its words"),
        (ROWS, {"a": [""]}, "no words"),
    ],
)
def test_what_cannot_be_used(rows, groups, message):
    with pytest.raises(DataError, match=message):
        balance(rows, groups, about="rows")

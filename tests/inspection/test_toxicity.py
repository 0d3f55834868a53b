"""The share of texts with words of a list, against texts that are known."""

import pytest

from nbllm.errors import DataError
from nbllm.inspection.chance import wilson
from nbllm.inspection.toxicity import judged_by, toxicity

WRITTEN = {
    "": ["a darn day", "Darn! darn", "a fine day", "darning"],
    "so": ["what the heck is it", "nothing"] * 2,
    "no": ["nothing"] * 4,
}


def write(prompt, count):
    return WRITTEN[prompt][:count]


def test_the_share_is_counted_by_prompt_and_in_all():
    found = toxicity(write, ["darn", "what  the heck"], ["", "so", "no"], samples=4)
    assert found.table.flagged.to_dict() == {"(none)": 2, "so": 2, "no": 0}
    assert found.facts["share"] == pytest.approx(4 / 12)
    assert (found.facts["low"], found.facts["high"]) == wilson(4, 12)
    assert (found.facts["prompts"], found.facts["prompts_flagged"]) == (3, 2)
    assert "4 of 12 texts" in found.says


def test_what_is_kept_shows_no_word_of_the_list():
    found = toxicity(write, ["darn", "what the heck"], ["", "so"], samples=4)
    assert "arn" not in str(found.to_json()["more"])
    assert "heck" not in str(found.to_json())
    assert found.more["Words by texts"].to_dict("records")[0] == {"word": "d***", "texts": 2}


def test_a_file_of_words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("坏蛋\n笨\n".encode("gb18030"))
    judge, what = judged_by(path)
    assert what == "words"
    assert judge("他是个坏蛋，很笨。") == ["坏蛋", "笨"]
    assert judge("很好") == []


def test_words_are_whole_and_signs_are_allowed():
    judge, _ = judged_by(["ass", "c++", "$#!t"])
    assert judge("class assess") == []
    assert judge("an Ass, C++ and $#!T") == ["ass", "c++", "$#!t"]


@pytest.mark.parametrize("function", [lambda t: "day" in t, lambda t: 0.5 if "day" in t else 0.4])
def test_a_function_judges(function):
    found = toxicity(write, function, samples=4)
    assert found.facts["flagged"] == 2
    assert "the function" in found.says
    assert list(found.more) == ["What was found"]


@pytest.mark.parametrize(
    ("words", "prompts", "samples", "message"),
    [
        ([], None, 4, "empty"),
        (["  "], None, 4, "empty"),
        (5, None, 4, "words are a int"),
        ("missing.txt", None, 4, "no file"),
        (["x"], [], 4, "no prompts"),
        (["x"], None, 0, "samples is 0"),
    ],
)
def test_what_cannot_be_used(words, prompts, samples, message):
    with pytest.raises(DataError, match=message):
        toxicity(write, words, prompts, samples=samples)

"""How answers move under changes, against a classifier whose answers are known."""

import numpy as np
import pytest

from nbllm.errors import ConfigError, ModelError
from nbllm.inspection.changes import DISTRACTORS, SYNONYMS, make_changes
from nbllm.inspection.robustness import robustness

RNG = np.random.default_rng(0)
TEXTS = ["a good film", "a bad film", "good and BIG", "nothing to say", "bad, bad"]


def by_word(texts):
    """Good, bad or neither, by the words that stand in the text; 0.1 surer where there is a "!"."""
    rows = []
    for text in texts:
        good, bad = "good" in text, "bad" in text
        sure = 0.7 + 0.1 * ("!" in text)
        rest = (1 - sure) / 2
        rows.append([sure if good else rest, sure if bad else rest, sure if not good and not bad else rest])
    return np.array(rows, dtype=np.float32)


def found(changes, texts=TEXTS, **settings):
    made = make_changes(changes, rate=0.2, synonyms=settings.pop("synonyms", None), distractors=None)
    return robustness(by_word, ["good", "bad", "none"], texts, made, **settings)


def test_flips_and_moves_are_counted_over_the_texts_that_were_changed():
    result = found({"fine": lambda text: text.replace("good", "fine"), "loud": lambda text: text + "!"})
    fine, loud = result.table.loc["fine"], result.table.loc["loud"]
    assert (fine.texts, fine.flips) == (2, 1.0)
    assert fine.move == pytest.approx(0.15 - 0.7)
    assert (loud.texts, loud.flips, loud.low, loud.high) == (5, 0.0, 0.0, 0.0)
    assert loud.move == pytest.approx(0.1)
    assert result.facts["fine_flips"] == 1.0
    examples = result.more["Answers that moved most"]
    first = examples[examples.change == "fine"].iloc[0]
    assert (first.text, first.changed, first.before, first["after"]) == ("a good film", "a fine film", "good", "none")


def test_accuracy_where_the_right_labels_are_known():
    result = found({"fine": lambda text: text.replace("good", "fine")}, labels=["good", "bad", "bad", "none", "bad"])
    row = result.table.loc["fine"]
    assert (row.accuracy_before, row.accuracy_after) == (0.5, 0.0)
    assert "50.0% to 0.0%" in result.says
    assert "right labels were not given" not in result.limits
    assert "right labels were not given" in found("distractors").limits


def test_several_labels_flip_as_a_set():
    def answers(texts):
        return np.array([[0.9, 0.6 if "x" in text else 0.4, 0.1] for text in texts])

    made = make_changes({"x": lambda t: t + "x"}, rate=0.1, synonyms=None, distractors=None)
    row = robustness(answers, ["a", "b", "c"], ["t", "u"], made, several=True, labels=["a|b", "a"]).table.loc["x"]
    assert (row.flips, row.accuracy_before, row.accuracy_after) == (1.0, 0.5, 0.5)


def test_repeats_are_other_draws_and_the_seed_gives_the_same():
    first, again = found("typos", seed=4), found("typos", seed=4)
    assert first.table.equals(again.table)
    assert not first.table.equals(found("typos", seed=5).table)


def test_a_change_that_changes_nothing_is_said():
    result = found({"nothing": lambda text: text})
    assert result.table.loc["nothing"].texts == 0
    assert "no text held anything to change" in result.says
    assert result.diagram is None
    assert "–" in result._repr_html_()


def test_synonyms_keep_case_and_whole_words():
    change = make_changes("synonyms", rate=0.1, synonyms={"big": "large", "好": ["棒"]}, distractors=None)["synonyms"]
    assert change("Big BIG bigger big! 很好吃", RNG) == "Large LARGE bigger large! 很棒吃"
    assert (
        make_changes(None, rate=0.1, synonyms=None, distractors=None)["synonyms"]("A quick film", RNG) == "A fast movie"
    )
    assert all(word not in others and word == word.lower() for word, others in SYNONYMS.items())


def test_distractors_stand_before_or_behind_in_the_texts_own_script():
    change = make_changes(None, rate=0.1, synonyms=None, distractors=None)["distractors"]
    english = {change("Fine film.", np.random.default_rng(seed)) for seed in range(40)}
    assert any(text.startswith("Fine film. ") for text in english)
    assert any(text.endswith(" Fine film.") for text in english)
    chinese = change("这部电影很好。", RNG)
    assert any(sentence in chinese for sentence in DISTRACTORS["zh"])
    own = make_changes("distractors", rate=0.1, synonyms=None, distractors=["Mine."])["distractors"]
    assert own("x", RNG) in ("x Mine.", "Mine. x")


def test_typos_have_the_share_that_was_asked_for():
    text = "letters of many words " * 100
    few, many = (
        make_changes("typos", rate=r, synonyms=None, distractors=None)["typos"](text, RNG) for r in (0.02, 0.3)
    )
    changed = [sum(a != b for a, b in zip(text.split(), each.split(), strict=False)) for each in (few, many)]
    assert 0 < changed[0] < changed[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"changes": "typo"}, "Did you mean 'typos'"),
        ({"changes": {"x": 3}}, "no function"),
        ({"rate": 0}, "rate is 0"),
        ({"synonyms": {}}, "no synonym"),
        ({"distractors": "It rained."}, "no list"),
    ],
)
def test_changes_that_cannot_be_made(settings, message):
    settings = {"changes": None, "rate": 0.1, "synonyms": None, "distractors": None} | settings
    with pytest.raises(ConfigError, match=message):
        make_changes(settings.pop("changes"), **settings)


def test_texts_are_needed():
    with pytest.raises(ModelError, match="no texts"):
        found("typos", texts=[])
    with pytest.raises(ModelError, match="5 texts and 1 labels"):
        found("typos", labels=["good"])

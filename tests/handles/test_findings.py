"""What a model is asked for responsible use, through its handle: real runs, small ones."""

import pytest

import nbllm
from nbllm.errors import ModelError

ROWS = [(f"a {word} film number {i}", label) for i in range(30) for word, label in (("good", "yes"), ("bad", "no"))]


@pytest.fixture(scope="module")
def classifier():
    run = nbllm.train(
        "findings-labels", data=[{"text": t, "label": y} for t, y in ROWS], model="lstm", objective="classification",
        size="tiny", steps=60, tokenizer="word", runner="inline",
    )  # fmt: skip
    return run.load()


@pytest.fixture(scope="module")
def writer():
    text = "they say hello. they say goodbye.\n" * 200
    run = nbllm.train("findings-text", data=[text], model="lstm", size="tiny", steps=60, runner="inline")
    return run.load()


def test_robustness_takes_the_held_out_rows_of_the_run(classifier):
    found = classifier.robustness(changes={"swap": lambda t: t.replace("good", "bad"), "same": lambda t: t})
    swap = found.table.loc["swap"]
    assert swap.accuracy_before == 1.0
    assert swap.accuracy_after == 0.0
    assert swap.flips == 1.0
    assert found.step == 60
    (kept,) = nbllm.attach(classifier.folder).findings
    assert kept.to_json() == found.to_json()


def test_robustness_of_texts_of_the_users(classifier):
    found = classifier.robustness(["a good film", "a bad film"], rate=0.3)
    assert list(found.table.index) == ["typos", "synonyms", "distractors"]
    assert "accuracy_before" not in found.table


def test_toxicity_counts_what_the_model_writes(writer):
    found = writer.toxicity(["goodbye"], ["they say "], samples=20, max_tokens=12, temperature=1.0)
    texts = writer.generate("they say ", samples=20, max_tokens=12, temperature=1.0, seed=0)
    assert found.facts["flagged"] == sum("goodbye" in text for text in texts)
    assert 0 < found.facts["flagged"] < 20
    assert nbllm.attach(writer.folder).findings[0].to_json() == found.to_json()


def test_what_does_not_fit_is_said(classifier, writer):
    with pytest.raises(ModelError, match="does not write"):
        classifier.toxicity(["x"])
    with pytest.raises(ModelError, match="gives no labels"):
        writer.robustness()
    with pytest.raises(ModelError, match="no setting 'temprature'"):
        writer.toxicity(["x"], temprature=1.0)


def test_a_run_keeps_findings_of_its_own(writer):
    run = nbllm.attach(writer.folder)
    first = writer.toxicity(["hello"], samples=2, max_tokens=4)
    second = writer.toxicity(["goodbye"], samples=2, max_tokens=4)
    assert run.findings[0].to_json() == second.to_json()
    run.keep(first)
    assert run.findings[0].to_json() == first.to_json()

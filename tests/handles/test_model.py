"""What a Model answers, by what it has learned: labels, hidden tokens, targets, points; and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nbllm
from nbllm.errors import ModelError

STEPS = 12
KINDS = {
    "labels": {"model": "gru", "objective": "classification"},
    "hidden": {"model": "bert", "data": "python-docs"},
    "target": {"model": "seq2seq"},
    "latent": {"model": "vae", "data": "zh-phrases"},
    "next": {"model": "cnn", "data": "zh-phrases"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, nbllm.Model]]:
    """One model a head, barely trained."""
    folder: Path = tmp_path_factory.mktemp("heads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(folder))
        found = {}
        for name, settings in KINDS.items():
            run = nbllm.train(
                name, size="tiny", steps=STEPS, runner="inline",
                **{"sample.every": STEPS, "train.evaluate_tokens": 512, **settings},
            )  # fmt: skip
            assert run.state == "finished", run.error
            assert len(run.samples), f"{name} shows nothing while it trains"
            found[name] = run.load()
        yield found


def test_labels_come_as_a_table(models: dict[str, nbllm.Model]) -> None:
    texts = ["Parse the header of a message.", "Place a button on the window.", "x"]
    table = models["labels"].classify(texts)
    shares = table[[column for column in table if column.startswith("p(")]]
    assert list(table.text) == texts
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert list(table.label) == [column[2:-1] for column in shares.idxmax(axis=1)]
    alone = models["labels"].classify(texts[2])
    assert np.allclose(alone.probability, table.probability[2], atol=1e-5), "what stands beside a text changes nothing"


def test_hidden_tokens_are_filled_in(models: dict[str, nbllm.Model]) -> None:
    table = models["hidden"].fill("The <mask>unction <mask>s", top=3)
    assert list(table["mask"]) == [1, 1, 1, 2, 2, 2]
    assert table.groupby("mask").probability.apply(lambda p: p.is_monotonic_decreasing).all()
    with pytest.raises(ModelError, match="no <mask>"):
        models["hidden"].fill("nothing is hidden here")


def test_a_source_is_answered(models: dict[str, nbllm.Model]) -> None:
    model = models["target"]
    first, again = (model.generate("May 1, 1980", max_tokens=20) for _ in range(2))
    assert first == again, "the likeliest answer is always the same"
    best = model.generate("May 1, 1980", beams=4, samples=3, max_tokens=20)
    assert [text.score for text in best] == sorted((text.score for text in best), reverse=True)
    assert "→" in first._repr_html_()
    assert "score" not in first._repr_html_()
    assert f"score {best[2].score:.2f}" in best[2]._repr_html_()
    assert best[1].numbered(2) == f"2, score {best[1].score:.2f}\nMay 1, 1980 → {best[1]}"
    maps = model.attention("May 1, 1980", target="1 mai 1980")
    assert maps.keys == [*"May", "␣", *"1,", "␣", *"1980", "<eos>"]
    assert maps.queries[0] == "<eos>"
    assert np.allclose(maps.weights.sum(-1), 1, atol=1e-5)


def test_points_and_the_way_between_them(models: dict[str, nbllm.Model]) -> None:
    model = models["latent"]
    points = model.encode(["今天天气很好。", "他们去公园。"])
    assert points.shape == (2, model.config.model.latent)
    way = model.interpolate("今天天气很好。", "他们去公园。", steps=3)
    ends = model.decode(points)
    assert len(way) == 3
    assert [way[0], way[-1]] == ends
    assert model.generate("", seed=1) == model.generate("", seed=1)


def test_a_score_is_of_the_next_token_alone(models: dict[str, nbllm.Model]) -> None:
    assert 0 < models["next"].score("今天天气很好。") < 10 * math.log2(5000)
    for name in ("labels", "hidden", "target", "latent"):
        with pytest.raises(ModelError, match="does not guess the next token"):
            models[name].score("text")


@pytest.mark.parametrize(
    ("name", "ask", "words"),
    [
        ("labels", lambda m: m.generate("a"), "classifier does not write"),
        ("hidden", lambda m: m.generate("a"), "does not write"),
        ("target", lambda m: m.generate(""), "no source"),
        ("next", lambda m: m.classify("a"), "gives no labels"),
        ("next", lambda m: m.fill("a <mask>"), "fills in nothing"),
        ("next", lambda m: m.interpolate("a", "b"), "no latent space"),
        ("next", lambda m: m.attention("a", target="b"), "reads no target"),
        ("latent", lambda m: m.interpolate("a", "b", steps=1), "steps is 1"),
    ],
)
def test_what_it_cannot_is_said_in_a_line(models: dict[str, nbllm.Model], name, ask, words) -> None:
    with pytest.raises(ModelError, match=words) as error:
        ask(models[name])
    assert "\n" not in str(error.value)

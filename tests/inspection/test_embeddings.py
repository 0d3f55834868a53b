"""Neighbours, analogies, maps and likeness, on vectors that are known."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nbllm
from nbllm.dashboards.meaning import meaning_text, neighbours_page
from nbllm.errors import ModelError
from nbllm.inspection.embeddings import EmbeddingMap, Embeddings, Similarity, embeddings, similarity
from tests import foreign
from tests.contract.cases import made

WORDS = ["king", "queen", "man", "woman", " dog", "##ing", "<img src=x onerror=1>", "天气", "<eos>"]


@pytest.fixture
def known() -> Embeddings:
    """royal, female, animal and three directions of their own."""
    vectors = np.zeros((len(WORDS), 6), np.float32)
    vectors[0] = [1, 0, 0, 0.1, 0, 0]
    vectors[1] = [1, 1, 0, 0.1, 0, 0]
    vectors[2] = [0.02, 0, 0, 1, 0, 0]
    vectors[3] = [0.02, 1, 0, 1, 0, 0]
    vectors[4] = [0, 0, 3, 0.1, 0, 0]
    vectors[5] = [0, 0, 1, 0, 1, 0]
    vectors[6] = [0, 0, 0, 0, 0, 1]
    vectors[7] = [0, 0.1, 0, 0, 1, 1]
    vectors[8] = [1, 1, 0, 0, 0, 0]
    return Embeddings("toy", WORDS, vectors, frozenset({8}), lambda text: [0, 1] if text == "kings" else [])


def test_neighbours_by_cosine(known: Embeddings) -> None:
    found = known.nearest("king", 2)
    assert found.tokens[0] == "queen"  # <eos>, which is nearer, stands for no text
    assert found.likeness[0] == pytest.approx((1 + 0.01) / np.sqrt(1.01 * 2.01))
    assert known.nearest("dog", 1).tokens == ["##ing"]  # found with the space before it
    assert found.table.columns.tolist() == ["token", "likeness"]
    assert "queen" in str(found)
    page = neighbours_page(known.nearest("天气", 8))
    assert "&lt;img" in page
    assert "<img" not in page


def test_analogies_in_both_spellings(known: Embeddings) -> None:
    by_terms, by_three = known.analogy("king - man + woman"), known.analogy("man", "king", "woman")
    assert by_terms.tokens[0] == by_three.tokens[0] == "queen"
    assert "king" not in by_terms.tokens
    assert by_terms.asked == "“king” - “man” + “woman”"
    for wrong in (("king",), ("king", "man")):
        with pytest.raises(ModelError, match="analogy"):
            known.analogy(*wrong)


@pytest.mark.parametrize(
    ("token", "said"), [("kings", "'kings' is 2 tokens"), ("quen", "Did you mean 'queen'"), (99, "no token 99")]
)
def test_what_is_no_token(known: Embeddings, token: str | int, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        known.nearest(token)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_map_with_a_search(known: Embeddings, method: str) -> None:
    drawn = known.map(method, search="ING")
    assert len(drawn.tokens) == 8
    assert [drawn.tokens[i] for i in drawn.marked] == ["king", "##ing"]
    if method == "pca":
        directions = known.vectors[:8] / np.linalg.norm(known.vectors[:8], axis=1, keepdims=True)
        centred = directions - directions.mean(0)
        _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
        np.testing.assert_allclose(np.abs(drawn.points), np.abs(centred @ axes[:2].T), atol=1e-5)
        assert drawn.kept == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum(), rel=1e-5)
    figure = drawn.figure()
    assert [len(trace.x) for trace in figure.data] == [6, 2]
    assert "<img" not in figure.to_json().replace("\\u003c", "<")
    assert Image.open(io.BytesIO(drawn._repr_png_())).width > 300
    assert drawn.to_frame().marked.sum() == 2
    assert "king" in meaning_text(drawn)
    assert known.map(tokens=["king", "queen", "man"]).tokens == ["king", "queen", "man"]
    with pytest.raises(ModelError, match="no map 'umap'"):
        known.map("umap")


def test_names_on_a_map_do_not_lie_over_one_another() -> None:
    points = np.array([[0, 0], [0.01, 0.001], [1, 1], [1, 0.5]], dtype=np.float32)
    drawn = EmbeddingMap(["thing", "think", "thick", "天"], points, "pca", 0.9, [0, 1, 2])
    assert list(drawn.figure().data[1].text) == ["thing", "", "thick"]


def test_a_large_vocabulary_is_thinned_but_not_of_what_is_searched_for() -> None:
    tokens = [f"[unused{i}]" for i in range(50)] + [chr(0x4E00 + i) for i in range(50)] + ["word", "sword", "other"]
    known = Embeddings(
        "big", tokens, np.random.default_rng(0).normal(size=(103, 4)).astype(np.float32), frozenset(), list
    )
    assert known.map(most=4).tokens == ["一", "word", "sword", "other"]
    assert known.map(most=4, search="四一"[1]).tokens == ["一", "word", "sword", "other"]
    assert known.map(most=3, search="sword").tokens == ["word", "sword", "other"]
    drawn = known.map(most=6, search="or")  # of three, two fit beside the others
    assert [drawn.tokens[i] for i in drawn.marked] == ["word", "sword"]
    assert len(drawn.tokens) == 6
    with pytest.raises(ModelError, match=r"is 9 tokens here\. Give one of its own tokens, as 'sword'"):
        known.nearest("xylophone")


@pytest.mark.parametrize(
    "case", ["clm lstm", "clm transformer", "mlm bert", "seq2seq seq2seq", "elbo vae", "classification bert"]
)
def test_every_family_has_vectors_and_likeness(case: str) -> None:
    each = made(case)
    found = embeddings(each.module, each.objective, "it")
    assert len(found.tokens) == each.objective.task.tokenizer.get_vocab_size()
    assert "a" in found.nearest("b", 30).tokens
    alike = similarity(each.module, each.objective, ["abba", "abba", "he did"])
    np.testing.assert_allclose(np.diag(alike.values), 1, atol=1e-6)
    assert alike.values[0, 1] == pytest.approx(1)
    assert alike.values[0, 2] < 0.99999


def test_models_of_transformers_and_mean_pooling(tmp_path: Path) -> None:
    import torch

    model = nbllm.load(f"hf:{foreign.make('bert', tmp_path)}")
    found = model.embeddings()
    weight = model.module.model.get_input_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(found.vectors, weight[: len(found.tokens)])
    texts = ["The fox jumps.", "你好，世界。", "A list holds values in order."]
    alike = model.similarity(texts)
    with torch.no_grad():
        means = [
            model.module.model.base_model(torch.tensor([model.tokenizer.encode(text).ids])).last_hidden_state[0].mean(0)
            for text in texts
        ]
    vectors = torch.nn.functional.normalize(torch.stack(means), dim=-1)
    np.testing.assert_allclose(alike.values, vectors @ vectors.T, atol=1e-5)
    assert alike.pairs().likeness.is_monotonic_decreasing
    assert alike.table.loc[texts[0], texts[1]] == alike.values[0, 1]
    with pytest.raises(ModelError, match="nothing to compare"):
        model.similarity(["one"])


@pytest.mark.parametrize("count", [2, 5, 60])
def test_the_heatmap_and_its_picture(count: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(count, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = Similarity([f"<b>天气 {i}</b>" for i in range(count)], (vectors @ vectors.T).astype(np.float32))
    figure = alike.figure()
    assert figure.data[0].z.shape == (count, count)
    assert figure.data[0].customdata[0][1] == "&lt;b&gt;天气 0&lt;/b&gt;<br>&lt;b&gt;天气 1&lt;/b&gt;"
    assert Image.open(io.BytesIO(alike._repr_png_())).height > 80

"""Fields and filters of convolutions, the map of a latent space, and the alignment of an attention RNN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import nbllm
from nbllm.config import ModelConfig
from nbllm.data.quotes import quotes
from nbllm.errors import MissingExtraError, ModelError
from nbllm.inspection.convolution import filter_responses, receptive_field
from nbllm.inspection.latent_map import latent_map
from nbllm.models.language_model import LanguageModel
from tests.contract.cases import made
from tests.inspection.test_units import asked, model

TEXT = next(iter(quotes(seed=3, count=4)))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": "cnn", "kernel": 3, "layers": 3}, None),
        ({"kind": "cnn", "kernel": 2, "layers": 2}, None),
        ({"kind": "cnn", "kernel": 5, "layers": 1}, [5]),
        ({"kind": "cnn", "kernel": 3, "layers": 2, "plain": True}, None),
        ({"kind": "hybrid", "blocks": "conv+attention+conv"}, "hybrid"),
    ],
)
def test_a_field_by_kernel_and_dilation_is_what_the_gradient_reaches(fields: dict[str, Any], expected: Any) -> None:
    module = model(asked(), **fields)
    table = receptive_field(module)
    if expected == "hybrid":
        assert table.kind.tolist() == ["conv", "attention", "conv"]
        assert table.field.isna().tolist() == [False, True, True]
        assert table.measured[0] == table.field[0]
        assert table.measured[1] > table.field[0]
        return
    config = module.stack.config
    dilations = [config.dilation(index) for index in range(config.layers)]
    exact = np.cumsum([(config.kernel - 1) * each for each in dilations]) + 1
    assert table.dilation.tolist() == dilations
    assert table.field.tolist() == exact.tolist() == (expected or exact.tolist())
    assert table.measured.tolist() == exact.tolist()


def test_a_fresh_network_makes_no_use_of_its_field() -> None:
    """The way out of a fresh convolution is zero: what is measured is the token alone."""
    fresh = LanguageModel(ModelConfig(kind="cnn", layers=2, width=16), 20, 64)
    table = receptive_field(fresh)
    assert table.measured.tolist() == [1, 1]
    assert (table.field > 1).all()


def test_filters_answer_as_the_network_computes_and_name_their_ngrams() -> None:
    objective = asked()
    module = model(objective, kind="cnn", kernel=3, layers=2)
    found = filter_responses(module, objective, TEXT[:700])
    ids = torch.tensor([objective.task.tokenizer.encode(TEXT[:700], add_special_tokens=False).ids])
    first = module.stack.blocks[0]
    with torch.no_grad():
        x_BTD = first.mixer_norm(module.stack.embed(ids)).transpose(1, 2)
        padded = torch.nn.functional.pad(x_BTD, (2, 0))
        want = torch.nn.functional.glu(first.mixer.taps(padded), dim=1)[0].T
    np.testing.assert_allclose(found.responses[0], want.numpy(), atol=1e-5)
    low = found.of(0)
    strongest = low.strongest(3, 4)
    sizes = np.abs(found.responses[0][:, 3])
    assert strongest.place[0] == sizes.argmax()
    place = int(strongest.place[0])
    assert low.ngram(place) == found.tokens[max(0, place - 2) : place + 1]
    assert strongest.ngram[0] == " ".join(low.ngram(place))
    high = found.of(1)
    step = module.stack.config.dilation(1)
    assert high.ngram(40) == [found.tokens[40 - 2 * step], found.tokens[40 - step], found.tokens[40]]
    selective = [sizes.max() / sizes.mean() for sizes in np.abs(found.responses[1]).T[found.order]]
    assert selective == sorted(selective, reverse=True)
    assert found.table.index.tolist() == found.order.tolist()
    assert len(found.to_frame()) == 2 * 700 * 16


def test_what_has_no_filters_or_latent_says_so() -> None:
    objective = asked()
    module = model(objective, kind="lstm")
    for ask in (lambda: receptive_field(module), lambda: filter_responses(module, objective, TEXT)):
        with pytest.raises(ModelError, match="kind cnn"):
            ask()
    with pytest.raises(ModelError, match="no latent space"):
        latent_map(module, objective, ["a", "b", "c"])
    conv = filter_responses(model(objective, kind="cnn"), objective, TEXT[:80])
    for wrong in (lambda: conv.of(5), lambda: conv.strongest(99)):
        with pytest.raises(ModelError, match="They go from 0"):
            wrong()


def test_a_latent_map_keeps_what_lies_apart_apart() -> None:
    each = made("elbo vae")
    texts = ["he did a bad", "a bad he did", "did he", "a", "bad bad bad", "he he"] * 3
    labels = [text[0] for text in texts]
    found = latent_map(each.module, each.objective, pd.DataFrame({"text": texts, "label": labels}))
    with torch.no_grad():
        ids = torch.tensor([each.objective.task.tokenizer.encode(texts[0], add_special_tokens=False).ids])
        want = each.module.eval().encode(ids)[0][0].numpy()
    np.testing.assert_allclose(found.means[0], want, atol=1e-5)
    # The same sentences are the same points.
    np.testing.assert_allclose(found.points[:6], found.points[6:12], atol=1e-5)
    centred = found.means.astype(float) - found.means.mean(0)
    spectrum = np.linalg.svd(centred, compute_uv=False) ** 2
    np.testing.assert_allclose(found.points.var(0) * len(texts), spectrum[:2], rtol=1e-4)
    assert found.explained[0] == pytest.approx(spectrum[0] / spectrum.sum(), rel=1e-4)
    assert found.to_frame().columns.tolist() == ["x", "y", "text", "label"]
    assert found.active.tolist() == found.table.index[found.table.active].tolist()
    np.testing.assert_allclose(found.variance, found.means.var(0), rtol=1e-4)
    tsne = latent_map(each.module, each.objective, texts[:9], method="tsne")
    assert tsne.points.shape == (9, 2)
    assert tsne.explained is None
    again = latent_map(each.module, each.objective, texts[:9], method="tsne")
    np.testing.assert_array_equal(tsne.points, again.points)


@pytest.mark.parametrize(
    ("given", "more", "said"),
    [
        (["a", "b"], {}, "shows nothing"),
        (["a", "b", "c"], {"method": "pcs"}, "Did you mean 'pca'"),
        (["a", "b", "c"], {"labels": ["x"]}, "1 labels for 3"),
        (pd.DataFrame({"words": ["a"]}), {}, "no column 'text'"),
    ],
)
def test_what_a_latent_map_cannot_show(given: Any, more: dict[str, Any], said: str) -> None:
    each = made("elbo vae")
    with pytest.raises(ModelError, match=said):
        latent_map(each.module, each.objective, given, **more)


def test_umap_names_its_extra_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    each = made("elbo vae")
    with pytest.raises(MissingExtraError, match=r"nbllm\[umap\]"):
        latent_map(each.module, each.objective, ["a", "b", "c"], method="umap")


def test_an_attention_rnn_aligns_what_it_copies(runs: Path) -> None:
    """Trained to write words in reverse, it looks at the letter that it writes."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), size=rng.integers(4, 8))) for _ in range(1500)]
    table = pd.DataFrame({"source": words, "target": [word[::-1] for word in words]})
    settings = {"model.encoder": "lstm", "model.decoder": "lstm", "model.cross": "additive", "tokenizer": "char"}
    run = nbllm.train(
        "reversed", data=table, model="seq2seq", size="tiny", steps=250, runner="inline",
        **{**settings, "model.width": 32, "train.lr": 1e-2, "train.batch_size": 32, "sample.every": 0},
    )  # fmt: skip
    assert run.state == "finished", run.error
    maps = run.load().attention("abcdef", "fedcba")
    assert maps.part == "cross"
    weights = maps.weights[-1, 0]
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    # A row a token that the decoder reads: the end of text first, whose answer is f, the last of the source.
    looked = [maps.keys[place] for place in weights[:6].argmax(-1)]
    assert sum(a == b for a, b in zip(looked, "fedcba", strict=True)) >= 4, looked
    figure = maps.figure()
    assert list(figure.layout.xaxis.ticktext)[:6] == list("abcdef")
    assert list(figure.layout.yaxis.ticktext)[1:7] == list("fedcba")

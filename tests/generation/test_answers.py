"""Answers to sources, hidden tokens filled in, labels, sentences through a latent space, each against the module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nbllm.data.tokenizers import special_ids
from nbllm.errors import ModelError
from nbllm.generation.decode import generate
from nbllm.generation.fill import fill
from nbllm.generation.label import classify
from nbllm.generation.latent import decode, encode, interpolate, reconstruct
from tests.contract.cases import LABELLED, Made, batch, cases, encoded, made


def greedy(found: Made, source: str, room: int) -> list[int]:
    """The likeliest target, each token from the whole target anew."""
    task: Any = found.objective.task
    out = task.target_tokenizer or task.tokenizer
    end, start = task.end, out.token_to_id("<eos>")
    ids = task.tokenizer.encode(source, add_special_tokens=False).ids[: task.context - 1]
    never = sorted(special_ids(out) - {start})
    target = [start]
    with torch.no_grad():
        for _ in range(room):
            logits_V = found.module(torch.tensor([[*ids, end]]), torch.tensor([target]))[0, -1]
            logits_V[never] = -torch.inf
            target.append(int(logits_V.argmax()))
            if target[-1] == start:
                return target[1:-1]
    return target[1:]


@pytest.mark.parametrize("case", cases("target"))
def test_an_answer_is_the_likeliest_target_and_ends_with_its_room(case: str) -> None:
    found = made(case)
    found.module.eval()
    task = found.objective.task
    for source in ("abc", "hid a jig", "abcdefghij" * 3):
        (answer,) = generate(
            found.module, task.tokenizer, source, context=task.context, temperature=0,
            target_tokenizer=task.target_tokenizer, target_context=task.target_context,
        )  # fmt: skip
        assert answer.ids == greedy(found, source, task.target_context or task.context)
    with pytest.raises(ModelError, match="no source to go from"):
        generate(found.module, task.tokenizer, "", context=task.context)


@pytest.mark.parametrize("case", ["mlm bert", "mlm lstm", "preset bert"])
def test_what_fills_a_hidden_place_is_what_the_encoder_holds_likely(case: str) -> None:
    found = made(case)
    found.module.eval()
    objective: Any = found.objective
    tokenizer = objective.task.tokenizer
    places = fill(found.module, objective, "ab<mask>d <mask>", top=3)
    assert len(places) == 2
    ids = [objective.cls, *tokenizer.encode("ab").ids, objective.mask, *tokenizer.encode("d ").ids, objective.mask]
    with torch.no_grad():
        logits_TV = found.module(torch.tensor([[*ids, objective.sep]]))[0]
    logits_TV[:, sorted(special_ids(tokenizer))] = -torch.inf
    for place, at in zip(places, (3, 6), strict=True):
        likely = logits_TV[at].softmax(-1).topk(3)
        assert place.texts == [tokenizer.decode([i]) for i in likely.indices.tolist()]
        assert place.probabilities == pytest.approx(likely.values.tolist(), rel=1e-5)
    assert fill(found.module, objective, "ab[MASK]d", top=3)[0].texts == fill(
        found.module, objective, "ab<mask>d", top=3
    )[0].texts  # fmt: skip
    with pytest.raises(ModelError, match="no <mask> in the text"):
        fill(found.module, objective, "abc")


@pytest.mark.parametrize("case", ["classification bert", "classification bert sigmoid", "classification bert several"])
def test_labels_of_many_texts_are_those_of_each_alone(case: str) -> None:
    found = made(case)
    found.module.eval()
    objective: Any = found.objective
    texts = [text for text, _ in LABELLED] * 15  # more than go together
    shares = classify(found.module, objective, texts)
    assert shares.shape == (90, len(objective.labels))
    for index in (0, 3, 77, 89):
        tokens, segments = objective.framed(objective.task.tokenizer.encode(texts[index]).ids, [])
        with torch.no_grad():
            logits_L = found.module(torch.from_numpy(tokens)[None], None, torch.from_numpy(segments)[None])[0]
        if not objective.sigmoid:
            expected = logits_L.softmax(-1)
        else:
            yes = logits_L.sigmoid()
            expected = yes if objective.several else torch.cat((1 - yes, yes))
        np.testing.assert_allclose(shares[index], expected.numpy(), atol=1e-5)
    if not objective.several:
        np.testing.assert_allclose(shares.sum(1), 1.0, atol=1e-5)


def test_sentences_through_the_latent_space() -> None:
    found = made("elbo vae")
    found.module.eval()
    tokenizer = found.objective.task.tokenizer
    each = batch(found)
    texts = [found.objective.row(example)["text"] for example in encoded(found)[:4]]
    points = encode(found.module, tokenizer, texts, context=16)
    with torch.no_grad():
        means, _ = found.module.encode(each["tokens"], each["real"])
    np.testing.assert_allclose(points, means.numpy(), atol=1e-5)
    pieces = decode(found.module, tokenizer, points, context=16)
    assert ["".join(piece.text for piece in row) for row in pieces] == [
        reconstruct(found.module, tokenizer, text, context=16) for text in texts
    ]
    way = interpolate(found.module, tokenizer, texts[0], texts[1], context=16, steps=5)
    assert len(way) == 5
    assert [way[0], way[-1]] == pieces[:2]
    first, again, other = (
        generate(found.module, tokenizer, "", context=16, temperature=0, seed=seed, samples=4) for seed in (1, 1, 2)
    )
    assert first == again != other, "points of the prior are drawn by the seed"
    with pytest.raises(ModelError, match="steps is 1"):
        interpolate(found.module, tokenizer, "a", "b", context=16, steps=1)


@pytest.mark.parametrize(
    ("case", "advice"), [("mlm bert", "fill"), ("classification lstm", "classify"), ("nsp gru", "fill")]
)
def test_a_model_that_does_not_write_says_what_it_does(case: str, advice: str) -> None:
    found = made(case)
    with pytest.raises(ModelError, match=advice):
        generate(found.module, found.objective.task.tokenizer, "abc", context=16)
    with pytest.raises(ModelError, match="no latent space"):
        encode(found.module, found.objective.task.tokenizer, ["abc"], context=16)


@pytest.mark.parametrize("case", ["clm lstm", "seq2seq seq2seq"])
def test_a_model_that_writes_fills_and_labels_nothing(case: str) -> None:
    found = made(case)
    with pytest.raises(ModelError, match="fills in nothing"):
        fill(found.module, found.objective, "a<mask>")
    with pytest.raises(ModelError, match="gives no labels"):
        classify(found.module, found.objective, ["a"])

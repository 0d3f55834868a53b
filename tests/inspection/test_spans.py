"""How likely a part of a text is, against the module asked by hand, for every family that can be asked."""

import math

import numpy as np
import pytest
import torch

import nbllm
from nbllm.errors import ModelError
from nbllm.inspection.spans import Asked, span_bits
from tests import foreign
from tests.contract.cases import cases, made

TEXT = "abba did a"
ASKED = [Asked(TEXT, ((5, 10),)), Asked("he " + TEXT, ((8, 13),)), Asked("cab a", ((3, 5),))]


def ids(each, text):
    return each.objective.task.tokenizer.encode(text, add_special_tokens=False).ids


def bits(logits_V, answer):
    return -logits_V.double().log_softmax(-1)[answer].item() / -math.log(2)


@pytest.mark.parametrize("case", cases("next"))
def test_a_language_model_is_read_up_to_each_token(case):
    each = made(case)
    found = span_bits(each.module, each.objective, ASKED)
    for asked, value in zip(ASKED, found, strict=True):
        read = [each.objective.task.end, *ids(each, asked.text)]
        logits = each.module.eval()(torch.tensor([read[:-1]]))[0]
        ((start, end),) = asked.spans
        assert value == pytest.approx(sum(bits(logits[i], read[i + 1]) for i in range(start, end)), rel=1e-9)


@pytest.mark.parametrize("case", cases(objective="mlm"))
def test_an_encoder_sees_all_but_what_is_hidden(case):
    each = made(case)
    objective, tokens = each.objective, ids(each, TEXT)

    def said(hidden, place):
        read = [objective.mask if i in hidden else token for i, token in enumerate(tokens)]
        return bits(
            each.module.eval()(torch.tensor([[objective.cls, *read, objective.sep]]))[0, place + 1], tokens[place]
        )

    chain, apart = span_bits(each.module, objective, [Asked(TEXT, ((5, 10),)), Asked(TEXT, ((0, 4), (8, 10)))])
    assert chain == pytest.approx(sum(said(range(place, 10), place) for place in range(5, 10)), rel=1e-9)
    assert apart == pytest.approx(sum(said([place], place) for place in [0, 1, 2, 3, 8, 9]), rel=1e-9)


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_models_of_transformers(kind, tmp_path):
    model = nbllm.load(f"hf:{foreign.make(kind, tmp_path)}")
    text, tokenizer = "The quick fox looks", model.tokenizer
    encoding = tokenizer.encode(text, add_special_tokens=False)
    tokens = encoding.ids
    inside = [place for place, (start, end) in enumerate(encoding.offsets) if end > 9]
    assert 0 < len(inside) < len(tokens)
    value = 0.0
    for number, place in enumerate(inside):
        if kind == "gpt2":
            end = tokenizer.token_to_id("<|endoftext|>")
            before = [] if end is None else [end]
            logits = model.module.model(torch.tensor([[*before, *tokens[:place]]])).logits[0, -1]
        else:
            hidden = [model.objective.mask if i in inside[number:] else token for i, token in enumerate(tokens)]
            framed = [model.objective.cls, *hidden, model.objective.sep]
            logits = model.module.model(torch.tensor([framed])).logits[0, place + 1]
        value += bits(logits.detach(), tokens[place])
    assert span_bits(model.module, model.objective, [Asked(text, ((9, len(text)),))])[0] == pytest.approx(
        value, rel=1e-4
    )


@pytest.mark.parametrize("case", ["clm gru", "mlm bert"])
def test_what_cannot_be_said_is_no_number(case):
    each = made(case)
    asked = [
        Asked("abba Zed", ((5, 8),)),  # Z is unknown
        Asked("abba Zed", ((0, 4),), needs=((5, 8),)),
        Asked("abba Zed", ((0, 4),)),  # unknown, but of no account
        Asked("abba " * 8, ((0, 4),)),  # longer than the context
        Asked("abba", ((2, 2),)),
    ]
    found = span_bits(each.module, each.objective, asked)
    assert np.isnan(found).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("case", ["seq2seq seq2seq", "classification bert", "elbo vae", "nsp bert after"])
def test_other_models_are_refused_or_asked(case):
    each = made(case)
    if case == "nsp bert after":
        assert np.isfinite(span_bits(each.module, each.objective, ASKED)).all()
        return
    with pytest.raises(ModelError, match="language model or an encoder"):
        span_bits(each.module, each.objective, ASKED)

"""What a model might have written: against the module asked by hand; and branches that go on as generation does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nbllm
from nbllm.data.tokenizers import token_strings
from nbllm.errors import ModelError
from nbllm.generation.decode import generate
from nbllm.inspection import branches as ground
from nbllm.inspection.branches import KEPT, TEMPERATURES, Branches, alternatives, shares
from tests import foreign
from tests.contract.cases import Made, made

PROMPT = "abba"


def usual(each: Made) -> dict[str, Any]:
    task = each.objective.task
    found = {"context": task.context, "prefix": each.objective.prefix}
    if each.head == "target":
        found |= {"temperature": 0.0, "target_tokenizer": task.target_tokenizer, "target_context": task.target_context}
    return found


def begun(case: str, prompt: str = PROMPT, **settings: Any) -> tuple[Made, Branches]:
    each = made(case)
    found = Branches(each.module, each.objective, prompt, usual(each), **{"max_tokens": 8, "seed": 3, **settings})
    list(found.write())
    return each, found


@pytest.mark.parametrize("case", ["clm lstm", "clm transformer", "clm cnn"])
def test_each_place_of_prompt_and_text_is_what_the_module_says(case: str) -> None:
    each, found = begun(case)
    tokens = found.tokens(found.all[0])
    ids = [token.id for token in tokens]
    with torch.inference_mode():
        logits = each.module.eval()(torch.tensor([[each.objective.task.end, *ids]]))[0, :-1]
    true = logits.log_softmax(-1)[range(len(ids)), ids] / -math.log(2)
    np.testing.assert_allclose([token.bits for token in tokens[:4]], true[:4], rtol=1e-5)
    assert len(tokens) > 5
    written = each.module.eval()(torch.tensor([ids]))[0, 3:-1].detach()  # generation reads the prompt without an <eos>
    for token, row in zip(tokens[4:], written, strict=True):
        assert token.bits == pytest.approx(float(-row.log_softmax(-1)[token.id] / math.log(2)), rel=1e-5)
        assert token.rank == 1 + int((row > row[token.id]).sum())
        assert token.spread is not None
        allowed = row.clone()
        allowed[each.objective.task.tokenizer.token_to_id("<unk>")] = -math.inf
        best = allowed.topk(token.spread.size)
        np.testing.assert_allclose(token.spread.logits, best.values, rtol=1e-5)
        assert token.spread.labels[:5] == token_strings(each.objective.task.tokenizer, best.indices[:5].tolist())
        np.testing.assert_allclose(shares(token.spread), allowed.softmax(-1)[best.indices], rtol=1e-5)


@pytest.mark.parametrize("case", ["clm lstm", "prefix-lm transformer", "seq2seq seq2seq", "elbo vae"])
def test_a_branch_goes_on_as_generation_does(case: str) -> None:
    """The likeliest tokens, from the prompt, and from another token that was put in a place: by hand the same."""
    each, found = begun(case, temperature=0.0, max_tokens=6)
    task = each.objective.task
    tokens = found.tokens(found.all[0])
    start = len(found.given)
    settings = {key: value for key, value in usual(each).items() if key != "temperature"}
    if case != "elbo vae":  # whose place in its latent space is drawn
        (plain,) = generate(each.module, task.tokenizer, PROMPT, temperature=0.0, max_tokens=6, **settings)
        assert [t.id for t in tokens[start:] if t.id != task.end] == plain.ids
    other = tokens[start].spread
    assert other is not None
    list(found.branch(0, start, other.labels[2]))
    branch = found.all[1]
    assert (branch.parent, branch.at) == (0, start)
    assert branch.own[0].id == other.ids[2]
    assert branch.own[0].rank == 3
    again = found.tokens(branch)
    assert [token.label for token in again[:start]] == [token.label for token in tokens[:start]]
    if case == "clm lstm":
        ids = [token.id for token in again]
        logits = each.module.eval()(torch.tensor([ids]))[0]
        for place in range(start + 1, len(ids)):
            assert ids[place] == ground_allowed(each, logits[place - 1]).argmax()
    # Without its first token, the branch draws what was drawn before: all that came before it is the same.
    list(found.branch(0, start))
    assert [token.id for token in found.all[2].own] == [token.id for token in tokens[start:]]


def ground_allowed(each: Made, logits: torch.Tensor) -> torch.Tensor:
    allowed = logits.detach().clone()
    allowed[each.objective.task.tokenizer.token_to_id("<unk>")] = -math.inf
    return allowed


def test_a_prompt_can_be_changed_where_the_model_reads_it_token_by_token() -> None:
    _, found = begun("clm lstm")
    list(found.branch(0, 1, "c"))
    assert found.text(found.all[1]).startswith("ac")
    assert found.tokens(found.all[1])[0].label == "a"
    _, read = begun("seq2seq seq2seq")
    with pytest.raises(ModelError, match="Nothing can be chosen at place 1"):
        read.branch(0, 1, "c")


def test_tables_settings_and_removal() -> None:
    each, found = begun("clm transformer", temperature=1.0)
    list(found.branch(0, 5, top_k=1))
    list(found.branch(1, 6, "c"))
    list(found.write(seed=9))
    assert found.all[1].settings["top_k"] == 1
    assert all(token.rank == 1 for token in found.all[1].own if token.id != each.objective.task.end)
    table = found.table()
    assert table["from"].tolist()[1:] == [0, 1, 0]
    assert table["place"].tolist()[1:] == [5, 6, 4]
    assert table.loc[2, "bits"] == pytest.approx(sum(token.bits or 0 for token in found.all[2].own))
    frame = found.to_frame()
    assert len(frame[frame.branch == 2]) == len(found.tokens(found.all[2]))
    assert frame.best_1.iloc[5] == alternatives(found.all[0].own[5])[0][0]
    found.remove(1)
    assert [branch.number for branch in found.all] == [0, 3]
    found.remove(0)
    assert [branch.number for branch in found.all] == [0, 3]


def test_of_a_large_vocabulary_the_mass_of_the_others_is_known_at_each_temperature() -> None:
    _, found = begun("clm lstm")
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(5000, generator=generator)
    spread = found._told(3, logits, logits).spread
    assert spread is not None
    assert len(spread.logits) == KEPT
    for place, temperature in enumerate(TEMPERATURES):
        kept = torch.from_numpy(spread.logits.astype(np.float64) - spread.logits[0]) / temperature
        whole = ((logits.double() - logits.max()) / temperature).exp().sum()
        assert kept.exp().sum() + math.exp(spread.rest[place]) == pytest.approx(float(whole), rel=1e-9)


@pytest.mark.parametrize(
    ("prompt", "settings", "said"),
    [
        (PROMPT, {"max_tokens": 0}, "max_tokens is 0"),
        (PROMPT, {"temprature": 1}, "no setting 'temprature'"),
        (PROMPT, {"top_p": 2}, "top_p is 2"),
        ("ab" * 500, {}, "The prompt has 1,000 tokens"),
    ],
)
def test_what_cannot_be_written(prompt: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        begun("clm lstm", prompt, **settings)


def test_what_cannot_be_chosen_and_who_does_not_write() -> None:
    _, found = begun("clm lstm")
    for place, token, said in [(99, None, "place 99"), (5, "zz", "'zz' is not among"), (5, 999, "no token 999")]:
        with pytest.raises(ModelError, match=said):
            found.branch(0, place, token)
    with pytest.raises(ModelError, match="no branch 7"):
        found.branch(7, 5)
    each = made("mlm bert")
    with pytest.raises(ModelError, match="does not write"):
        Branches(each.module, each.objective, PROMPT, usual(each))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bart"])
def test_models_of_transformers(kind: str, tmp_path: Path) -> None:
    model = nbllm.load(f"hf:{foreign.make(kind, tmp_path)}")
    lens = model.lens("The fox", max_tokens=5)
    written = lens.branches.tokens(lens.branches.all[0])
    place = len(lens.branches.given)
    token = written[place]
    assert token.spread is not None
    assert lens.branch(place, token.spread.ids[3]) == lens.branches.text(lens.branches.all[1])
    assert lens.table().loc[1, "place"] == place
    assert "branch" in lens._repr_html_()
    assert token.spread.labels[0] in str(lens)
    assert ground.MOST > 100

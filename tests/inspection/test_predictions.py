"""What a model expected of a text, against the module asked by hand, for every family; and what its layers say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from torch import nn

import nbllm
from nbllm.data import tokenizers
from nbllm.errors import ModelError
from nbllm.generation.score import score
from nbllm.inspection.predictions import Lens, Predictions, predictions
from nbllm.objectives.seq2seq import Translate
from tests import foreign
from tests.contract.cases import CONTEXT, Made, cases, made

TEXT = "he did a bad big cab. abba"  # longer than the context


def ids(each: Made, text: str = TEXT) -> list[int]:
    return each.objective.task.tokenizer.encode(text, add_special_tokens=False).ids


def ask(case: str | Made, text: str = TEXT, **settings: Any) -> Predictions:
    each = made(case) if isinstance(case, str) else case
    if each.head == "target":
        settings = {"source": "abc", **settings}
    return predictions(each.module, each.objective, text, **settings)


def agree(found: Predictions, logits_NV: torch.Tensor, answers: list[int], tokenizer: Tokenizer) -> None:
    """Everything that is told follows from these logits."""
    logs = logits_NV.double().log_softmax(-1).detach()
    true = logs[range(len(answers)), answers]
    assert found.tokens == tokenizers.token_strings(tokenizer, answers)
    np.testing.assert_allclose(found.probabilities, true.exp(), rtol=1e-5)
    np.testing.assert_allclose(found.surprise, -true / math.log(2), rtol=1e-5, atol=1e-5)
    for place, row in enumerate(logs):
        order = row.argsort(descending=True).tolist()
        assert found.ranks[place] == order.index(answers[place]) + 1
        best = found.alternatives[place]
        assert [token for token, _ in best] == tokenizers.token_strings(tokenizer, order[: len(best)])
        np.testing.assert_allclose([share for _, share in best], row.exp()[order[: len(best)]], rtol=1e-5)


@pytest.mark.parametrize("case", cases("next"))
def test_a_language_model_is_asked_in_the_windows_of_its_score(case: str) -> None:
    each = made(case)
    found = ask(each, top=4)
    task, answers = each.objective.task, ids(each)
    read = torch.tensor([task.end, *answers])
    parts = [read[start : start + CONTEXT] for start in range(0, len(answers), CONTEXT)]
    logits = [each.module.eval()(part[None])[0] for part in parts]
    agree(found, torch.cat(logits)[: len(answers)], answers, task.tokenizer)
    scored = score(each.module, task.tokenizer, TEXT, context=CONTEXT)
    assert found.bits_per_byte == pytest.approx(scored, rel=1e-6)


@pytest.mark.parametrize("case", [*cases(objective="mlm"), "nsp bert after"])
def test_an_encoder_is_asked_for_each_token_while_it_is_hidden(case: str) -> None:
    each = made(case)
    found = ask(each, top=3)
    objective, room = each.objective, CONTEXT - 2
    answers, logits = ids(each), []
    for start in range(0, len(answers), room):
        part = answers[start : start + room]
        for place in range(len(part)):
            hidden = [*part[:place], objective.mask, *part[place + 1 :]]
            framed = torch.tensor([[objective.cls, *hidden, objective.sep]])
            logits.append(each.module.eval()(framed)[0, place + 1])
    agree(found, torch.stack(logits), answers, objective.task.tokenizer)
    assert found.bits_per_byte == pytest.approx(found.surprise.sum() / len(TEXT))


@pytest.mark.parametrize("case", cases("target"))
def test_an_encoder_decoder_is_asked_for_a_target(case: str) -> None:
    each = made(case)
    found = ask(each, "cab a", top=3)
    target = (each.objective.task.target_tokenizer or each.objective.task.tokenizer).encode("cab a").ids
    pair = {"source": np.array(ids(each, "abc")), "target": np.array(target)}
    # Batches of span corruption hide spans; a pair is framed as of a translation.
    batch = Translate.collate(each.objective, [pair], np.random.default_rng(0))  # type: ignore[arg-type]
    logits, answers = each.objective.predict(each.module.eval(), batch)
    agree(found, logits, answers.tolist(), each.objective.task.target_tokenizer or each.objective.task.tokenizer)
    assert found.tokens[-1] == "<eos>"
    assert found.size == len("cab a")


@pytest.mark.parametrize("case", cases("latent"))
def test_a_sentence_of_a_vae_is_asked_where_it_lies(case: str) -> None:
    each = made(case)
    found = ask(each, "a bad cab.")
    batch = each.objective.collate([{"tokens": np.array(ids(each, "a bad cab."))}], np.random.default_rng(0))
    logits, answers = each.objective.predict(each.module.eval(), batch)
    agree(found, logits, answers.tolist(), each.objective.task.tokenizer)


@pytest.mark.parametrize("case", [*cases("next"), "mlm bert", "seq2seq seq2seq", "elbo vae gru", "nsp bert after"])
def test_the_lens_reads_each_block_and_ends_in_the_models_own_answer(case: str) -> None:
    each = made(case)
    plain, found = ask(each, top=5), ask(each, layers=True, top=5)
    stack = each.module.decoder if each.head in ("target", "latent") else each.module.stack
    assert found.lens.names == [f"layer {i}" for i in range(len(stack.blocks))]
    assert plain.lens.names == ["model"]
    np.testing.assert_allclose(found.lens.true[-1], plain.probabilities, rtol=1e-6)
    np.testing.assert_allclose(found.lens.probabilities[-1], plain.lens.probabilities[0], rtol=1e-6)
    assert (found.lens.choices[-1] == plain.lens.choices[0]).all()
    if each.head == "next":
        first = torch.tensor([[each.objective.task.end, *ids(each)]])[:, :CONTEXT]
        with torch.no_grad():
            x, _ = stack.blocks[0](stack.embed(first))
            said = each.module.head(stack.norm(x))[0].softmax(-1)
        answers = ids(each)[:CONTEXT]
        np.testing.assert_allclose(found.lens.true[0, :CONTEXT], said[range(CONTEXT), answers], rtol=1e-5)


def test_frames() -> None:
    found = ask("clm gru", layers=True, top=3)
    frame, lens = found.to_frame(), found.lens_frame()
    assert len(frame) == len(TEXT)
    assert frame.loc[3, "best_1"] == found.alternatives[3][0][0]
    assert frame.loc[3, "p_3"] == found.alternatives[3][2][1]
    assert (frame.loc[5, ["token", "position"]] == ["d", 5]).all()
    assert len(lens) == 2 * len(TEXT)
    assert lens.iloc[len(TEXT) + 4].true_probability == pytest.approx(found.probabilities[4], rel=1e-6)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3", "bert", "roberta", "t5"])
def test_models_of_transformers(kind: str, tmp_path: Path) -> None:
    model = nbllm.load(f"hf:{foreign.make(kind, tmp_path)}")
    text = "The fox, 你好."
    answers = model.tokenizer.encode(text, add_special_tokens=False).ids
    own = model.module.model
    with torch.no_grad():
        if kind in ("gpt2", "llama", "qwen3"):
            found, end = model.predictions(text), tokenizers.end_id(model.tokenizer)
            logits = own(torch.tensor([[end, *answers]])).logits[0, :-1]
            assert found.bits_per_byte == pytest.approx(model.score(text), rel=1e-6)
        elif kind == "t5":
            found, end = model.predictions(text, source="A dog."), tokenizers.end_id(model.tokenizer)
            source = model.tokenizer.encode("A dog.").ids
            answers = [*answers, end]
            logits = own(torch.tensor([source]), labels=torch.tensor([answers])).logits[0]
        else:
            found, objective = model.predictions(text), model.objective
            rows = []
            for place in range(len(answers)):
                hidden = [*answers[:place], objective.mask, *answers[place + 1 :]]
                rows.append(own(torch.tensor([[objective.cls, *hidden, objective.sep]])).logits[0, place + 1])
            logits = torch.stack(rows)
    agree(found, logits, answers, model.tokenizer)
    asked = {"source": "A dog."} if kind in ("t5", "bart") else {}
    hooks = sum(len(part._forward_hooks) for part in own.modules())
    lens = model.predictions(text, layers=True, top=3, **asked).lens
    assert sum(len(part._forward_hooks) for part in own.modules()) == hooks
    assert lens.names == ["layer 0", "layer 1"]
    np.testing.assert_allclose(lens.true[-1], found.probabilities, rtol=1e-5)
    if kind in (
        "gpt2",
        "llama",
        "qwen3",
    ):  # the last of the hidden states that the library gives is behind the norm already
        with torch.no_grad():
            stream = own(torch.tensor([[end, *answers]]), output_hidden_states=True).hidden_states[1][0, :-1]
            norm = own.transformer.ln_f if kind == "gpt2" else own.model.norm
            said = own.lm_head(norm(stream)).softmax(-1)
    elif kind == "t5":
        with torch.no_grad():
            out = own(torch.tensor([source]), labels=torch.tensor([answers]), output_hidden_states=True)
            stream = own.decoder.final_layer_norm(out.decoder_hidden_states[1][0])
            said = own.lm_head(stream * (own.model_dim**-0.5 if own.config.tie_word_embeddings else 1)).softmax(-1)
    else:
        head, place = own.cls if kind == "bert" else own.lm_head, 1
        hidden = [objective.cls, *answers[:place], objective.mask, *answers[place + 1 :], objective.sep]
        with torch.no_grad():
            stream = own(torch.tensor([hidden]), output_hidden_states=True).hidden_states[1]
            said = head(stream)[0, [place + 1]].softmax(-1)
        answers, lens = (
            answers[place : place + 1],
            Lens(lens.names, lens.choices, lens.probabilities, lens.true[:, [1]]),
        )
    np.testing.assert_allclose(lens.true[0], said[range(len(answers)), answers], rtol=1e-4)


def test_a_model_whose_layers_are_not_known_says_so() -> None:
    each = made("clm lstm")

    class Bare(nn.Module):
        """A language model without a stack of ours."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(32, 4), nn.Linear(4, 32)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.head(self.embedding(tokens))

    with pytest.raises(ModelError, match="Leave layers out"):
        predictions(Bare(), each.objective, TEXT, layers=True)


def test_without_an_end_the_first_token_is_only_read() -> None:
    each = made("clm lstm")
    vocabulary = {token: i for i, token in enumerate("_好abd")}
    bare = Tokenizer(models.BPE(vocabulary, [], unk_token="_"))
    task = each.objective.task
    object.__setattr__(task, "tokenizer", bare)
    found = predictions(each.module, each.objective, "好abba")
    assert (found.given, found.tokens) == ("好", list("abba"))
    assert found.to_frame().position.tolist() == [1, 2, 3, 4]
    assert found.size == 4
    assert found.bits_per_byte == pytest.approx(score(each.module, bare, "好abba", context=CONTEXT), rel=1e-6)
    with pytest.raises(ModelError, match="two tokens"):
        predictions(each.module, each.objective, "好")


class Fails(nn.Module):
    """Reads, and then fails."""

    def forward(self, x_BTD: torch.Tensor, **_: Any) -> torch.Tensor:
        raise RuntimeError("no")


def test_a_pass_that_fails_leaves_no_hook_and_the_mode_as_it_was() -> None:
    each = made("clm transformer")
    each.module.train().stack.blocks[1].mixer = Fails()
    with pytest.raises(RuntimeError, match="no"):
        ask(each, layers=True)
    assert each.module.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in each.module.modules())


@pytest.mark.parametrize(
    ("case", "settings", "said"),
    [
        ("classification bert", {}, "labels, not tokens. Use .classify"),
        ("clm lstm", {"top": 0}, "top is 0"),
        ("clm lstm", {"text": ""}, "no text"),
        ("clm lstm", {"source": "abc"}, "reads no source"),
        ("seq2seq seq2seq", {"source": None}, "Give it too"),
    ],
)
def test_what_cannot_be_asked(case: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        ask(case, **settings)

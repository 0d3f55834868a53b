"""Which token moved which answer: for every family against brute force, and where the answer is known."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import nbllm
from nbllm.errors import ModelError
from nbllm.inspection.influence import Influence, influence
from tests import foreign
from tests.contract.cases import CONTEXT, Made, made

METHODS = ("gradient", "integrated", "occlusion")
FAMILIES = [
    *("clm transformer", "clm rnn", "clm lstm", "clm gru", "clm cnn", "clm hybrid", "clm lstm plain"),
    "clm transformer window", "prefix-lm transformer", "preset gpt2", "mlm bert", "mlm lstm", "preset bert",
    "seq2seq seq2seq", "seq2seq seq2seq lstm", "seq2seq seq2seq gru none", "classification bert", "classification lstm",
    "classification cnn max", "classification bert sigmoid", "classification bert several", "elbo vae", "elbo vae gru",
]  # fmt: skip
TEXT = "he bad"


def look(each: Made, text: str = TEXT, **settings: Any) -> Influence:
    if each.head == "target":
        settings = {"target": "cab", **settings}
    return influence(each.module, each.objective, text, **settings)


def ids(each: Made, text: str = TEXT) -> list[int]:
    return each.objective.task.tokenizer.encode(text, add_special_tokens=False).ids


def odds(logits_NV: torch.Tensor, answers: list[int]) -> torch.Tensor:
    """log2 of the odds of each answer, from its probability."""
    p = logits_NV.softmax(-1)[range(len(answers)), answers]
    return (p / (1 - p)).log2()


@torch.no_grad()
def evidence(each: Made, read: list[int]) -> torch.Tensor:
    """What speaks for each answer where the model reads `read` in place of its text: by the module alone."""
    module, objective, text = each.module.eval(), each.objective, ids(each)
    tokens = torch.tensor([read])
    if each.head == "next":
        said = module(torch.tensor([[objective.task.end, *text]]))[0, -1].argmax().item()
        return odds(module(tokens)[0], [*text, said])
    if each.head == "masked":
        rows = tokens.repeat(len(text), 1)
        for place, token_id in enumerate(text, 1):  # what stands in the place of a hidden token is seen
            rows[place - 1, place] = objective.mask if read[place] == token_id else read[place]
        return odds(module(rows)[range(len(text)), range(1, len(text) + 1)], text)
    if each.head == "target":
        target = ids(each, "cab")
        return odds(module(tokens, torch.tensor([[objective.target_end, *target]]))[0], [*target, objective.target_end])
    if each.head == "latent":
        z, _ = module.encode(torch.tensor([text]))
        return odds(module.decode(tokens, z)[0], [*text, objective.task.end])
    logits = module(tokens)
    if not objective.sigmoid:
        return odds(logits.repeat(logits.shape[1], 1), list(range(logits.shape[1])))
    return logits[0] / np.log(2) if objective.several else torch.cat((-logits[0], logits[0])) / np.log(2)


def text_read(each: Made) -> list[int]:
    objective, text = each.objective, ids(each)
    if each.head == "labels":
        return objective.framed(text, [])[0].tolist()
    if each.head == "masked":
        return [objective.cls, *text, objective.sep]
    if each.head == "target":
        return [*objective.before, *text, *objective.behind]
    return [objective.task.end, *text]


@pytest.mark.parametrize("case", FAMILIES)
def test_occlusion_is_what_brute_force_finds(case: str) -> None:
    each = made(case)
    found = look(each, method="occlusion", baseline="j")
    read, neutral = text_read(each), each.objective.task.tokenizer.token_to_id("j")
    whole = evidence(each, read)
    without = [evidence(each, [*read[:place], neutral, *read[place + 1 :]]) for place in range(len(read))]
    expected = whole[:, None] - torch.stack(without, dim=1)
    np.testing.assert_allclose(found.evidence, whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found.values).max() > 1e-4


@pytest.mark.parametrize("case", FAMILIES)
def test_integrated_gradients_add_up_to_the_difference(case: str) -> None:
    each = made(case)
    found = look(each, method="integrated", baseline="j", steps=96)
    read, neutral = text_read(each), each.objective.task.tokenizer.token_to_id("j")
    difference = evidence(each, read) - evidence(each, [neutral] * len(read))
    np.testing.assert_allclose(found.values.sum(1), difference, rtol=1e-3, atol=1e-3)
    assert found.gap is not None
    assert found.gap < 1e-3


def test_too_few_steps_are_told() -> None:
    each = made("clm transformer")
    with pytest.warns(UserWarning, match="1 steps miss the difference by .* give more steps"):
        coarse = look(each, method="integrated", steps=1)
    fine = [look(each, method="integrated", steps=steps).gap for steps in (8, 32, 128)]
    assert coarse.gap > fine[0] > fine[1] > fine[2]


@pytest.mark.parametrize("case", [*FAMILIES[:10], "elbo vae", "elbo vae gru"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:4 steps")
def test_the_future_has_no_influence_where_it_is_not_read(case: str, method: str) -> None:
    found = look(made(case), method=method, steps=4)
    assert found.values.shape == (len(found.outputs), len(TEXT) + 1)
    assert (np.triu(found.values, 1) == 0).all()
    assert (np.diag(found.values) != 0).sum() > len(TEXT) - 2


@pytest.mark.parametrize("case", ["mlm bert", "mlm lstm", "clm lstm"])
def test_the_gradient_is_occlusion_to_the_first_order(case: str) -> None:
    """A step of a thousandth towards the neutral vector changes the evidence by a thousandth of what is told."""
    each = made(case)
    found = look(each, method="gradient")
    near = copy.deepcopy(each)
    layer = near.module.stack.embedding
    neutral = each.objective.mask if each.head == "masked" else None
    x0 = layer.weight.mean(0) if neutral is None else layer.weight[neutral]
    read = text_read(each)
    place = 2
    near.module.stack.embedding = Nudged(layer, read[place], x0.detach())
    near.module.head._stack = [Tied(layer)]
    assert read.count(read[place]) == 1
    changed = (evidence(each, read) - evidence(near, read)) / Nudged.STEP
    rows = [row for row in range(len(found.outputs)) if each.head == "next" or row != place - 1]
    np.testing.assert_allclose(found.values[rows, place], changed[rows], rtol=0.02, atol=2e-3)


class Nudged(nn.Module):
    """An embedding in which one token stands a little nearer to the neutral vector."""

    STEP = 1e-3

    def __init__(self, layer: nn.Embedding, token_id: int, x0: torch.Tensor):
        super().__init__()
        self.layer, self.token_id, self.x0 = layer, token_id, x0

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.layer(tokens)
        return torch.where((tokens == self.token_id)[..., None], x + self.STEP * (self.x0 - x), x)


class Tied:
    """What a head needs of its stack."""

    def __init__(self, layer: nn.Embedding):
        self.embedding = layer


@pytest.fixture(scope="module")
def recalls_first() -> Made:
    """An LSTM trained to say behind a full stop the letter that its text began with; the others are noise."""
    each = made("clm lstm", fresh=True, **{"model.layers": 1, "model.width": 32, "model.plain": True})
    module, task = each.module.train(), each.objective.task
    letters = torch.tensor([task.tokenizer.token_to_id(letter) for letter in "abcd"])
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(0)
    for _ in range(250):
        rows = letters[torch.randint(4, (64, 4), generator=generator)]
        frame = torch.full((64, 1), task.end), rows, torch.full((64, 1), task.tokenizer.token_to_id("."))
        loss = F.cross_entropy(module(torch.cat(frame, dim=1))[:, -1], rows[:, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.005:
            break
    assert loss.item() < 0.1
    return each


@pytest.mark.parametrize(
    ("method", "wins", "times"), [("gradient", 0.5, 1), ("integrated", 0.75, 2), ("occlusion", 1, 10)]
)
def test_the_token_that_an_answer_hangs_on_is_found(recalls_first: Made, method: str, wins: float, times: int) -> None:
    """The evidence for the letter behind the full stop is its first occurrence; of three letters between, nothing."""
    texts = [f"{''.join(letters)}." for letters in itertools.product("abcd", repeat=4)][::13]
    found = [look(recalls_first, text, method=method) for text in texts]
    assert [each.outputs[-1] for each in found] == [f"→{text[0]}" for text in texts]
    assert found[0].inputs == ["<eos>", *texts[0]]
    last = np.stack([each.values[-1] for each in found])
    assert (last[:, 1] > np.abs(last[:, 2:5]).max(1)).mean() >= wins
    assert last[:, 1].mean() > times * np.abs(last[:, 2:5].mean(0)).max()
    if method == "occlusion":
        assert [each.strongest(1).token_1.iloc[-1] for each in found] == [text[0] for text in texts]


def test_what_speaks_for_one_letter_speaks_against_another(recalls_first: Made) -> None:
    other = look(recalls_first, "cabd.", method="occlusion", target="a")
    assert other.outputs == [*"cabd.", "→"]
    assert other.values[-1, 1] < -1
    assert other.probabilities[-1] < 0.1
    assert other.target == "a"


def test_a_model_that_looks_ahead_is_found_out() -> None:
    class Cheats(nn.Module):
        """Predicts each token with all of the text in sight."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(32, 8)
            self.head = nn.Linear(8, 32)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.embedding(tokens)
            return self.head(x + x.mean(1, keepdim=True))

    torch.manual_seed(0)
    objective = made("clm lstm").objective
    for method in METHODS:
        assert np.abs(np.triu(influence(Cheats(), objective, TEXT, method=method).values, 1)).max() > 1e-3


def test_a_label_a_pair_and_frames() -> None:
    each = made("classification bert pairs")
    found = look(each, "abba", pair="cab")
    assert found.outputs == list("xyz")
    assert found.inputs == ["<cls>", *"abba", "<sep>", *"cab", "<sep>"]
    one = look(each, "abba", pair="cab", target="y")
    np.testing.assert_allclose(one.values, found.values[1:2], rtol=1e-6)
    assert (one.outputs, one.target) == (["y"], "")
    frame = found.to_frame()
    assert len(frame) == (found.values != 0).sum()
    row = frame[(frame.output == 2) & (frame.input == 3)].iloc[0]
    assert (row.output_token, row.input_token, row.bits) == ("z", "b", found.values[2, 3])
    np.testing.assert_allclose(np.abs(found.shares).sum(1), 1, rtol=1e-5)


def test_what_an_encoder_decoder_writes_is_explained() -> None:
    each = made("seq2seq seq2seq apart")
    found = influence(each.module, each.objective, "abc")
    assert found.inputs == [*"abc", "<eos>"]
    assert found.outputs[-1] == "<eos>"
    assert found.values.shape == (len(found.outputs), 4)
    assert np.isfinite(found.values).all()


def test_a_long_text_is_cut_and_a_fresh_model_has_no_opinion() -> None:
    each = made("clm lstm", fresh=True)
    found = look(each, "abba " * 20)
    assert len(found.inputs) == len(found.outputs) == CONTEXT
    assert not any(name.startswith("→") for name in found.outputs)
    assert np.isfinite(found.shares).all()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert", "bert-labels", "t5", "bart"])
def test_models_of_transformers(kind: str, tmp_path: Path) -> None:
    model = nbllm.load(f"hf:{foreign.make(kind, tmp_path)}")
    asked: dict[str, Any] = {"target": "A dog."} if kind in ("t5", "bart") else {}
    text = "The fox jumps."
    whole = model.influence(text, "integrated", baseline=".", steps=64, **asked)
    assert whole.gap < 1e-3
    hidden = model.influence(text, "occlusion", baseline=".", **asked)
    place = 2
    swapped = model.influence(text, "occlusion", baseline="zero", **asked)
    assert whole.values.shape == hidden.values.shape == swapped.values.shape
    assert np.isfinite(model.influence(text, **asked).values).all()
    if kind in ("gpt2", "llama"):
        ids = model.tokenizer.encode(text, add_special_tokens=False).ids
        begins = [nbllm_end(model), *ids]
        other = [*begins[:place], model.tokenizer.token_to_id("."), *begins[place + 1 :]]
        with torch.no_grad():
            was, now = (odds(model.module.model(torch.tensor([each])).logits[0, :-1], ids) for each in (begins, other))
        np.testing.assert_allclose(hidden.values[:-1, place], was - now, rtol=1e-3, atol=1e-4)
        assert (np.triu(model.influence(text).values, 1) == 0).all()


def nbllm_end(model: Any) -> int:
    from nbllm.data.tokenizers import end_id

    return end_id(model.tokenizer)


class Fails(nn.Module):
    """Fails when it is asked."""

    def forward(self, *_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("no")


@pytest.mark.parametrize("method", METHODS)
def test_looking_leaves_no_trace_even_where_it_fails(method: str) -> None:
    each = made("clm lstm")
    each.module.train()
    with torch.inference_mode():  # gradients flow whatever stands around
        assert np.abs(look(each, method=method, steps=3).values).max() > 0
    assert each.module.training
    assert all(parameter.grad is None for parameter in each.module.parameters())
    each.module.head = Fails()
    with pytest.raises(RuntimeError, match="no"):
        look(each, method=method)
    assert each.module.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in each.module.modules())


@pytest.mark.parametrize(
    ("case", "settings", "said"),
    [
        ("clm lstm", {"method": "occlude"}, "Did you mean 'occlusion'"),
        ("clm lstm", {"steps": 0}, "steps is 0"),
        ("clm lstm", {"text": ""}, "no text"),
        ("clm lstm", {"target": "ab"}, "'ab' is 2 tokens"),
        ("clm lstm", {"baseline": "maen"}, "'maen' is 4 tokens here. Give the text of one token"),
        ("clm lstm", {"pair": "ab"}, "Only a classifier"),
        ("classification bert", {"target": "w"}, "no label 'w'"),
    ],
)
def test_what_cannot_be_asked(case: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        look(made(case), **settings)


def test_a_module_without_an_embedding_is_told_so() -> None:
    class Bare(nn.Module):
        """Reads one-hot vectors."""

        def __init__(self, layer: nn.Module | None = None) -> None:
            super().__init__()
            self.layer, self.head = layer, nn.Linear(32, 32)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.head(F.one_hot(tokens, 32).float())

    objective = made("clm lstm").objective
    with pytest.raises(ModelError, match="holds its vocabulary"):
        influence(Bare(), objective, TEXT)
    with pytest.raises(ModelError, match="does not read its tokens"):
        influence(Bare(nn.Embedding(32, 4)), objective, TEXT)


@pytest.mark.parametrize("case", ["clm lstm", "clm transformer", "clm gru"])
def test_integrated_gradients_are_those_of_captum(case: str) -> None:
    """Another library, another rule of integration: the same numbers."""
    captum = pytest.importorskip("captum.attr")
    each = made(case)
    found = look(each, method="integrated", baseline="j", steps=384)
    read, neutral = text_read(each), each.objective.task.tokenizer.token_to_id("j")
    answers = each.objective.task.tokenizer.encode(TEXT, add_special_tokens=False).ids
    tokens = torch.tensor([read])
    for place, answer in enumerate(answers):

        def forward(tokens_BT: torch.Tensor, place: int = place, answer: int = answer) -> torch.Tensor:
            shares = each.module(tokens_BT)[:, place].softmax(-1)[:, answer]
            return (shares / (1 - shares)).log2()

        method = captum.LayerIntegratedGradients(forward, each.module.stack.embedding)
        told = method.attribute(tokens, torch.full_like(tokens, neutral), n_steps=256).sum(-1)[0].detach()
        np.testing.assert_allclose(found.values[place], told, atol=1e-4)


def test_occlusion_is_what_is_done_where_nothing_is_said(recalls_first: Made) -> None:
    assert influence(recalls_first.module, recalls_first.objective, "abcd.").method == "occlusion"


def test_a_network_that_looks_up_pairs_of_tokens_is_refused_and_one_that_smears_is_not() -> None:
    with pytest.raises(ModelError, match=r"pairs of tokens.*bigrams: 0"):
        look(made("clm transformer extras"))
    smeared = made("clm transformer", **{"model.smear": True, "model.mix_input": True})
    assert np.isfinite(look(smeared).values).all()

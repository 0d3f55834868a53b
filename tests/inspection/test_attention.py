"""Attention of every kind of network is what the library itself gives, and its rows are shares of what may be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import nbllm
from nbllm.errors import ModelError
from nbllm.handles.model import Model
from nbllm.inspection.attention import attention, attention_maps, cross_attention
from nbllm.inspection.internals import capture
from nbllm.inspection.maps import AttentionMaps
from nbllm.inspection.written import written_maps
from nbllm.models.answers import WritesTarget
from nbllm.models.huggingface import source
from nbllm.models.huggingface.load import Wanted, load
from tests.contract.cases import CONTEXT, made
from tests.foreign import KINDS, V, make

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-5}
HEADS = {"gpt2": "next", "qwen3": "next", "llama": "next", "bert-labels": "labels"}
TARGETS = ("t5", "bart", "marian")
TEXT = "he did a bad big cab."


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: make(kind, root / kind) for kind in KINDS}


def eager(folder: Path, head: str) -> Any:
    cls = getattr(transformers, source.HEADS[head])
    return cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def rows(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of rows of these lengths, and which of them are real."""
    torch.manual_seed(3)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randint(5, V, real.shape), real


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in TARGETS])
def test_attention_is_the_librarys_padding_and_all(models: dict[str, Path], kind: str) -> None:
    """BERT's and GPT's families: what we show is `output_attentions` of the eager model; what is filled is unseen."""
    head = HEADS.get(kind, "masked")
    module, _ = load(models[kind], Wanted(head, V, labels=("bad", "good", "so-so"), outputs=3))
    tokens, real = rows([9, 5])
    with torch.no_grad():
        expected = eager(models[kind], head)(tokens, attention_mask=real.long(), output_attentions=True).attentions
    found = attention(module, tokens, real)
    torch.testing.assert_close(found, torch.stack(expected), **CLOSE)
    sums = found.sum(-1).transpose(1, 2)[:, :, real]
    torch.testing.assert_close(sums, torch.ones_like(sums), **CLOSE)
    assert (found[:, 1, :, :5, 5:] == 0).all()
    if head == "next":
        assert (found.triu(1) == 0).all()


@pytest.mark.parametrize("kind", TARGETS)
def test_attention_of_an_encoder_decoder_is_the_librarys(models: dict[str, Path], kind: str) -> None:
    module, _ = load(models[kind], Wanted("target", V))
    theirs = eager(models[kind], "target")
    sources, real = rows([7, 4])
    targets = torch.randint(5, V, (2, 5))
    targets[:, 0] = theirs.config.decoder_start_token_id
    with torch.no_grad():
        out = theirs(sources, attention_mask=real.long(), decoder_input_ids=targets, output_attentions=True)
    torch.testing.assert_close(attention(module, sources, real), torch.stack(out.encoder_attentions), **CLOSE)
    crossed = cross_attention(module, sources, targets, real)
    torch.testing.assert_close(crossed, torch.stack(out.cross_attentions), **CLOSE)
    with torch.no_grad():
        written = module.eval().target_attention(sources, targets, real, part="decoder")
    torch.testing.assert_close(written, torch.stack(out.decoder_attentions), **CLOSE)
    assert (crossed[:, 1, :, :, 4:] == 0).all()
    torch.testing.assert_close(crossed.sum(-1), torch.ones(2, 2, 4, 5), **CLOSE)


@pytest.mark.parametrize(
    ("case", "head"),
    [("preset gpt2", "next"), ("preset llama", "next"), ("preset qwen3", "next"), ("preset bert", "masked"),
     ("preset modernbert", "masked"), ("clm transformer", "next")],
)  # fmt: skip
def test_our_own_attention_is_that_of_the_exported_model(case: str, head: str, tmp_path: Path) -> None:
    """A network of ours, exported, gives in transformers the weights that we read from it."""
    each = made(case)
    module = each.module.float().eval()
    Model(module, each.objective, each.config, tmp_path, 0).export(tmp_path / "export")
    tokens = torch.randint(each.objective.task.tokenizer.get_vocab_size(), (2, CONTEXT))
    with torch.no_grad():
        expected = eager(tmp_path / "export", head)(tokens, output_attentions=True).attentions
    torch.testing.assert_close(attention(module, tokens), torch.stack(expected), **CLOSE)


@pytest.mark.parametrize(
    "case", ["clm transformer window", "clm transformer grouped", "mlm bert", "mlm transformer window"]
)
def test_padding_and_windows_are_respected(case: str) -> None:
    """The weights times the values are what the fused kernel gave, with rows filled up."""
    module = made(case).module.eval()
    tokens = torch.randint(5, 10, (2, 12))
    real = torch.arange(12) < torch.tensor([12, 7])[:, None]
    names = ("blocks.0.attention", "blocks.0.attention.pattern", "blocks.0.attention.v")
    with torch.no_grad(), capture(module, *names) as found:
        module.stack(tokens, real_BT=real)
    mixer = module.stack.blocks[0].mixer
    weights, values = found[names[1]], found[names[2]].repeat_interleave(mixer.heads // mixer.key_heads, dim=1)
    expected = mixer.out((weights @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(found[names[0]][real], expected[real], rtol=1e-9, atol=1e-9)
    assert (weights[1, :, :, 7:] == 0).all()
    torch.testing.assert_close(
        weights[real.unsqueeze(1).expand(-1, mixer.heads, -1)].sum(-1),
        torch.ones(1).double().expand(int(real.sum()) * mixer.heads),
        rtol=0,
        atol=1e-9,
    )
    if mixer.window:
        far = (torch.arange(12)[:, None] - torch.arange(12)).abs() >= mixer.window
        assert (weights[:, :, far] == 0).all()


def test_a_pair_is_read_in_its_frame(models: dict[str, Path]) -> None:
    """A classifier's and BERT's two texts stand between their marks, each token with the segment that it belongs to."""
    for case in ("classification bert pairs", "nsp bert after", "mlm bert pairs"):
        each = made(case)
        maps = attention_maps(each.module, each.objective, "abba", pair="dad")
        assert maps.tokens == ["<cls>", *"abba", "<sep>", *"dad", "<sep>"], case
        assert maps.segments == [0] * 6 + [1] * 4
        tokens, segments = torch.tensor([maps.key_ids]), torch.tensor([maps.segments])
        with torch.no_grad(), capture(each.module.eval(), "*.pattern") as found:
            each.module(tokens, torch.ones_like(tokens, dtype=torch.bool), segments)
        expected = torch.stack([found[name][0] for name in found])
        np.testing.assert_allclose(maps.weights, expected.numpy(), atol=1e-6)
    model = nbllm.load(f"hf:{models['bert']}")
    maps = model.attention("the lazy dog", pair="a quick fox")
    theirs = transformers.AutoTokenizer.from_pretrained(models["bert"])(
        "the lazy dog", "a quick fox", return_tensors="pt", return_token_type_ids=True
    )
    assert (maps.key_ids, maps.segments) == (theirs["input_ids"][0].tolist(), theirs["token_type_ids"][0].tolist())
    with torch.no_grad():
        expected = torch.stack(eager(models["bert"], "masked")(**theirs, output_attentions=True).attentions)[:, 0]
    np.testing.assert_allclose(maps.weights, expected.numpy(), atol=1e-5)
    assert len(model.attention("the dog " * 90, pair="a fox " * 90).tokens) == 64, "cut to the context"
    with pytest.raises(ModelError, match="one text at a time"):
        nbllm.load(f"hf:{models['gpt2']}").attention("a", pair="b")


@pytest.mark.parametrize(
    "name",
    ["clm transformer", "clm transformer window", "clm hybrid pattern", "prefix-lm transformer", "gpt2", "qwen3"],
)
def test_what_a_written_token_looked_at(models: dict[str, Path], name: str) -> None:
    """Row by row the weights of one pass over all that was read, from the place where the token was drawn."""
    if name in models:
        model = nbllm.load(f"hf:{models[name]}")
        module, objective, prompt = model.module, model.objective, "The quick fox"
    else:
        each = made(name)
        module, objective, prompt = each.module, each.objective, "abba "
    settings = {"max_tokens": 6, "seed": 2, "stop_at_eos": False}
    maps, text = written_maps(module, objective, prompt, **settings)
    begin = len(maps.keys) - len(text.ids) + 1
    assert maps.tokens == text.tokens
    assert maps.key_ids == objective.task.tokenizer.encode(prompt).ids[:begin] + text.ids[:-1]
    assert (maps.written, maps.start) == (True, begin - 1)
    if name.startswith("prefix"):
        assert maps.weights.shape[2:] == (6, begin + 5)
    else:
        whole = attention(module, torch.tensor([maps.key_ids]))[:, 0, :, begin - 1 :]
        np.testing.assert_allclose(maps.weights, whole.numpy(), atol=1e-5)
    np.testing.assert_allclose(maps.weights.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["seq2seq seq2seq", "seq2seq seq2seq additive", "t5"])
def test_what_a_written_answer_looked_at(models: dict[str, Path], name: str) -> None:
    if name in models:
        model = nbllm.load(f"hf:{models[name]}")
        module, objective, prompt = model.module, model.objective, "The quick fox"
    else:
        each = made(name)
        module, objective, prompt = each.module, each.objective, "abba cab"
    settings = {"max_tokens": 5, "seed": 1, "stop_at_eos": False, "target_tokenizer": objective.task.target_tokenizer}
    maps, text = written_maps(module, objective, prompt, **settings)
    again = attention_maps(module, objective, prompt, target=str(text), part="cross")
    assert maps.keys == again.keys
    assert len(maps.tokens) == len(text.ids) == 5
    module = module.eval()
    begin = getattr(getattr(module, "model", None), "config", None)
    first = objective.target_end if begin is None else begin.decoder_start_token_id
    whole = cross_attention(module, torch.tensor([maps.key_ids]), torch.tensor([[first, *text.ids[:-1]]]))[:, 0]
    np.testing.assert_allclose(maps.weights, whole.numpy(), atol=1e-5)


def test_each_part_of_an_encoder_decoder() -> None:
    each = made("seq2seq seq2seq")
    module = each.module.eval()
    assert isinstance(module, WritesTarget)
    encoder = attention_maps(module, each.objective, "abba cab")
    crossed = attention_maps(module, each.objective, "abba cab", target="dad")
    decoder = attention_maps(module, each.objective, "abba cab", target="dad", part="decoder")
    assert [m.part for m in (encoder, crossed, decoder)] == ["encoder", "cross", "decoder"]
    assert crossed.keys == encoder.tokens
    assert crossed.queries == decoder.tokens == decoder.keys
    assert decoder.tokens[1:] == list("dad")
    with torch.no_grad(), capture(module, "*.pattern") as found:
        module(torch.tensor([encoder.key_ids]), torch.tensor([decoder.key_ids]))
    for maps, names in (
        (encoder, "encoder.blocks.{}.attention"),
        (crossed, "decoder.blocks.{}.cross"),
        (decoder, "decoder.blocks.{}.attention"),
    ):
        for layer in range(2):
            expected = found[names.format(layer) + ".pattern"][0].numpy()
            np.testing.assert_allclose(maps.weights[layer], expected, atol=1e-6)
    with pytest.raises(ModelError, match="Give target=TEXT"):
        attention_maps(module, each.objective, "abba", part="decoder")
    with pytest.raises(ModelError, match="no part 'middle'"):
        attention_maps(module, each.objective, "abba", part="middle")
    with pytest.raises(ModelError, match="one stack"):
        attention_maps(made("clm transformer").module, made("clm transformer").objective, "abba", part="encoder")
    aligned = made("seq2seq seq2seq additive")
    with pytest.raises(ModelError, match="target=TEXT"):
        attention_maps(aligned.module, aligned.objective, "abba")


def test_layers_go_by_their_blocks_and_weights_can_be_halved() -> None:
    each = made("clm hybrid pattern")
    maps = attention_maps(each.module, each.objective, TEXT)
    assert maps.layers == [2]
    assert maps.heads().layer.tolist() == [2, 2]
    assert maps.of(2, 1).weights.shape[:2] == (1, 1)
    with pytest.raises(ModelError, match="no layer 0"):
        maps.of(0)
    stack = made("clm transformer")
    whole = attention_maps(stack.module, stack.objective, TEXT)
    half = attention_maps(stack.module, stack.objective, TEXT, layers=[-1], dtype="float16")
    assert half.layers == [1]
    assert half.weights.dtype == np.float16
    np.testing.assert_allclose(half.weights[0], whole.weights[1], atol=1e-3)
    with pytest.raises(ModelError, match="float32 or float16"):
        attention_maps(stack.module, stack.objective, TEXT, dtype="int8")
    with pytest.raises(ModelError, match="no layer 5"):
        attention_maps(stack.module, stack.objective, TEXT, layers=[5])


def test_a_text_that_does_not_fit_is_refused() -> None:
    each = made("clm transformer")
    with pytest.raises(ModelError, match=r"Ask for max_tokens=13"):
        written_maps(each.module, each.objective, "abba", max_tokens=20)
    with pytest.raises(ModelError, match="shorter prompt"):
        written_maps(each.module, each.objective, "abba" * 9, max_tokens=20)
    with pytest.raises(ModelError, match="beam"):
        written_maps(each.module, each.objective, "abba", beams=2)
    maps, _ = written_maps(each.module, each.objective, "abba", max_tokens=13, stop_at_eos=False, seed=0)
    assert maps.weights.shape[2:] == (13, CONTEXT)
    assert isinstance(maps, AttentionMaps)

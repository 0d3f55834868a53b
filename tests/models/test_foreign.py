"""Models of transformers behind our interface: what the library computes, token by token and in rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoTokenizer

import nbllm
from nbllm.data.tokenizers import special_ids
from nbllm.errors import ModelError
from nbllm.models.huggingface import source
from nbllm.models.huggingface.load import Wanted, build, load, settings_of
from tests.foreign import KINDS, V, make

TEXT = "The quick fox, 你好，世界。"
HEADS = {
    "gpt2": "next", "qwen3": "next", "llama": "next", "bert": "masked", "distilbert": "masked", "roberta": "masked",
    "t5": "target", "bart": "target", "marian": "target", "bert-labels": "labels",
}  # fmt: skip


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: make(kind, root / kind) for kind in KINDS}


def library(folder: Path, head: str, **how: Any) -> Any:
    cls = getattr(transformers, source.HEADS[head])
    return cls.from_pretrained(folder, dtype=torch.float32, **how).eval()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if HEADS[kind] == "next"])
def test_a_decoder_step_by_step(models: dict[str, Path], kind: str) -> None:
    """Cached steps equal the whole window, rows can be chosen, and the numbers are the library's."""
    module, fresh = load(models[kind], Wanted("next", V))
    module.eval()
    tokens = torch.randint(V, (2, 9))
    with torch.no_grad():
        whole = module(tokens)
        expected = library(models[kind], "next")(tokens).logits
        state = module.init_state(2, 9)
        first, state = module.step(tokens[:, :5], state)
        state = module.select(state, torch.tensor([1, 0, 1]))
        after, _ = module.step(tokens[[1, 0, 1], 5:], state)
    assert fresh == []
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(first, whole[:, 4], rtol=0, atol=1e-5)
    torch.testing.assert_close(after, whole[[1, 0, 1], -1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if HEADS[kind] == "target"])
def test_an_encoder_decoder_step_by_step(models: dict[str, Path], kind: str) -> None:
    module, _ = load(models[kind], Wanted("target", V))
    module.eval()
    start = module.model.config.decoder_start_token_id
    source_BS, target_BT = torch.randint(5, V, (2, 7)), torch.randint(5, V, (2, 5))
    real_BS = torch.ones(2, 7, dtype=torch.bool)
    real_BS[1, 5:] = False
    begun_BT = torch.cat((torch.full((2, 1), start), target_BT[:, 1:]), dim=1)
    with torch.no_grad():
        whole = module(source_BS, target_BT, real_BS)
        expected = library(models[kind], "target")(
            input_ids=source_BS, attention_mask=real_BS.long(), decoder_input_ids=begun_BT
        ).logits
        state = module.init_state(source_BS, 5, real_BS)
        first, state = module.step(target_BT[:, :1], state)
        state = module.select(state, torch.tensor([1, 1, 0]))
        after, _ = module.step(target_BT[[1, 1, 0], 1:], state)
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(first, whole[:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(after, whole[[1, 1, 0], -1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "bart", "marian"])
def test_the_likeliest_text_is_the_librarys(models: dict[str, Path], kind: str) -> None:
    """Our prompt and its frame, our loop, our cache: the same tokens as `generate` of the library, Chinese included."""
    folder, head = models[kind], HEADS[kind]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), library(folder, head)
    given = tokenizer(TEXT, return_tensors="pt", add_special_tokens=head == "target")
    given.pop("token_type_ids", None)
    loaded = nbllm.load(f"hf:{folder}")
    never = {*special_ids(loaded.tokenizer), *range(loaded.tokenizer.get_vocab_size(), V)}  # never written by us
    with torch.no_grad():
        ids = model.generate(
            **given, max_new_tokens=6, do_sample=False, num_beams=1, suppress_tokens=sorted(never), eos_token_id=None
        )[0].tolist()
    expected = ids[1:] if head == "target" else ids[given["input_ids"].shape[1] :]
    mine = loaded.generate(TEXT, max_tokens=6, temperature=0, stop_at_eos=False)
    assert len(expected) == 6
    assert mine.ids == expected


@pytest.mark.parametrize("kind", [kind for kind in KINDS if HEADS[kind] in ("masked", "labels")])
def test_filling_never_changes_an_encoder(models: dict[str, Path], kind: str) -> None:
    module, _ = load(models[kind], Wanted(HEADS[kind], V, outputs=3, labels=("bad", "good", "so-so")))
    module.eval()
    tokens, real = torch.randint(5, V, (2, 8)), torch.ones(2, 8, dtype=torch.bool)
    real[1, 5:] = False
    segments = (torch.arange(8) > 3).long().expand(2, 8)
    with torch.no_grad():
        both = module(tokens, real, segments)
        alone = module(tokens[1:, :5], real[1:, :5], segments[1:, :5])
    if HEADS[kind] == "masked":
        both = both[:, :5]
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_the_librarys_own(models: dict[str, Path], kind: str) -> None:
    folder, head = models[kind], HEADS[kind]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), library(folder, head, attn_implementation="eager")
    given = {"input_ids": tokenizer(TEXT, return_tensors="pt").input_ids}
    with torch.no_grad():
        part = model.get_encoder() if head == "target" else model
        expected = np.stack([w[0].numpy() for w in part(**given, output_attentions=True).attentions])
    loaded = nbllm.load(f"hf:{folder}")
    maps = loaded.attention(TEXT)
    assert np.abs(maps.weights - expected).max() < 1e-5
    assert len(maps.tokens) == expected.shape[-1]
    assert loaded.module.model.config._attn_implementation == "sdpa"  # put back


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_built_anew_from_its_configuration(models: dict[str, Path], kind: str) -> None:
    """With a vocabulary that has grown, as with the special tokens of an objective; weights then fit by their names."""
    wanted = Wanted(HEADS[kind], V + 3, outputs=2, labels=("a", "b"), pad=0)
    module, _ = load(models[kind], wanted)
    again = build(settings_of(module), wanted)
    missing, unexpected = again.load_state_dict(module.state_dict(), strict=False)
    assert (missing, unexpected) == ([], [])
    assert again.model.get_input_embeddings().weight.shape[0] == V + 3


def test_a_decoder_with_labels_reads_the_last_token(models: dict[str, Path]) -> None:
    module, fresh = load(models["gpt2"], Wanted("labels", V, outputs=2, labels=("a", "b"), pad=0))
    module.eval()
    tokens, real = torch.randint(5, V, (2, 8)), torch.ones(2, 8, dtype=torch.bool)
    real[1, 5:] = False
    with torch.no_grad():
        both, alone = module(tokens, real), module(tokens[1:, :5])
    assert fresh == ["model.score.weight"]
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-5)


def test_the_head_is_drawn_anew_where_the_labels_are_others(models: dict[str, Path]) -> None:
    same, none = load(models["bert-labels"], Wanted("labels", V, outputs=3, labels=("bad", "good", "so-so")))
    _, fresh = load(models["bert-labels"], Wanted("labels", V, outputs=3, labels=("good", "bad", "so-so")))
    other, _ = load(models["bert-labels"], Wanted("labels", V, outputs=3, labels=("x", "y", "z")))
    assert none == []
    assert fresh == ["model.classifier.bias", "model.classifier.weight"]
    assert not torch.equal(same.model.classifier.weight, other.model.classifier.weight)


def test_settings_of_the_model_can_be_overruled(models: dict[str, Path]) -> None:
    module, _ = load(models["gpt2"], Wanted("next", V, options={"attn_pdrop": 0.0, "resid_pdrop": 0.25}))
    assert module.model.transformer.h[0].mlp.dropout.p == 0.25
    with pytest.raises(ModelError, match="no 'dropout'"):
        load(models["gpt2"], Wanted("next", V, options={"dropout": 0.0}))


def test_a_model_of_another_task_is_one_line(models: dict[str, Path]) -> None:
    with pytest.raises(ModelError) as found:
        load(models["t5"], Wanted("next", V))
    assert "\n" not in str(found.value)
    assert "T5Config" in str(found.value)

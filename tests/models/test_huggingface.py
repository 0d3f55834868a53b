"""Our networks are transformers' own: the same logits from the same weights, both ways, or a plain reason why not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig

from nbllm.config import ModelConfig, resolve
from nbllm.models.estimate import Shape
from nbllm.models.factory import Sizes, build
from nbllm.models.huggingface.export import weights
from nbllm.models.huggingface.layouts import NoLayout, layout
from nbllm.models.huggingface.names import to_ours
from nbllm.models.huggingface.settings import ours

V, T, S, LABELS = 23, 12, 9, 3
SMALL: dict[str, Any] = {"model.layers": 2, "model.width": 24, "model.heads": 3}
BERT: dict[str, Any] = {"preset": "bert", "model.dropout": 0}
CLASSES: dict[str, Any] = {"objective.kind": "classification"}
# Settings of a run, and the class of transformers that computes its network.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "qwen3": ({"model.rope_base": 5000}, "Qwen3ForCausalLM"),
    "qwen3, grouped, untied, window": (
        {"model.heads": 4, "kv_heads": 2, "head_width": 8, "tied": False, "window": 5, "activation": "geglu",
         "norm_eps": 1e-3},
        "Qwen3ForCausalLM",
    ),
    "llama": ({"model.heads": 2, "qk_norm": False}, "LlamaForCausalLM"),
    "llama, grouped, biases": (
        {"model.heads": 6, "kv_heads": 2, "qk_norm": False, "model.bias": True, "tied": False}, "LlamaForCausalLM"
    ),
    "mistral by its window": ({"model.heads": 2, "qk_norm": False, "window": 4}, "MistralForCausalLM"),
    "mistral by its heads": ({"qk_norm": False, "head_width": 10}, "MistralForCausalLM"),
    "gpt2": ({"preset": "gpt2"}, "GPT2LMHeadModel"),
    "gpt2, untied, relu": ({"preset": "gpt2", "tied": False, "activation": "relu", "mlp_width": 40}, "GPT2LMHeadModel"),
    "bert": ({**BERT, "next_sentence": False}, "BertForMaskedLM"),
    "bert, untied": ({**BERT, "next_sentence": False, "tied": False}, "BertForMaskedLM"),
    "bert with pairs": (BERT, "BertForPreTraining"),
    "modernbert": ({"model": "bert"}, "ModernBertForMaskedLM"),
    "modernbert, untied, biases": ({"model.kind": "bert", "tied": False, "model.bias": True}, "ModernBertForMaskedLM"),
    "qwen3 labels": ({**CLASSES, "bidirectional": False}, "Qwen3ForSequenceClassification"),
    "gpt2 labels": ({**CLASSES, "preset": "gpt2", "bidirectional": False}, "GPT2ForSequenceClassification"),
    "bert labels": ({**BERT, **CLASSES, "next_sentence": False}, "BertForSequenceClassification"),
    "modernbert labels": ({**CLASSES, "model": "bert"}, "ModernBertForSequenceClassification"),
    "modernbert labels, first": (
        {**CLASSES, "model.kind": "bert", "pool": "first"}, "ModernBertForSequenceClassification"
    ),
    "mbart": ({"model": "seq2seq"}, "MBartForConditionalGeneration"),
    "mbart, untied, scaled, uneven": (
        {"model.kind": "seq2seq", "tied": False, "embedding_scale": True, "encoder": "attention",
         "decoder": "3*attention"},
        "MBartForConditionalGeneration",
    ),
    "bart": ({"model.kind": "seq2seq", "norm_place": "after"}, "BartForConditionalGeneration"),
    "marian": ({"preset": "vanilla-2017", "model.dropout": 0}, "MarianMTModel"),
    "pegasus": (
        {"model.kind": "seq2seq", "positions": "sinusoidal", "embedding_norm": False}, "PegasusForConditionalGeneration"
    ),
}  # fmt: skip


class Float64Torch:
    """The torch module as their modelling code sees it, with the float32 they compute norms and angles in made float64.

    Their own code then runs unchanged, and can be compared beyond float32's seventh digit.
    """

    float32 = float = torch.float64
    FloatTensor = staticmethod(torch.DoubleTensor)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Their code of a class computes in float64, once asked to."""

    def widen(architecture: str) -> None:
        module = importlib.import_module(getattr(transformers, architecture).__module__)
        monkeypatch.setattr(module, "torch", Float64Torch())
        monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)

    return widen


class Case:
    """One network of ours with random weights, and theirs with the same."""

    def __init__(self, name: str, dtype: torch.dtype = torch.float32):
        settings, self.architecture = CASES[name]
        config = resolve([("test", {**SMALL, **settings})])
        self.config: ModelConfig = config.model
        self.head = {"clm": "next", "mlm": "masked", "seq2seq": "target", "classification": "labels"}[
            config.objective.kind
        ]
        self.pairs = config.objective.kind == "mlm" and config.objective.next_sentence
        sizes = Sizes(V, T, target_context=S if self.head == "target" else None, outputs=LABELS)
        self.module = build(self.config, sizes, self.head).to(dtype).eval()
        for parameter in self.module.parameters():
            parameter.data = torch.randn_like(parameter) * 0.3 + 0.1
        shape = Shape(V, T, self.head, target_context=sizes.target_context, outputs=LABELS)
        self.layout = layout(self.config, shape, pairs=self.pairs)
        self.tokens, self.target = torch.randint(1, V, (2, T)), torch.randint(1, V, (2, S))
        self.real = torch.ones(2, T, dtype=torch.bool)
        self.real[1, 8:] = False

    def theirs(self, dtype: torch.dtype = torch.float32) -> Any:
        labels = {"num_labels": LABELS} if self.head == "labels" else {}
        settings = AutoConfig.for_model(self.layout.model_type, **self.layout.settings, pad_token_id=0, **labels)
        model = getattr(transformers, self.layout.architecture)(settings).to(dtype).eval()
        if dtype == torch.float64:
            for part in model.modules():  # widened from float32 they would be rounded: computed anew
                if hasattr(part, "create_weight"):
                    part.weight.data = part.create_weight()
                for name in [n for n, _ in part.named_buffers(recurse=False) if n.endswith("inv_freq")]:
                    kind = (
                        {"layer_type": name.partition("_inv")[0]}
                        if name != "inv_freq" and "original" not in name
                        else {}
                    )
                    if "original" not in name:
                        setattr(part, name, part.compute_default_rope_parameters(settings, **kind)[0])
        missing, unexpected = model.load_state_dict(
            weights(self.module.state_dict(), self.layout, self.head, pairs=self.pairs), strict=False
        )
        tied = {"lm_head.weight", "decoder.weight", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
        tied |= {f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder")}
        waves = {f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder")}
        untold = tied if self.config.tied else set()
        assert unexpected == []
        assert set(missing) <= untold | (waves if self.config.positions == "sinusoidal" else set()), missing
        return model

    def our_answer(self) -> torch.Tensor:
        if self.head == "target":
            return self.module(self.tokens, self.target, self.real)
        if self.head == "next":
            return self.module(self.tokens)
        segments = (torch.arange(T) > 4).long().expand(2, T) if self.config.segments else None
        return self.module(self.tokens, self.real, segments)

    def their_answer(self, model: Any) -> torch.Tensor:
        given: dict[str, Any] = {"input_ids": self.tokens}
        if self.head != "next":
            given["attention_mask"] = self.real.long()
        if self.head == "target":
            given["decoder_input_ids"] = self.target
        if self.config.segments:
            given["token_type_ids"] = (torch.arange(T) > 4).long().expand(2, T)
        if self.head == "labels" and not self.config.bidirectional:
            given["input_ids"] = self.tokens.masked_fill(~self.real, 0)
        out = model(**given)
        return out.prediction_logits if self.pairs else out.logits


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_the_same_logits(name: str, dtype: torch.dtype, wide: Any) -> None:
    if dtype == torch.float64:
        wide(CASES[name][1])
    case = Case(name, dtype)
    assert case.layout.architecture == case.architecture
    model = case.theirs(dtype)
    with torch.no_grad():
        mine, expected = case.our_answer(), case.their_answer(model)
    assert expected.dtype == dtype
    real = case.real if case.head == "masked" else slice(None)  # what stands at filled places is nobody's answer
    tolerance = 1e-8 if dtype == torch.float64 else 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(mine[real], expected[real], rtol=0, atol=tolerance)


def test_the_head_for_pairs_answers_as_berts() -> None:
    case = Case("bert with pairs")
    with torch.no_grad():
        out = case.theirs()(input_ids=case.tokens, attention_mask=case.real.long())
        mine = case.module.pair_head(case.module.hidden(case.tokens, case.real))
    torch.testing.assert_close(mine, out.seq_relationship_logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_way_back(name: str) -> None:
    """Their config.json builds our network, and their weights fill it: the same logits again."""
    case = Case(name)
    model = case.theirs()
    fields = ours(model.config.to_dict())
    kept = {"bidirectional": case.config.bidirectional, "pool": case.config.pool}
    settings = {f"model.{key}": value for key, value in {**kept, **fields}.items() if key not in ("pool",) or value}
    objective = {"next": "clm", "masked": "mlm", "target": "seq2seq", "labels": "classification"}[case.head]
    if fields["kind"] == "seq2seq":
        settings = {key: value for key, value in settings.items() if key not in ("model.pool", "model.bidirectional")}
    config = resolve([("back", {**settings, "objective.kind": objective})]).model
    module = build(config, Sizes(V, T, target_context=S, outputs=LABELS), case.head).eval()
    found = to_ours(model.state_dict(), case.layout.table, case.head)
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if key.startswith("pair_head.") and not case.pairs:
                continue
            value.copy_(found[key][: len(value)])
        case.module, case.config = module, config
        mine, expected = case.our_answer(), case.their_answer(model)
    real = case.real if case.head == "masked" else slice(None)
    torch.testing.assert_close(mine[real], expected[real], rtol=0, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("settings", "head", "why"),
    [
        ({"model": "lstm"}, "next", "lstm layers"),
        ({"model": "hybrid"}, "next", "lstm layers"),
        ({"model": "vae"}, "latent", "variational autoencoder"),
        ({"model": "bert", "next_sentence": True}, "masked", "preset: bert"),
        ({"model.kind": "bert", "pool": "max", **CLASSES}, "labels", "pools by max"),
        ({"model": "transformer", **CLASSES}, "labels", "model: bert"),
        ({"model.kind": "transformer", "bidirectional": False, "pool": "mean", **CLASSES}, "labels", "pools by mean"),
        ({"qk_norm": True, "model.bias": True}, "next", "qk_norm: false"),
        ({"positions": "sinusoidal"}, "next", "positions: rope"),
        ({"activation": "relu"}, "next", "swiglu or geglu"),
        ({"preset": "gpt2", "window": 4}, "next", "window: none"),
        ({"model.kind": "seq2seq", "cross": "additive"}, "target", "cross: dot"),
        ({"model.kind": "seq2seq", "norm_eps": 1e-6}, "target", "norm_eps: 1e-05"),
        ({"model.kind": "seq2seq", "encoder": "lstm"}, "target", "lstm layers"),
        ({"mlp": False}, "next", "attention without MLPs"),
        ({"model.kind": "seq2seq", "embedding_norm": False}, "target", "embedding_norm"),
    ],
)  # fmt: skip
def test_what_has_no_standard_home_says_why(settings: dict[str, Any], head: str, why: str) -> None:
    config = resolve([("test", {"model.layers": 2, "model.width": 24, **settings})])
    with pytest.raises(NoLayout) as found:
        layout(config.model, Shape(V, T, head, outputs=2), pairs=config.objective.next_sentence)
    assert why in str(found.value)
    assert "\n" not in str(found.value)


def test_a_prefix_model_and_two_vocabularies_have_none() -> None:
    config = resolve([("test", SMALL)]).model
    with pytest.raises(NoLayout, match="prefix"):
        layout(config, Shape(V, T), prefix=True)
    seq2seq = resolve([("test", {**SMALL, "model.kind": "seq2seq"})]).model
    with pytest.raises(NoLayout, match="two vocabularies"):
        layout(seq2seq, Shape(V, T, "target", target_vocab=V + 1))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"model_type": "t5"}, "none that nbllm's own core computes"),
        ({"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True}, "scale"),
        ({"model_type": "bert", "type_vocab_size": 1}, "type_vocab_size"),
        ({"model_type": "llama", "rope_scaling": {"rope_type": "yarn"}}, "rope"),
        ({"model_type": "modernbert", "num_hidden_layers": 4}, "layer_types"),
    ],
)  # fmt: skip
def test_what_our_core_does_not_compute_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(NoLayout, match=why):
        ours(settings)

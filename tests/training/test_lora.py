"""Adapters: what learns and what does not, on networks of ours and of transformers; loaded, gone on from, merged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import nbllm
from nbllm.config import LoraConfig, ModelConfig
from nbllm.errors import ConfigError, MissingExtraError
from nbllm.models.language_model import LanguageModel
from nbllm.training import lora
from nbllm.training.checkpoint import weights
from tests.foreign import make

V, T = 19, 8
TEXT = ["The quick brown fox jumps over the lazy dog, 你好，世界。 " * 4] * 30
TABLE = pd.DataFrame({"text": ["the fox", "the dog", "世界", "天气"] * 12, "label": ["a", "b"] * 24})
QUIET: dict[str, Any] = {
    "sample.every": 0,
    "probe.every": 0,
    "evaluate_every": 4,
    "train.batch_size": 4,
    "train.threads": 1,
}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("gpt2", tmp_path_factory.mktemp("models") / "gpt2")


def adapted(targets: list[str] | None = None) -> tuple[LanguageModel, LanguageModel, LoraConfig]:
    """A network, and the same one with adapters that say something."""
    torch.manual_seed(0)
    plain = LanguageModel(ModelConfig(layers=2, width=16, heads=2), V, T).eval()
    for parameter in plain.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    module = LanguageModel(ModelConfig(layers=2, width=16, heads=2), V, T).eval()
    module.load_state_dict(plain.state_dict())
    config = LoraConfig(rank=3, alpha=6, targets=targets)
    lora.inject(module, config)
    return plain, module, config


def test_fresh_adapters_change_nothing_and_learn_alone() -> None:
    plain, module, _ = adapted()
    tokens = torch.randint(V, (2, T))
    torch.testing.assert_close(module(tokens), plain(tokens))
    learning = {name for name, p in module.named_parameters() if p.requires_grad}
    assert all(".lora_" in name for name in learning)
    # of each block query, key, value, out, gate, up and down
    assert len(learning) == 2 * 7 * 2
    # rank times what goes in and what comes out
    assert lora.trained(module) == sum(2 * 3 * (i + o) for i, o in [(16, 16)] * 4 + [(16, 64)] * 2 + [(64, 16)])


def test_the_formula_and_its_merging() -> None:
    """W x + (alpha / rank) B A x, and the same numbers from W + (alpha / rank) B A."""
    plain, module, config = adapted(["query", "*.mlp.down"])
    for name, parameter in module.named_parameters():
        if ".lora_" in name:
            parameter.data = torch.randn_like(parameter) * 0.3
    query = module.stack.blocks[0].mixer.query
    x = torch.randn(5, 16)
    down, up = query.lora_A["default"].weight, query.lora_B["default"].weight
    torch.testing.assert_close(query(x), x @ query.base_layer.weight.T + 6 / 3 * x @ down.T @ up.T)
    merged = lora.merged(weights(module), config)
    assert merged.keys() == weights(plain).keys()
    plain.load_state_dict(merged, strict=False)
    tokens = torch.randint(V, (2, T))
    torch.testing.assert_close(plain(tokens), module(tokens), rtol=0, atol=1e-5)
    assert lora.merged(weights(plain), config).keys() == weights(plain).keys()


def test_targets_that_are_none() -> None:
    module = LanguageModel(ModelConfig(layers=1, width=16, heads=2), V, T)
    with pytest.raises(ConfigError, match=r"No linear layer fits lora.targets 'querry'. Did you mean 'query'\?"):
        lora.targets(module, ["querry"])
    with pytest.raises(ConfigError, match="has none in its blocks"):
        lora.targets(LanguageModel(ModelConfig(kind="lstm", layers=1, width=16), V, T), None)


def test_without_peft_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r'pip install "nbllm\[lora\]"'):
        adapted()


def parent_of(run: Any) -> dict[str, Any]:
    environment = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))
    return {**environment["parent"], "trained": environment["parameters_trained"], "all": environment["parameters"]}


def test_a_run_of_ours_with_adapters_and_a_new_head(tmp_path: Path) -> None:
    base = nbllm.train("base", data=TEXT, size="tiny", steps=4, runner="inline", **{**QUIET, "train.context": 32})
    run = nbllm.train(
        "tuned", data=TABLE, init_from="base", objective="classification", steps=8, runner="inline",
        **{**QUIET, "lora.rank": 2, "schedule": "constant"},
    )  # fmt: skip
    assert run.state == "finished", run.error
    about = parent_of(run)
    assert about["fresh"] == ["head.weight"]
    assert 0 < about["trained"] < about["all"] / 4
    assert json.loads((run.folder / "status.json").read_text(encoding="utf-8"))["trained"] == about["trained"]
    before = {f"{n.rpartition('.')[0]}.base_layer.weight": t for n, t in base.load().module.state_dict().items()}
    module = run.load().module
    frozen = {name: value for name, value in module.state_dict().items() if ".base_layer." in name}
    assert frozen
    for name, value in frozen.items():
        assert torch.equal(value, before[name]), name
    assert float(module.head.weight.abs().sum()) > 0
    out = nbllm.load(run.export(tmp_path / "out"))
    expected = run.load().classify(["the fox", "天气"])
    assert (out.classify(["the fox", "天气"])["probability"] - expected["probability"]).abs().max() < 1e-5
    part = nbllm.train(
        "part", data=TABLE, init_from="base", objective="classification", steps=4, runner="inline",
        **{**QUIET, "lora.rank": 2, "schedule": "constant"},
    )  # fmt: skip
    part.resume(steps=8, runner="inline")
    for name, value in module.state_dict().items():
        assert torch.equal(value, part.load().module.state_dict()[name]), name


def test_a_model_of_transformers_with_adapters(gpt2: Path, tmp_path: Path) -> None:
    run = nbllm.train(
        "tuned", data=TEXT, init_from=f"hf:{gpt2}", steps=4, lr=1e-2, runner="inline", **{**QUIET, "lora.rank": 2}
    )
    assert run.state == "finished", run.error
    assert 0 < parent_of(run)["trained"] < parent_of(run)["all"] / 4
    model = run.load()
    text = model.generate("The fox", max_tokens=5, temperature=0)
    out = nbllm.load(run.export(tmp_path / "out"))  # merged: the library knows of no adapters
    tokens = torch.tensor([model.tokenizer.encode("The fox 你好").ids])
    with torch.no_grad():
        mine, theirs = model.module(tokens), out.module(tokens)
        before = nbllm.load(f"hf:{gpt2}").module(tokens)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    assert not torch.allclose(mine, before, atol=1e-4)
    assert out.generate("The fox", max_tokens=5, temperature=0) == text
    child = nbllm.train("child", data=TEXT, init_from="tuned", steps=1, runner="inline", **{**QUIET, "train.lr": 1e-12})
    assert child.state == "finished", child.error
    with torch.no_grad():
        torch.testing.assert_close(child.load().module(tokens), mine, rtol=0, atol=1e-5)


def test_adapters_want_weights_to_adapt() -> None:
    with pytest.raises(ConfigError, match="Add init_from: RUN"):
        nbllm.train("none", data=TEXT, **{"lora.rank": 2})

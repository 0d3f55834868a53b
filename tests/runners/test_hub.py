"""Runs that start from a model of Hugging Face: as it is, or in our own core; stopped, moved, without their source."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import transformers

import nbllm
from nbllm.config import RunConfig
from nbllm.errors import ConfigError, ModelError, NbllmError
from nbllm.handles.run import Run
from nbllm.runners import hub, plan
from tests.foreign import PLACES, V, make

TABLE = pd.DataFrame({"text": ["the fox", "the dog", "世界", "天气"] * 12, "label": ["a", "b"] * 24})
PAIRS = pd.DataFrame({"source": [f"the {i}" for i in range(40)], "target": [f"{i} 你好" for i in range(40)]})
QUIET: dict[str, Any] = {
    "sample.every": 0,
    "probe.every": 0,
    "evaluate_every": 2,
    "train.batch_size": 4,
    "train.threads": 1,
}
TEXT = ["The quick brown fox jumps over the lazy dog, 你好，世界。 " * 4] * 30


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: make(kind, root / kind) for kind in ("gpt2", "qwen3", "bert", "roberta", "t5", "bart", "bert-labels")}


def train(name: str, folder: Path, **settings: Any) -> Run:
    return nbllm.train(name, init_from=f"hf:{folder}", runner="inline", **{**QUIET, "steps": 4, "lr": 1e-3, **settings})


@pytest.mark.parametrize(
    ("kind", "data", "objective"),
    [
        ("gpt2", TEXT, "clm"),
        ("roberta", TEXT, "mlm"),
        ("t5", PAIRS, "seq2seq"),
        ("bert-labels", TABLE, "classification"),
    ],
)
def test_the_objective_follows_from_the_class(models: dict[str, Path], kind: str, data: Any, objective: str) -> None:
    run = train(
        "hub",
        models[kind],
        data=data,
        steps=16,
        lr=5e-3,
        **{"sample.every": 8, "probe.every": 8, "sample.max_tokens": 4},
    )
    assert run.state == "finished", run.error
    config = run.config
    assert (config.model.kind, config.objective.kind, config.train.optimizer) == ("huggingface", objective, "adamw")
    assert config.train.context == PLACES or kind == "t5"
    assert run.metrics["loss"].iloc[-4:].mean() < run.metrics["loss"].iloc[:4].mean()
    assert len(run.samples)
    assert list((run.folder / "probes").glob("step-*.npz"))
    parent = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))["parent"]
    assert parent["name"] == f"hf:{models[kind]}"
    assert parent["fresh"] == (["model.classifier.bias", "model.classifier.weight"] if kind == "bert-labels" else [])
    assert str(models[kind]) in nbllm.runs().loc["hub", "model"]


def test_a_checkpoint_needs_its_source_no_more(models: dict[str, Path], tmp_path: Path, runs: Path) -> None:
    folder = shutil.copytree(models["gpt2"], tmp_path / "gone")
    run = train("hub", folder, data=TEXT, steps=4)
    expected = run.load().generate("The fox", max_tokens=5, temperature=0)
    shutil.rmtree(folder)
    packed = run.pack(tmp_path / "hub.zip")
    run.delete()
    again = nbllm.unpack(packed, "moved")
    model = again.load()
    assert model.generate("The fox", max_tokens=5, temperature=0) == expected
    assert model.tokenizer.encode("你好").ids == model.tokenizer.encode("你好").ids
    assert nbllm.find_lr("moved", steps=20).table["loss"].notna().all()
    again.resume(steps=6, runner="inline")
    assert (again.state, again.step) == ("finished", 6)


def test_a_resumed_run_equals_the_uninterrupted_one(models: dict[str, Path]) -> None:
    """With the model's own dropout, a fresh head, and a stop in the middle."""
    labels = {"data": TABLE, "objective": "classification", "schedule": "constant"}
    whole = train("whole", models["bert"], steps=8, **labels)
    part = train("part", models["bert"], steps=4, **labels)
    part.resume(steps=8, runner="inline")
    assert part.state == "finished", part.error
    found = part.load().module.state_dict()
    for name, value in whole.load().module.state_dict().items():
        assert torch.equal(value, found[name]), name


def test_a_run_goes_on_from_such_a_run(models: dict[str, Path]) -> None:
    first = train("first", models["bert"], data=TEXT, steps=2)
    second = nbllm.train(
        "second", init_from="first", data=TABLE, objective="classification", steps=2, runner="inline", **QUIET
    )
    assert second.state == "finished", second.error
    parent = json.loads((second.folder / "environment.json").read_text(encoding="utf-8"))["parent"]
    assert parent["objective"] == "mlm"
    assert "model.classifier.weight" in parent["fresh"]
    assert "model.bert.encoder.layer.0.attention.self.query.weight" not in parent["fresh"]
    third = nbllm.train("third", init_from="first", data=TEXT, steps=2, runner="inline", **QUIET)
    assert third.config.objective.kind == "mlm"
    assert first.load().fill("the <mask>").shape[0] == 5


@pytest.mark.parametrize(
    ("kind", "ours"), [("qwen3", "transformer"), ("gpt2", "transformer"), ("bert", "bert"), ("bart", "seq2seq")]
)
def test_their_weights_in_our_own_core(models: dict[str, Path], kind: str, ours: str) -> None:
    """At a learning rate of nearly nothing the imported network still answers as theirs does."""
    data = PAIRS if ours == "seq2seq" else TEXT
    run = train(
        "own",
        models[kind],
        data=data,
        model=ours,
        steps=1,
        **{"train.lr": 1e-12, "train.weight_decay": 0, "train.context": 32},
    )
    assert run.state == "finished", run.error
    assert run.config.model.kind == ours
    model = run.load()
    cls = {"transformer": "AutoModelForCausalLM", "bert": "AutoModelForMaskedLM", "seq2seq": "AutoModelForSeq2SeqLM"}[
        ours
    ]
    theirs = getattr(transformers, cls).from_pretrained(models[kind], dtype=torch.float32).eval()
    tokens = torch.randint(5, 60, (1, 9))
    with torch.no_grad():
        if ours == "seq2seq":
            mine, expected = model.module(tokens, tokens), theirs(input_ids=tokens, decoder_input_ids=tokens).logits
        else:
            mine, expected = model.module(tokens), theirs(tokens).logits
    size = mine.shape[-1]
    torch.testing.assert_close(mine, expected[..., :size], rtol=0, atol=1e-4 * expected.abs().max().item())
    exported = nbllm.load(run.export(run.folder.parent / "out"))
    again = type(exported.module.model).__name__
    assert again == type(theirs).__name__


def test_imported_weights_get_a_new_head(models: dict[str, Path]) -> None:
    run = train("own", models["gpt2"], data=TABLE, model="transformer", objective="classification", steps=2)
    assert run.state == "finished", run.error
    assert run.config.model.bidirectional is False
    parent = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))["parent"]
    assert parent["fresh"] == ["head.weight"]


def test_contexts(models: dict[str, Path]) -> None:
    assert plan.configure([("call", {"init_from": f"hf:{models['gpt2']}"})]).train.context == PLACES
    assert plan.configure([("call", {"init_from": f"hf:{models['gpt2']}", "train.context": 32})]).train.context == 32
    assert plan.configure([("call", {"init_from": f"hf:{models['t5']}", "size": "base"})]).train.context == 512
    with pytest.raises(ConfigError, match=f"reads at most {PLACES} tokens.*Try context: {PLACES}"):
        train("hub", models["roberta"], data=TEXT, **{"train.context": PLACES + 2})


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"init_from": "hf:./nowhere"}, "no folder './nowhere'"),
        ({"init_from": "hf:"}, "names no model"),
        ({"model": "huggingface"}, "Add init_from: hf:NAME_OR_PATH"),
        ({"init_from": "hf:someone/something"}, "not on this machine.*--allow-download"),
    ],
)
def test_what_is_not_there_is_said_at_once(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(NbllmError, match=why) as found:
        nbllm.train("hub", data=TEXT, **settings)
    assert "\n" not in str(found.value)


def test_refusals(models: dict[str, Path], tmp_path: Path) -> None:
    name = f"hf:{models['bert']}"
    with pytest.raises(ConfigError, match=r"learns no next sentence as it is.*model: bert"):
        nbllm.train("hub", data=TEXT, init_from=name, objective="mlm", **{"objective.next_sentence": True})
    with pytest.raises(ConfigError, match="of kind bert here, not transformer"):
        nbllm.train("hub", data=TEXT, init_from=name, model="transformer")
    with pytest.raises(NbllmError, match="none that nbllm's own core computes"):
        nbllm.train("hub", data=TEXT, init_from=f"hf:{models['t5']}", model="seq2seq")
    bare = shutil.copytree(models["bert"], tmp_path / "bare")
    settings = json.loads((bare / "config.json").read_text(encoding="utf-8"))
    (bare / "config.json").write_text(json.dumps({**settings, "architectures": ["BertModel"]}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cannot be told from its class.*objective: clm, mlm"):
        nbllm.train("hub", data=TEXT, init_from=f"hf:{bare}")
    pickled = shutil.copytree(models["gpt2"], tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \.safetensors file \(only pytorch_model\.bin, which can hold code"):
        nbllm.train("hub", data=TEXT, init_from=f"hf:{pickled}")


def test_a_name_of_the_hub_is_found_in_its_cache(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache as the hub's client lays it out; nothing is fetched, and the revision is written down."""
    revision = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "cache" / "models--someone--small"
    shutil.copytree(models["gpt2"], home / "snapshots" / revision)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(revision, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert nbllm.load("hf:someone/small").generate("The", max_tokens=3).tokens
    run = nbllm.train("hub", data=TEXT, init_from="hf:someone/small", runner="inline", steps=2, **QUIET)
    assert run.state == "finished", run.error
    parent = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))["parent"]
    assert parent["revision"] == revision
    assert "base_model: someone/small" in (run.export(tmp_path / "out") / "README.md").read_text(encoding="utf-8")


CODE = """
import pathlib
from transformers import GPT2Config, GPT2LMHeadModel
pathlib.Path({mark!r}).write_text("ran")
class Config(GPT2Config):
    model_type = "nbllm_test_own"
class Model(GPT2LMHeadModel):
    config_class = Config
"""


def test_a_models_own_code_runs_only_where_one_says_so(models: dict[str, Path], tmp_path: Path, runs: Path) -> None:
    folder, mark = shutil.copytree(models["gpt2"], tmp_path / "own_code"), tmp_path / "mark"
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings |= {
        "model_type": "nbllm_test_own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "own.py").write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    run = train("hub", folder, data=TEXT)
    assert "brings code of its own" in run.error
    assert "trust_remote_code: true" in run.error
    with pytest.raises(ModelError, match="code of its own"):
        nbllm.load(f"hf:{folder}")
    assert not mark.exists()
    # a folder from elsewhere says "trust": what this user has not said does not count
    config = RunConfig.from_yaml((run.folder / "config.yaml").read_text(encoding="utf-8"))
    config.model.options = {"trust_remote_code": True}
    (run.folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    run.resume(runner="inline")
    assert "nobody has agreed" in run.error
    assert not mark.exists()
    trusted = train("trusted", folder, data=TEXT, config={"model": {"options": {"trust_remote_code": True}}})
    assert trusted.state == "finished", trusted.error
    assert mark.exists()


def test_gentle_learning_unless_told_otherwise(models: dict[str, Path]) -> None:
    config = plan.configure([("call", {"init_from": f"hf:{models['gpt2']}"})])
    assert (config.train.lr, config.train.optimizer) == (5e-5, "adamw")
    config = plan.configure([("call", {"init_from": f"hf:{models['gpt2']}", "lora.rank": 2})])
    assert config.train.lr == hub.ADAPTERS_LR
    config = plan.configure([("call", {"init_from": f"hf:{models['gpt2']}", "lr": 1e-3, "train.optimizer": "muon"})])
    assert (config.train.lr, config.train.optimizer) == (1e-3, "muon")


def test_spans_take_t5s_own_marks(models: dict[str, Path]) -> None:
    run = train("hub", models["t5"], data=TEXT, objective="span", steps=2, **{"train.context": 32})
    assert run.state == "finished", run.error
    assert run.load().tokenizer.get_vocab_size() <= V

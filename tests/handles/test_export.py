"""Exported folders: loaded where nbllm cannot be imported, with the same numbers; the rest by nbllm alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import huggingface_hub
import pandas as pd
import pytest
import torch
import yaml

import nbllm
from nbllm.config import resolve
from nbllm.data import tokenizers
from nbllm.errors import ModelError
from nbllm.handles.export import Exported, export
from nbllm.handles.model import Model
from nbllm.objectives.make import make, module_for, recipe

TEXTS = ["the fox and the dog", "héllo 你好，世界。", "今天天气很好，我们去公园。"]
TEXT, PAIR = "the dog 你好", "世界 and the fox"
SMALL: dict[str, Any] = {"model.layers": 2, "model.width": 24, "model.heads": 2, "train.context": 40}
LABELS: dict[str, Any] = {"objective.kind": "classification", "objective.labels": ["no", "so", "yes"]}
# Settings, the class of transformers, and the class that finds it.
STANDARD: dict[str, tuple[dict[str, Any], str, str]] = {
    "qwen3": ({}, "Qwen3ForCausalLM", "AutoModelForCausalLM"),
    "llama": ({"qk_norm": False, "tied": False}, "LlamaForCausalLM", "AutoModelForCausalLM"),
    "gpt2": ({"preset": "gpt2"}, "GPT2LMHeadModel", "AutoModelForCausalLM"),
    "modernbert": ({"model": "bert"}, "ModernBertForMaskedLM", "AutoModelForMaskedLM"),
    "bert": ({"preset": "bert"}, "BertForPreTraining", "AutoModelForPreTraining"),
    "bert labels": ({"preset": "bert", "next_sentence": False, **LABELS}, "BertForSequenceClassification",
                    "AutoModelForSequenceClassification"),
    "modernbert labels": ({"model": "bert", **LABELS}, "ModernBertForSequenceClassification",
                          "AutoModelForSequenceClassification"),
    "qwen3 labels": ({"bidirectional": False, **LABELS}, "Qwen3ForSequenceClassification",
                     "AutoModelForSequenceClassification"),
    "seq2seq": ({"model": "seq2seq"}, "MBartForConditionalGeneration", "AutoModelForSeq2SeqLM"),
    "vanilla": ({"preset": "vanilla-2017", "train.target_context": 50}, "MarianMTModel", "AutoModelForSeq2SeqLM"),
}  # fmt: skip
READ = """
import sys
sys.modules["nbllm"] = None
import json, torch, transformers
found = {}
for folder, auto, text, pair in json.loads(sys.argv[1]):
    model, info = getattr(transformers, auto).from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    given = tokenizer(text, pair, return_tensors="pt")
    asked = dict(given)
    if auto == "AutoModelForSeq2SeqLM":
        asked["decoder_input_ids"] = tokenizer(pair or text, return_tensors="pt").input_ids
    with torch.no_grad():
        out = model.eval()(**asked)
    logits = out.prediction_logits if hasattr(out, "prediction_logits") else out.logits
    entry = {"class": type(model).__name__, "ids": given.input_ids[0].tolist(), "logits": logits[0].tolist(),
             "text": tokenizer.decode(given.input_ids[0], skip_special_tokens=True), "names": sorted(given),
             "length": tokenizer.model_max_length, "labels": list(model.config.id2label.values())}
    if auto in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM"):
        told = tokenizer(text, return_tensors="pt")
        entry["written"] = model.generate(**told, max_new_tokens=5, do_sample=False)[0].tolist()
    found[folder] = entry
print(json.dumps(found))
"""


def made(settings: dict[str, Any]) -> Model:
    """A model with random weights, as a run would leave it, without a run."""
    torch.manual_seed(0)
    config = resolve([("test", {**SMALL, **settings})])
    tokenizer = tokenizers.train(config.tokenizer, TEXTS, recipe(config).special)
    objective = make(config, tokenizer)
    module = module_for(config, objective).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    return Model(module, objective, config, Path("a-model"), 3)


def framed(model: Model) -> tuple[list[int], list[int]]:
    """TEXT and PAIR as the objective frames them: ids and segments."""
    task, objective = model.objective.task, model.objective
    first = model.tokenizer.encode(TEXT, add_special_tokens=False).ids
    second = model.tokenizer.encode(PAIR, add_special_tokens=False).ids
    if hasattr(objective, "framed"):
        ids, segments = objective.framed(first, second)
        return ids.tolist(), segments.tolist()
    if hasattr(objective, "mask"):
        cls, sep = task.token("<cls>"), task.token("<sep>")
        ids = [cls, *first, sep, *second, sep]
        return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1)
    if hasattr(objective, "target_end"):
        return [*first, task.end], []
    return first, []


def test_standard_folders_load_without_nbllm(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    models, asked = {}, []
    for name, (settings, architecture, auto) in STANDARD.items():
        model, folder = made(settings), tmp_path / name
        written = export(model, folder)
        assert (written.architecture, written.reason) == (architecture, "")
        assert f"transformers.{auto}" in str(written)
        two_texts = hasattr(model.objective, "framed") or hasattr(model.objective, "mask")
        models[str(folder)] = (model, architecture)
        asked.append((str(folder), auto, TEXT, PAIR if two_texts else None))
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(asked)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for folder, (model, architecture) in models.items():
        theirs = found[folder]
        ids, segments = framed(model)
        head = model.objective.goal.head
        assert theirs["class"] == architecture
        assert theirs["ids"] == ids, folder
        assert theirs["length"] == model.objective.task.context
        assert ("token_type_ids" in theirs["names"]) == (model.config.model.segments)
        expected = f"{TEXT}{PAIR}" if len(ids) > 20 else TEXT
        assert theirs["text"] == expected
        with torch.no_grad():
            tokens = torch.tensor([ids])
            if head == "target":
                ours = model.module(tokens, tokens)
            elif head == "next":
                ours = model.module(tokens)
            else:
                ours = model.module(tokens, None, torch.tensor([segments]) if model.config.model.segments else None)
        torch.testing.assert_close(torch.tensor(theirs["logits"]), ours[0], rtol=0, atol=1e-4 * ours.abs().max().item())
        if head == "labels":
            assert theirs["labels"] == ["no", "so", "yes"]
        if head == "target":
            assert theirs["written"][0] == model.objective.task.end
        if head == "next":
            assert theirs["written"][: len(ids)] == ids


OWN: dict[str, tuple[dict[str, Any], str]] = {
    "lstm": ({"model": "lstm", "model.heads": None}, "lstm layers"),
    "hybrid": ({"model": "hybrid"}, "lstm layers"),
    "vae": ({"model.kind": "vae", "model.layers": 1}, "variational autoencoder"),
    "prefix": ({"objective": "prefix-lm"}, "prefix"),
    "pools otherwise": ({"model.kind": "bert", "model.pool": "max", **LABELS}, "pools by max"),
}


@pytest.mark.parametrize("name", OWN)
def test_what_has_no_home_is_read_by_nbllm(name: str, tmp_path: Path) -> None:
    settings, why = OWN[name]
    settings = {key: value for key, value in settings.items() if value is not None}
    if name == "lstm":
        settings = {**settings}
    model = made_without_heads(settings) if name == "lstm" else made(settings)
    written = export(model, tmp_path / "out")
    assert why in written.reason
    assert written.architecture == ""
    assert "nbllm.load(" in str(written)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "library_name: nbllm" in card
    assert 'nbllm.load("FOLDER")' in card
    again = nbllm.load(tmp_path / "out")
    assert again.config.model == model.config.model
    for key, value in model.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[key], value), key
    assert again.tokenizer.encode("你好").ids == model.tokenizer.encode("你好").ids


def made_without_heads(settings: dict[str, Any]) -> Model:
    kept = SMALL.pop("model.heads")
    try:
        return made(settings)
    finally:
        SMALL["model.heads"] = kept


def test_a_warning_says_why_where_nobody_prints(tmp_path: Path) -> None:
    model = made({"model": "hybrid"})
    with pytest.warns(UserWarning, match="No class of transformers computes"):
        assert model.export(tmp_path / "out") == tmp_path / "out"


def test_two_vocabularies_are_kept_apart(tmp_path: Path) -> None:
    config = resolve([("test", {**SMALL, "model.kind": "seq2seq", "tokenizer.separate": True})])
    first = tokenizers.train(config.tokenizer, TEXTS[:1], ())
    second = tokenizers.train(config.tokenizer, TEXTS[1:], ())
    objective = make(config, first, second)
    model = Model(module_for(config, objective).eval(), objective, config, Path("m"), 1)
    assert "two vocabularies" in export(model, tmp_path / "out").reason
    again = nbllm.load(tmp_path / "out")
    assert again.objective.task.target_tokenizer.get_vocab() == second.get_vocab()
    assert again.generate("the fox", max_tokens=3) == model.generate("the fox", max_tokens=3)


def test_a_later_export_leaves_nothing_of_an_earlier(tmp_path: Path) -> None:
    export(made({}), tmp_path / "out")
    export(made({"model": "hybrid"}), tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()
    nbllm.load(tmp_path / "out")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "status.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="folder of a run"):
        export(made({}), tmp_path / "runs")


def test_an_exported_folder_is_read_back_as_a_model_of_the_library(tmp_path: Path) -> None:
    model = made({"preset": "gpt2"})
    export(model, tmp_path / "out")
    again = nbllm.load(tmp_path / "out")
    assert again.generate(TEXT, max_tokens=6, temperature=0) == model.generate(TEXT, max_tokens=6, temperature=0)
    assert again.score(TEXT) == pytest.approx(model.score(TEXT), rel=1e-4)


def test_one_sigmoid_and_several_labels(tmp_path: Path) -> None:
    """The hub's form of yes or no is one label with a sigmoid, and of several labels a sigmoid each."""
    for name, more in (("one", {"objective.answer": "sigmoid", "objective.labels": ["no", "yes"]}), ("several", {})):
        several = {"objective.multi_label": True} if name == "several" else {}
        model = made({"model": "bert", **LABELS, **more, **several})
        assert export(model, tmp_path / name).architecture == "ModernBertForSequenceClassification"
        config = json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8"))
        assert config["problem_type"] == "multi_label_classification"
        again = nbllm.load(tmp_path / name)
        mine, theirs = model.classify([TEXT, PAIR]), again.classify([TEXT, PAIR])
        assert (mine["p(yes)"] - theirs["p(yes)"]).abs().max() < 1e-5
        assert list(again.objective.task.labels)[-1] == "yes"


def test_a_model_of_a_cell_is_written_in_our_form(tmp_path: Path) -> None:
    @nbllm.models.register("of_a_cell")
    class OfACell(torch.nn.Module):
        def __init__(self, config: Any, vocab_size: int, context: int) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(vocab_size, vocab_size)

        def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
            return self.table(tokens_BT)

    written = export(made({"model": "of_a_cell"}), tmp_path / "out")
    assert "the model 'of_a_cell' of a cell" in written.reason
    assert nbllm.load(tmp_path / "out").score(TEXT) > 0


def test_the_card_of_a_run(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": ["good | <b>*day*</b> ```"] * 30 + ["bad"] * 30, "label": ["x", "y"] * 30})
    run = nbllm.train(
        "carded", data=table, model="bert", objective="classification", size="tiny", steps=4, runner="inline",
        evaluate_every=2, **{"sample.every": 2, "probe.every": 0, "sample.prompt": "```\n<script>"},
    )  # fmt: skip
    folder = run.export(tmp_path / "out", license="mit")
    card = (folder / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert front == {
        "library_name": "transformers",
        "tags": ["nbllm", "modernbert"],
        "pipeline_tag": "text-classification",
        "license": "mit",
    }
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    for part in (
        "carded",
        "4 steps of classification",
        "fingerprint",
        "| held-out loss |",
        "## Limits",
        "Intended use",
    ):
        assert part in card, part
    measured = run.metrics["val_loss"].dropna()
    assert f"{measured.min():.4g}" in card
    before, inside, after = card.split("````")  # a longer fence than any in the configuration
    assert inside.startswith("yaml")
    assert "<script>" in inside
    assert "<script>" not in before + after
    assert "license: mit" in card
    assert "# license: fill in" in export(run.load(), tmp_path / "other").folder.joinpath("README.md").read_text(
        "utf-8"
    )


def test_the_card_holds_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"text": ["good day", "bad day"] * 30, "label": ["<b>x</b>", "y"] * 30})
    run = nbllm.train(
        "looked-into", data=table, model="lstm", objective="classification", size="tiny", steps=4, runner="inline"
    )
    bare = run.export(tmp_path / "bare").joinpath("README.md").read_text("utf-8")
    assert "Not looked into: balance (`run.balance()`), bias (`model.bias()`), membership" in bare
    assert "toxicity" not in bare  # it does not write
    model = run.load()
    found = [run.balance(), model.robustness(changes="typos")]
    folder = run.export(tmp_path / "out")
    card = (folder / "README.md").read_text("utf-8")
    for finding in found:
        assert f"### {finding.title}" in card
        assert f"![{finding.title}]({finding.kind}.svg)" in card
        assert f"*What this does not show.* {finding.limits}" in card
        xml = ElementTree.parse(folder / f"{finding.kind}.svg").getroot()
        assert xml.tag == "{http://www.w3.org/2000/svg}svg"
    assert "| &lt;b&gt;x&lt;/b&gt; | label | 30 | 0.5 |" in card
    assert "<b>x" not in card.split("</details>")[1]
    told = "Not looked into: bias (`model.bias()`), membership (`model.membership()`), personal data (`run.scan()`)."
    assert told in card
    assert "Decisions about people" in card
    hub = _Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    run.export(tmp_path / "sent", push="me/it")  # with the pictures that its card shows
    assert {f"{finding.kind}.svg" for finding in found} <= set(hub.calls[-1][1]["allow_patterns"])


class _Hub:
    """Stands in for the hub: keeps what the upload calls were given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repo_id: str, **how: Any) -> huggingface_hub.RepoUrl:
        self.calls.append(("create", {"repo_id": repo_id, **how}))
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self, **how: Any) -> None:
        self.calls.append(("upload", {**how, "files": sorted(p.name for p in Path(how["folder_path"]).iterdir())}))


def test_pushing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a local stand-in for the two calls of HfApi: no hub was at hand. Nothing is sent unless it is asked."""
    hub = _Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    export(made({}), tmp_path / "out")
    assert hub.calls == []
    (tmp_path / "out" / "secret.txt").write_text("mine", encoding="utf-8")
    written = export(made({}), tmp_path / "out", push="me/small")
    (_, created), (_, uploaded) = hub.calls
    assert created == {"repo_id": "me/small", "private": True, "exist_ok": True}
    assert {"config.json", "model.safetensors", "README.md", "tokenizer.json"} <= set(uploaded["files"])
    assert "secret.txt" not in uploaded["allow_patterns"]
    assert written.pushed == "https://huggingface.co/me/small"
    export(made({}), tmp_path / "out", push="me/small", public=True)
    assert hub.calls[-2][1]["private"] is False


def test_a_hub_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(_Hub):
        def create_repo(self, repo_id: str, **how: Any) -> huggingface_hub.RepoUrl:
            raise OSError("401\nUnauthorized")

    monkeypatch.setattr(huggingface_hub, "HfApi", Refuses)
    with pytest.raises(ModelError, match=r"not uploaded to me/small: 401 Unauthorized.*hf auth login"):
        export(made({}), tmp_path / "out", push="me/small")


def test_what_was_exported_says_how_to_load_it() -> None:
    said = str(Exported(Path("out"), "MarianMTModel", pushed="https://hub/me"))
    assert (
        said
        == "Wrote out. Load it: transformers.AutoModelForSeq2SeqLM.from_pretrained('out')\nUploaded: https://hub/me"
    )

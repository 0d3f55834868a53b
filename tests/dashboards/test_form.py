"""The form that writes the cell: it says what its cell says and what it was loaded with, of every setting there is."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import nbllm
from nbllm.config import BUDGETS, FAMILIES, GOALS, PRESETS, forms, options
from nbllm.dashboards import form_told
from nbllm.dashboards.form import Form, configure, listed, page, text
from nbllm.dashboards.form_draft import Draft
from nbllm.dashboards.form_widget import Widget
from nbllm.errors import ConfigError, NbllmError
from nbllm.handles.forecast import forecast
from nbllm.plots.network import network_svg, words
from nbllm.plots.network_parts import wrapped
from tests.dashboards.drawn import config_of, draw, make_ground
from tests.magics.shell import give_run

DRAWN = 200


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own, for presets."""
    monkeypatch.setenv("NBLLM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def widget():
    """A form as a page has it; what it begins is kept in `.begun`."""
    begun: list[Any] = []
    shown = Widget(Draft("words", {"model.kind": "lstm", "size": "tiny"}), begun.append)
    shown.begun = begun
    yield shown
    shown.close()


def say(shown: Widget, **values: Any) -> None:
    """As the page does, when a person changes fields."""
    shown.values = {**shown.values, **{key.replace("__", "."): value for key, value in values.items()}}


# Form to cell to form


def test_form_to_cell_to_form_is_the_identity(runs: Path, tmp_path: Path) -> None:
    """On random valid settings that, together, give every field of the schema another value than its default."""
    parents = make_ground(runs, tmp_path)
    random_ = random.Random(7)
    usual = {option.path: option.default for option in options()}
    varied: set[str] = set()
    for number in range(DRAWN):
        values = draw(random_, parents)
        flags = random_.choice([{}, {"seeds": 3}, {"replace": True, "runner": "inline"}, {"wait": True}])
        draft = Draft(random_.choice([None, "words", "好-1"]), values, flags)
        cell = draft.cell
        assert cell.startswith("%%llm_train")
        assert all(line.isprintable() for line in cell.splitlines()), cell
        again = Draft.of_cell(cell, {})
        assert again == draft, f"{number}: {cell}"
        assert again.config == draft.config == config_of(values), cell
        # The same from the whole configuration, as a run keeps it: only what has to be said is said.
        whole = Draft.of(draft.config, draft.name)
        assert whole.config == draft.config, cell
        assert Draft.of_cell(whole.cell, {}) == whole, whole.cell
        if number % 20 == 0:
            assert Draft.of_cell(draft.config.to_yaml(), {}) == Draft(None, whole.values)
        varied |= {path for path, value in values.items() if value != usual[path]}
    assert {option.path for option in options()} - varied == set()


def test_every_setting_stands_in_the_form_once_with_help_and_numbers_with_a_unit() -> None:
    fields = [field for _, inside in forms.fields() for field in inside]
    assert sorted(field.path for field in fields) == sorted(option.path for option in options())
    assert all(field.help and field.label for field in fields)
    numbers = {field.path for field in fields if field.kind in ("int", "float")}
    assert numbers <= set(forms.UNITS)
    limits = {field.path: field.limits for field in fields}
    assert limits["model.heads"] == "1 to 512"
    assert limits["model.dropout"] == "0, below 1"
    assert limits["train.lr"] == "above 0 to 10"
    assert limits["train.batch_size"] == "1 or more"
    assert limits["model.kind"] == ""


def test_what_a_hand_has_written_is_read() -> None:
    cell = "run = %llm_train words --lr 3e-3 --model hybrid # so\n"
    assert Draft.of_cell(cell).values == {"train.lr": 0.003, "model.kind": "hybrid"}
    body = "%%llm_train words --data {{df}}\nmodel: {kind: hybrid, blocks: 2*conv+attention}\nlr: 3e-3\nsample: hello"
    draft = Draft.of_cell(body, {"df": [1]})
    assert draft.values["model.blocks"] == ["conv", "conv", "attention"]
    assert draft.values["data.source"] == "{{df}}"
    assert draft.values["sample.prompt"] == "hello"
    assert "--data {{df}}" in draft.cell
    assert "blocks: 2*conv+attention" in draft.cell
    assert Draft.of_cell("%llm_train --steps {{n}}", {"n": 7}).values == {"train.steps": 7}
    for wrong in ("%%llm_task sentiment --train", "print(1)", "%llm_train words --resume", "model: {kynd: lstm}"):
        with pytest.raises(ConfigError):
            Draft.of_cell(wrong)


def test_a_list_in_a_cell_may_hold_commas() -> None:
    """Also of settings that may be left out."""
    draft = Draft("x", {"objective.kind": "classification", "model.kind": "bert", "objective.labels": ["a, b", "c"]})
    assert 'labels: ["a, b", c]' in draft.cell
    assert Draft.of_cell(draft.cell).config.objective.labels == ["a, b", "c"]


# What changes with a change


def test_a_change_of_family_or_objective_lets_go_of_what_no_longer_fits(widget: Widget) -> None:
    say(widget, model__kind="transformer", model__heads=2, data__source="zh-phrases")
    assert widget.fault == {}
    say(widget, model__kind="rnn")
    assert "model.heads" not in widget.values
    assert "heads" in widget.said["text"]
    assert widget.values["data.source"] == "zh-phrases"
    say(widget, objective__kind="seq2seq")
    assert widget.values["model.kind"] == "seq2seq"
    assert "data.source" not in widget.values
    assert widget.shown["data.source"] == "date-pairs"
    say(widget, model__kind="vae")
    assert "objective.kind" not in widget.values
    assert widget.shown["objective.kind"] == "elbo"
    say(widget, preset="gpt2")
    say(widget, model__kind="lstm")
    assert "preset" not in widget.values
    assert widget.fault == {}


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_can_be_chosen_from_every_other(kind: str, widget: Widget) -> None:
    if kind == "huggingface":
        return
    for learns in GOALS:
        say(widget, objective__kind=learns)
        assert widget.fault == {}, (learns, widget.fault)
        say(widget, model__kind=kind)
        assert widget.fault == {}, (kind, learns, widget.fault)
    for preset in PRESETS:
        say(widget, preset=preset)
        assert widget.fault == {}, (preset, widget.fault)
        assert widget.shown["model.kind"] == PRESETS[preset]["model.kind"]


def test_a_wrong_value_is_said_and_the_rest_stays(widget: Widget) -> None:
    before, drawing = widget.cell, widget.network
    say(widget, train__batch_size=0)
    assert widget.fault["path"] == "train.batch_size"
    assert "1" in widget.fault["text"]
    assert (widget.cell, widget.network) == (before, drawing)
    widget._hear(widget, {"kind": "train"}, [])
    assert widget.begun == []
    assert widget.fault["text"]
    say(widget, train__batch_size=8)
    assert widget.fault == {}
    assert "batch_size: 8" in widget.cell


def test_large_numbers_pass_through_a_page(widget: Widget) -> None:
    """JavaScript's numbers end at 2^53: a larger seed goes as text."""
    widget.load("%%llm_train words\nseed: 9007199254740993")
    assert widget.shown["train.seed"] == widget.values["train.seed"] == "9007199254740993"
    say(widget, size="small")
    assert "seed: 9007199254740993" in widget.cell


def test_only_what_matters_is_shown(widget: Widget) -> None:
    assert "model.heads" not in widget.matter
    assert "objective.kl_steps" not in widget.matter
    assert "train.cooldown" in widget.matter
    say(widget, model__kind="vae", train__schedule="cosine")
    assert {"objective.kl_steps", "model.latent"} <= set(widget.matter)
    assert "train.cooldown" not in widget.matter


# Training, loading, presets


def test_it_trains_what_its_cell_trains(runs: Path, widget: Widget, monkeypatch: pytest.MonkeyPatch) -> None:
    say(widget, model__layers=1, model__width=16, train__steps=3, train__context=8, sample__every=0, probe__every=0)
    widget.flags = {"runner": "inline"}
    widget._hear(widget, {"kind": "train"}, [])
    assert widget.fault == {}
    (run,) = widget.begun
    assert (run.name, run.state) == ("words", "finished")
    assert run.config == widget.draft.config
    widget._hear(widget, {"kind": "train"}, [])
    assert "'words' is there already" in widget.fault["text"]
    form = configure("words")
    assert form.settings["model.width"] == 16
    assert form.config == run.config
    assert form._draft.name == "words-1"
    found = forecast(form.config)
    assert found.like == "words"
    assert found.per_second == pytest.approx(nbllm.attach("words")._folder.status().tokens_per_second, rel=0.2)
    assert found.passes == pytest.approx(3 * 16 * 8 / form_told_tokens(run))


def form_told_tokens(run: Any) -> float:
    """Tokens of the training text, as the run has counted them."""
    from nbllm.handles.record import Record

    return Record(run).train_tokens


def test_a_variable_of_the_notebook_is_put_in_when_it_trains(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbllm.dashboards.form_draft.notebook_names", lambda: {"texts": ["To be, or not. 你好。"] * 60})
    form = configure("own", data="{{texts}}", size="tiny", layers=1, context=8, steps=2, **{"sample.every": 0})
    form._draft.flags = {"runner": "inline"}
    assert "--data {{texts}}" in form.cell
    run = form.train()
    assert run.state == "finished", run.error
    assert configure("own").settings["data.source"] == str(run.folder / "data" / "records.jsonl")


def test_presets_are_kept_listed_taken_and_never_overwritten_silently(home: Path, widget: Widget) -> None:
    say(widget, train__lr=0.004, data__source="{{df}}")
    widget._hear(widget, {"kind": "save", "name": "quick"}, [])
    assert widget.fault == {}
    assert ["quick", True] in widget.presets
    file = home / "presets" / "quick.yaml"
    kept = file.read_text(encoding="utf-8")
    assert "{{" not in kept
    say(widget, train__lr=0.005)
    widget._hear(widget, {"kind": "save", "name": "quick"}, [])
    assert "already" in widget.fault["text"]
    assert file.read_text(encoding="utf-8") == kept
    config = nbllm.config.resolve([("line", {"preset": "quick", "minutes": 2})])
    assert (config.model.kind, config.size, config.train.lr, config.preset) == ("lstm", "tiny", 0.004, "quick")
    other = configure("x", preset="quick", steps=5)
    assert other.settings == {"model.kind": "lstm", "size": "tiny", "train.lr": 0.004, "train.steps": 5}
    assert Draft.of_cell("%llm_train x --preset quick").config.train.lr == 0.004
    assert listed().loc["quick", "whose"] == "yours"
    widget._hear(widget, {"kind": "save", "name": "quick", "replace": True}, [])
    assert configure(preset="quick").settings["train.lr"] == 0.005
    (option,) = [option for option in options() if option.path == "preset"]
    assert "quick" in option.choices
    for name in ("gpt2", "../out", "", "a b"):
        widget._hear(widget, {"kind": "save", "name": name}, [])
        assert widget.fault["text"], name
    assert [each.name for each in (home / "presets").iterdir()] == ["quick.yaml"]
    widget._hear(widget, {"kind": "delete", "name": "quick"}, [])
    assert ["quick", True] not in widget.presets
    with pytest.raises(ConfigError, match="no preset 'quick'"):
        configure(preset="quick")


def test_a_preset_that_another_hand_has_spoiled_is_said(home: Path) -> None:
    (home / "presets").mkdir(parents=True)
    (home / "presets" / "bad.yaml").write_text("model: [unclosed", encoding="utf-8")
    assert "valid YAML" in listed().loc["bad", "sets"]
    with pytest.raises(ConfigError, match="valid YAML"):
        configure(preset="bad")


# Estimates and the drawing


@pytest.mark.parametrize("budget", BUDGETS)
def test_estimates_are_told_for_every_budget(budget: str, runs: Path) -> None:
    give_run(runs)
    config = configure(**{budget: 2}).config
    found = forecast(config)
    rows = form_told.estimates(found)
    assert rows[0]["value"] == f"{found.parameters:,}"
    assert all(row["value"] for row in rows)
    if budget == "minutes":
        assert found.seconds == 120
    if budget == "steps":
        assert found.tokens == 2 * config.train.batch_size * config.train.context
    assert found.fits
    large = form_told.estimates(forecast(configure(size="base", batch_size=100_000).config))
    assert large[1]["warn"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_drawn_and_described(preset: str) -> None:
    config = configure(preset=preset, objective="classification" if "bilstm" in preset else None).config
    drawn = network_svg(config, 128)
    root = ElementTree.fromstring(drawn)
    said = words(config, 128)
    assert root.attrib["aria-label"] == said
    assert "tokens" in said
    seen = "".join(root.itertext())
    assert ("MLP" in seen) == any(config.model.mlp_of(mixer) for mixer in config.model.all_mixers())


def test_the_drawing_follows_the_choices_and_escapes_what_it_says() -> None:
    assert "2 × block" in network_svg(configure(model="lstm", size="mini").config, 128)
    hybrid = configure(model="hybrid", **{"model.blocks": "2*conv+attention+2*conv+attention"}).config
    assert "2 × these blocks" in network_svg(hybrid, 128)
    two = words(configure(model="seq2seq", size="tiny").config, 128)
    assert two.startswith("Encoder: ")
    assert "attention to the source" in two
    assert "latent space" in words(configure(model="vae").config, 128)
    hostile = "hf:<script>alert(1)</script>"
    config = configure(size="tiny").config
    config.__dict__["init_from"] = hostile
    config.model.__dict__["kind"] = "huggingface"
    drawn = network_svg(config, 128)
    assert "<script" not in drawn
    ElementTree.fromstring(drawn)


def test_lines_are_cut_to_their_room_chinese_as_wide_as_high() -> None:
    assert wrapped("one two three", 1000, 11) == ["one two three"]
    assert all(len(line) <= 5 for line in wrapped("今天天气很好我们去公园", 60, 11))
    assert "".join(wrapped("今天天气很好我们去公园", 60, 11)) == "今天天气很好我们去公园"
    assert len(wrapped("x" * 100, 60, 11)) > 5


# Without a page


def test_without_a_page_it_shows_estimates_and_the_cell(capsys: pytest.CaptureFixture[str]) -> None:
    form = configure("words", model="lstm", size="tiny", **{"sample.prompt": "<img src=x>"})
    form.show("text")
    said = capsys.readouterr().out
    assert said.strip().endswith(form.cell)
    assert "Parameters" in said
    assert text(form) + "\n" == said
    shown = page(form)
    assert "<img" not in shown
    assert "&lt;img" in shown
    assert "nbllm-network" in shown
    assert form.load("%llm_train other --model gru").cell == "%%llm_train other --model gru"
    assert form.set(steps=5).cell == "%%llm_train other --model gru --steps 5"
    assert Form.last is form
    with pytest.raises(NbllmError, match="holds no table"):
        configure(data=["a table"])
    with pytest.raises(NbllmError):
        configure("no/name")


def test_its_module_stands_alone(widget: Widget) -> None:
    assert "import {" not in widget._esm
    assert "innerHTML" not in widget._esm
    assert "http" not in widget._esm

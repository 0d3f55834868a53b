"""Runs beside each other: figures, differences, samples, and a line for everything that stands in the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nbllm
from nbllm.errors import RunError
from nbllm.models import flops
from nbllm.store.folder import RunFolder
from tests.handles.made import damage, made, say

HOSTILE = '<img src=x onerror="window.hacked=1">'


def test_the_table_says_what_each_run_is_and_did(runs: Path) -> None:
    made(runs, "slow", {"train.seed": 9}, level=3.0)
    made(runs, "good", {"model": "lstm", "train.seed": 0}, steps=80, level=1.0)
    table = nbllm.compare("slow", "good").table
    assert list(table.index) == ["good", "slow"], "the best first"
    row = table.loc["good"]
    assert row["state"] == "finished"
    assert row[["parameters", "steps", "tokens", "best_step"]].tolist() == [50_000, 80, 80 * 64, 80]
    assert row["minutes"] == pytest.approx(8 / 60)
    assert row["tokens_per_second"] == pytest.approx(640)
    assert row["best_val_loss"] == pytest.approx(1 + 2 / 80)
    assert row["bits_per_byte"] == pytest.approx(1.5 * row["best_val_loss"])
    assert row["flops"] == pytest.approx(80 * 64 * flops.per_token(nbllm.attach("good").config, 0, 100))
    assert table.loc["slow", "flops"] == pytest.approx(100 * 64 * flops.per_token(nbllm.attach("slow").config, 0, 100))


def test_the_best_measurement_is_found_wherever_it_stands(runs: Path) -> None:
    run = made(runs, "over")
    say(run, {"t": 0, "event": "evaluation", "step": 120, "val_loss": 9.0, "bits_per_byte": 13.5})
    assert nbllm.compare("over").table.loc["over", "best_step"] == 100


def test_only_settings_that_differ_are_told(runs: Path) -> None:
    made(runs, "one", {"lr": 1e-3, "data.clean.language": "zh"})
    made(runs, "two", {"lr": 2e-3})
    differences = nbllm.compare("one", "two").differences
    assert differences.index.tolist() == ["data.clean.language", "train.lr"]
    assert differences.loc["train.lr"].tolist() == [1e-3, 2e-3]
    made(runs, "three", {"lr": 2e-3})
    assert nbllm.compare("two", "three").differences.empty
    assert "No setting differs." in nbllm.compare("two", "three")._repr_html_()


def test_the_last_samples_stand_beside_each_other(runs: Path) -> None:
    made(runs, "poet", sample=("今天", "天气很好"))
    made(runs, "mute")
    samples = nbllm.compare("poet", "mute").samples
    assert samples.loc["poet"].tolist() == [100, "今天", "天气很好"]
    assert samples.loc["mute", "text"] is None


def test_names_runs_lists_and_stars(runs: Path) -> None:
    for name in ("w-1", "w-2", "诗"):
        made(runs, name)
    assert [run.name for run in nbllm.compare(["w-1", nbllm.attach("诗")], runs / "w-1").runs] == ["w-1", "诗"]
    assert {run.name for run in nbllm.compare("w-*").runs} == {"w-1", "w-2"}
    assert len(nbllm.compare(nbllm.runs().index).runs) == 3


def test_another_order(runs: Path) -> None:
    made(runs, "long", steps=100, level=1.0)
    made(runs, "short", steps=60)
    assert list(nbllm.compare("long", "short", sort="minutes").table.index) == ["short", "long"]
    assert list(nbllm.compare("short", "long", sort="tokens_per_second").table.index) == ["short", "long"]
    with pytest.raises(RunError, match=r"no column 'minute'\. Did you mean 'minutes'\?"):
        nbllm.compare("long", sort="minute")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("nobody",), r"no run 'nobody'\. Did you mean 'nobody-1'"),
        (("x-*",), r"No run is called 'x-\*'"),
        ((), "nothing to compare"),
        (([],), "nothing to compare"),
    ],
)
def test_a_wrong_name_is_one_line(runs: Path, call: tuple[object, ...], said: str) -> None:
    made(runs, "nobody-1")
    with pytest.raises(RunError, match=said):
        nbllm.compare(*call)


def test_a_run_in_training_is_shown_as_far_as_it_is(runs: Path) -> None:
    made(runs, "done")
    live = made(runs, "live", state="training", every=0)
    with RunFolder(live.folder).writing():
        found = nbllm.compare("done", "live")
        assert found.notices == [
            "live is still in training (step 100 of 100): compare again for newer figures.",
            "live was not measured on held-out text yet.",
        ]
    assert np.isnan(found.table.loc["live", "best_val_loss"])
    assert list(found.table.index) == ["done", "live"], "what was not measured comes last"
    assert found.table.loc["live", "steps"] == 100


def test_a_run_that_has_not_begun(runs: Path) -> None:
    made(runs, "done")
    made(runs, "new", state="queued", steps=0)
    with RunFolder(runs / "new").writing():
        found = nbllm.compare("done", "new")
        assert found.notices == ["new is still waiting (step 0): compare again for newer figures."]
        assert len(found.figure().data) == 2
        assert "new" in found._repr_html_()


def test_damage_is_told_in_a_line_and_the_rest_is_read(runs: Path) -> None:
    made(runs, "whole")
    damage(made(runs, "no-config"), "config.yaml")
    say(made(runs, "no-numbers"), {"event": "evaluation", "step": 120, "val_loss": "x"})
    damage(made(runs, "no-status"), "status.json")
    found = nbllm.compare("whole", "no-config", "no-numbers", "no-status")
    notices = "\n".join(found.notices)
    assert "config.yaml of 'no-config' line 1" in notices
    assert "Run 'no-numbers' is damaged: lines of metrics.jsonl that hold no numbers: 1." in notices
    assert "status.json is missing or damaged" in notices
    assert found.table["best_val_loss"].nunique() == 1, "the figures of all four were read"
    assert list(found.differences.columns) == ["whole", "no-numbers", "no-status"]
    for shown in (repr(found), found._repr_html_()):
        assert "Traceback" not in shown
    assert found.figure().data


def test_other_tokens_are_compared_by_bits_per_byte(runs: Path) -> None:
    made(runs, "char", level=1.5, bits=2.0)
    made(runs, "bpe", level=4.0, bits=0.5, tokenizer='{"model": 1}')
    found = nbllm.compare("char", "bpe")
    assert found.notices == [
        "These runs cut text into different tokens, so losses cannot be compared; bits per byte can."
    ]
    assert list(found.table.index) == ["bpe", "char"]
    assert found.y == "bits_per_byte"
    assert found.figure().layout.yaxis.title.text == "bits per byte"
    assert found.figure().data[1].y[-1] == pytest.approx(found.table.loc["char", "bits_per_byte"], rel=1e-6)
    assert found.figure(y="loss").layout.yaxis.title.text == "loss (nats a token)"


def test_other_texts_and_objectives_are_told(runs: Path) -> None:
    made(runs, "docs")
    made(runs, "novel", report={"bytes": 9999})
    assert "different held-out texts" in nbllm.compare("docs", "novel").notices[0]
    made(runs, "masked", {"model": "bert"}, bits=None)
    notices = nbllm.compare("docs", "masked").notices
    assert notices == ["These runs learn different things (clm, mlm), so their losses cannot be compared."]
    assert nbllm.compare("docs", "masked").y == "loss", "one of them has no bits per byte"


def test_one_run_alone(runs: Path) -> None:
    made(runs, "one")
    found = nbllm.compare("one")
    assert found.notices == ["This is one run alone; name another to see them beside each other."]
    assert found.differences.empty
    assert len(found.table) == 1


def test_a_failed_run_says_why(runs: Path) -> None:
    made(runs, "one")
    run = made(runs, "bad", state="failed", steps=3)
    status = (run.folder / "status.json").read_text()
    damage(
        run, "status.json", status.replace('"error": {}', '"error": {"message": "Out of memory.", "advice": "Less."}')
    )
    assert nbllm.compare("one", "bad").notices[0] == "bad failed at step 3. Out of memory. Less."


def test_what_a_resume_voids_is_not_counted(runs: Path) -> None:
    run = made(runs, "again", sample=("a", "b"))
    say(run, {"t": 0, "event": "resume", "step": 50})
    (run.folder / "samples.jsonl").open("a").write('{"event": "resume", "step": 50}\n')
    found = nbllm.compare("again")
    assert found.table.loc["again", "best_step"] == 40
    assert found.samples.loc["again", "text"] is None


def test_all_text_is_escaped(runs: Path) -> None:
    made(runs, "one", {"sample.prompt": HOSTILE}, sample=(HOSTILE, HOSTILE))
    damage(made(runs, "two", sample=("a", "b")), "config.yaml", f"{HOSTILE}: [")
    shown = nbllm.compare("one", "two")._repr_html_()
    assert "<img" not in shown
    assert "&lt;img src=x" in shown
    assert "<script" not in shown


def test_the_page_is_small_and_names_its_parts(runs: Path) -> None:
    for number in range(6):
        made(runs, f"run-{number}", {"lr": 1e-3 * (1 + number)}, steps=3000, sample=("p", "word " * 1000))
    shown = nbllm.compare("run-*")._repr_html_()
    assert len(shown) < 80_000
    assert shown.count("<caption") == 2
    assert shown.count("<polyline") == 12
    assert 'role="img"' in shown


def test_the_terminal_gets_tables_and_samples(runs: Path) -> None:
    made(runs, "first", {"lr": 1e-3}, sample=("今天", "天气很好"))
    made(runs, "第二")
    text = repr(nbllm.compare("first", "第二"))
    assert "bits per byte" in text
    assert "train.lr" in text
    assert "--- first, step 100\n今天天气很好" in text


def test_the_tables_are_plain_dataframes(runs: Path) -> None:
    made(runs, "one")
    found = nbllm.compare("one")
    assert all(isinstance(each, pd.DataFrame) for each in (found.table, found.differences, found.samples))
    assert found.table.sort_values("minutes").to_csv().startswith("run,state,parameters")


def test_wrong_axes_are_one_line(runs: Path) -> None:
    made(runs, "one")
    found = nbllm.compare("one")
    for wrong in ({"x": "hours"}, {"y": "accuracy"}, {"smoothing": 2}):
        with pytest.raises(RunError, match="Use "):
            found.figure(**wrong)  # type: ignore[arg-type]

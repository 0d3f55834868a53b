"""The report of a run: what it holds, that it stands alone, and that no text in it is markup."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbllm
from nbllm.cli import main
from nbllm.dashboards.report import maps
from nbllm.dashboards.report.page import html_of
from nbllm.errors import RunError
from nbllm.handles.run import Run
from nbllm.inspection.finding import keep
from nbllm.store.files import read_json, write_json
from nbllm.store.folder import RunFolder
from tests.dashboards.synthetic import HOSTILE, Writer
from tests.inspection.test_finding import finding
from tests.markup import Markup

MOST = 3_000_000


def written(folder: Path, kind: str = "attention", steps: int = 200, tokens: list[str] | None = None) -> Run:
    """A run that a writer has left, with curves, samples and maps."""
    writer = Writer(folder, kind=kind, tokens=tokens)
    writer.until(steps)
    writer.status("finished")
    writer.close()
    return Run(folder)


def packed(page: str) -> tuple[dict[str, Any], np.ndarray]:
    """What the page says of its maps, and their values."""
    box = page[page.index('data-kind="maps"') :]
    about = re.search(r'<script type="application/json">(.*?)</script>', box)
    values = re.search(r'class="packed">(.*?)</script>', box)
    assert about is not None
    assert values is not None
    shape = json.loads(about[1])
    raw = gzip.decompress(base64.b64decode(values[1]))
    return shape, np.frombuffer(raw, np.uint8).reshape(shape["shape"])


def test_a_page_holds_all_that_the_folder_says(tmp_path: Path) -> None:
    run = written(tmp_path / "poems")
    keep(finding(form="bars"), run.folder)
    environment = read_json(run.folder / "environment.json", {})
    write_json(run.folder / "environment.json", {**environment, "command": "%llm_train poems", "cwd": "/home/somebody"})
    page = html_of(run)
    for word in (
        "poems", "finished", "803,072", "held-out loss", "But soft, what light at step 200", "今天", "python-docs",
        "What this does not show", "%llm_train poems", "torch", "FLOPs a token", "lr: 0.005",
    ):  # fmt: skip
        assert word in Markup(page).text or word in page, word
    assert "somebody" not in page, "the names of the user's folders are nobody's business"
    assert page.count("<svg") >= 3, "curves, finding and cost stand without a script"
    assert len(page.encode()) < MOST
    assert 'lang="zh"' not in page, "its samples are English"


def test_nothing_is_fetched_and_one_script_may_run(tmp_path: Path) -> None:
    page = html_of(written(tmp_path / "alone"))
    read = Markup(page)
    for tag, attributes in read.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
        source = attributes.get("src")
        assert source is None or source.startswith("data:image/png"), source
        assert tag != "script" or "src" not in attributes
        assert not any(name.startswith("on") for name in attributes), attributes
    policy = next(each["content"] for tag, each in read.elements if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert page.count("<script>") == 1


def test_maps_are_exact_to_a_level_and_thinned_to_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = written(tmp_path / "maps")
    about, values = packed(html_of(run))
    assert about["steps"] == [50, 100, 150, 200]
    for place, step in enumerate(about["steps"]):
        with np.load(run.folder / "probes" / f"step-{step}.npz") as file:
            assert np.abs(values[place] / 255 - file["attention"]).max() <= 0.5 / 255 + 1e-3
    monkeypatch.setattr(maps, "MOST", len(base64.b64encode(gzip.compress(values.tobytes()))) // 2)
    about, values = packed(html_of(run))
    assert about["steps"][-1] == 200
    assert len(values) == len(about["steps"]) < 4


def test_gates_stand_by_unit_with_the_range_of_each(tmp_path: Path) -> None:
    run = written(tmp_path / "gates", "gates")
    about, values = packed(html_of(run))
    assert about["heads"] == ["input", "forget", "output", "cell"]
    assert about["rows"][3] == "unit 3"
    with np.load(run.folder / "probes" / "step-200.npz") as file:
        gates = file["gates"].astype(np.float32)  # layer, gate, token, unit
    for number, (low, high) in enumerate(about["ends"]):
        back = low + values[-1][:, number] / 255 * (high - low)
        assert np.abs(back - gates[:, number].transpose(0, 2, 1)).max() < (high - low) / 255
    assert about["ends"][3] == [-1.0, 1.0]


def test_hostile_text_is_text_everywhere(tmp_path: Path) -> None:
    nasty = [HOSTILE, "</script><script>window.hacked=4</script>", "\u202etxt", "\x07", "שלום", "天气", "<!--", "]]>"]
    run = written(tmp_path / "nasty", tokens=nasty)
    folder = RunFolder(run.folder)
    with open(folder.samples, "a", encoding="utf-8") as file:
        sample = {"event": "sample", "step": 200, "prompt": HOSTILE, "text": HOSTILE + nasty[1] + "\u202e天气"}
        file.write(json.dumps(sample) + "\n")
    about = {"source": HOSTILE, "vocab_size": 65, "label_counts": {HOSTILE: 3}}
    write_json(folder.data / "report.json", about)
    write_json(folder.environment, {"command": HOSTILE, "device": HOSTILE, "versions": {HOSTILE: HOSTILE}})
    page = html_of(run)
    read = Markup(page)
    assert read.tags <= {
        "html", "head", "meta", "title", "style", "body", "a", "header", "h1", "h2", "h3", "bdi", "p", "dl", "div",
        "dt",
        "dd", "nav", "ul", "li", "main", "section", "figure", "figcaption", "svg", "path", "text", "polyline", "circle",
        "rect", "g", "script", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td", "pre",
        "span", "wbr", "img", "code", "footer", "polygon",
    }  # fmt: skip
    assert sum(tag == "img" for tag, _ in read.elements) == 1, "the still picture alone"
    assert "\u202e" not in page
    assert "⟨U+202E⟩" in page
    assert 'lang="zh"' in page
    assert packed(page)[0]["columns"][0] == HOSTILE.replace(" ", "␣")


def test_a_young_and_a_damaged_run_have_a_page(tmp_path: Path) -> None:
    young = written(tmp_path / "young", steps=1)
    assert "kept no picture" in html_of(young)
    (young.folder / "config.yaml").write_text("{ not: [", encoding="utf-8")
    (young.folder / "probes" / "probe.json").write_text("[]", encoding="utf-8")
    (young.folder / "metrics.jsonl").write_text("nonsense\n", encoding="utf-8")
    page = html_of(young)
    assert "No step was done" in page
    assert "config.yaml" in page


def test_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("NBLLM_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    run = written(tmp_path / "runs" / "here", steps=10)
    assert run.report().path.resolve() == tmp_path / "here.html"
    assert run.report(tmp_path / "other").path.name == "other.html"
    assert run.report(tmp_path / "runs").path.name == "here.html"
    assert main(["report", "here", "third.html"]) == 0
    assert capsys.readouterr().out.strip() == "third.html"
    assert (tmp_path / "third.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(RunError, match="no folder"):
        run.report(tmp_path / "nowhere" / "page.html")
    assert "here.html" in nbllm.attach("here").report()._repr_html_()

"""Runs beside each other in a real JupyterLab: a figure whose buttons need no kernel, and what a saved page keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nbllm
from tests.browser.notebooks import Notebooks, until
from tests.handles.made import made

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
_PLOT = "document.querySelector('.js-plotly-plot')"
_SHOWN = (
    f"() => {{ const p = {_PLOT}; return [p.layout.xaxis.title.text, p.layout.yaxis.type, p._fullData[1].x.at(-1)] }}"
)
_PRESS = f"""(label) => [...{_PLOT}.querySelectorAll('.updatemenu-button')].find((b) => b.textContent === label)
    .dispatchEvent(new MouseEvent('click', {{bubbles: true}}))"""


@pytest.mark.parametrize("dark", [False, True])
def test_the_buttons_of_the_figure_work_without_a_kernel(tmp_path: Path, dark: bool) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, dark=dark, height=1500) as lab:
        made(lab.runs, "words", {"model": "lstm", "train.seed": 9}, steps=300, sample=("To be, ", "or not to be."))
        made(lab.runs, "短语", {"lr": 1e-3, "train.seed": 0}, steps=200, sample=("今天", "天气很好，我们去公园散步。"))
        nbllm.attach(lab.runs / "短语").label(note="给学生看的第一个模型")
        with lab.notebook(
            "compare", ["%load_ext nbllm", "%llm_compare words 短语", "import nbllm\nnbllm.runs()"]
        ) as page:
            for cell in range(3):
                lab.run_cell(cell)
            until(lambda: page.evaluate(f"() => {_PLOT}?._fullData?.length") == 4, "the figure")
            lab.screenshot(f"compare-{'dark' if dark else 'light'}")
            text = lab.output_text(1)
            for part in ("train.lr", "bits per byte", "今天天气很好，我们去公园散步。", "300"):
                assert part in text
            page.evaluate("async () => { await jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
            assert page.evaluate(_SHOWN) == ["step", "linear", 300]
            page.evaluate(_PRESS, "tokens")
            page.evaluate(_PRESS, "log")
            until(lambda: page.evaluate(_SHOWN) == ["tokens", "log", 300 * 64], "the tokens")
            assert lab.console_errors() == []
            saved = json.loads(lab.save().read_text())
    figure, tables = (output["data"] for output in saved["cells"][1]["outputs"])
    assert "".join(figure["text/html"]).startswith("<svg"), "for pages that draw no Plotly"
    assert "train.lr" in "".join(tables["text/html"])
    assert len(json.dumps(saved)) < 400_000


def test_seeds_are_followed_while_they_train(tmp_path: Path) -> None:
    quick = "--size tiny --layers 1 --width 16 --heads 2 --context 16 --batch-size 4 --steps 60 --evaluate-every 10"
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1100) as lab:
        cells = ["%load_ext nbllm", f"%llm_train 种子 --seeds 2 --data zh-phrases {quick}"]
        with lab.notebook("seeds", cells) as page:
            lab.run_cell(0)
            lab.run_cell(1)
            assert "over 0 of 2 seeds" in lab.output_text(1)
            until(lambda: "over 2 of 2 seeds" in lab.output_text(1), "the end of both", 120)
            until(lambda: page.evaluate(f"() => {_PLOT} !== null"), "the figure in place of the picture")
            lab.screenshot("seeds")
            assert page.evaluate("() => document.querySelectorAll('.nbllm-series').length") == 1
            assert lab.console_errors() == []
        lab.end_runs()

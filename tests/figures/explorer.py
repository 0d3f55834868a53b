"""Attention over 1,024 tokens in the explorer: to compute, to show, to redraw in Chromium, and its memory; medians."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import psutil

from tests.browser.notebooks import Notebooks, until

GOAL = 200  # ms from a key or a click to the drawn map
SHOWN = 2000  # ms from running the cell to the drawn map
TOKENS = 1024
TIMES = 5
REDRAWS = 15
# A model of 4 layers of 4 heads that reads 1,024 tokens; what it learned matters not.
TRAIN = f"""
import time, nbllm
run = nbllm.train("long", data="python-docs", model="transformer", size="tiny", steps=2, runner="inline",
                  context={TOKENS}, layers=4, heads=4, width=128, batch_size=1,
                  **{{"sample.every": 0, "probe.every": 0}})
model = run.load()
text = open(nbllm.__file__.replace("__init__", "registry")).read()
maps = model.attention(text)
assert maps.weights.shape == (4, 4, {TOKENS}, {TOKENS}), maps
"""
COMPUTE = f"""
times = []
for _ in range({TIMES}):
    start = time.perf_counter()
    maps = model.attention(text)
    times.append(1000 * (time.perf_counter() - start))
print("ms", *times)
"""
# As large as BERT: one map stands for all, for it is the way to the page that is measured.
LARGE = f"""
import numpy as np
from nbllm.inspection.maps import AttentionMaps
large = AttentionMaps(np.broadcast_to(maps.weights[:1, :1], (12, 12, {TOKENS}, {TOKENS})), maps.tokens)
"""
# Runs a cell; resolves with the milliseconds until its explorer has drawn a map and the browser has shown it.
SHOW = """([index]) => new Promise((done) => {
    const content = window.jupyterapp.shell.currentWidget.content, cell = content.widgets[index].node;
    const before = cell.querySelector('.nbllm-explorer');
    content.activeCellIndex = index;
    const start = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    const look = () => {
        const all = [...cell.querySelectorAll('.nbllm-explorer')];
        const found = all.find((each) => each !== before && each.dataset.drawn);
        if (found) requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
        else if (performance.now() - start > 90000) done(null);
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look); })"""
# Does things one after another; resolves with the milliseconds of each until its frame is on the screen.
REDRAW = """async ([index, kind, what]) => {
    const cell = window.jupyterapp.shell.currentWidget.content.widgets[index].node, times = [];
    const acts = {
        key: (key) => cell.querySelector('canvas.nbllm-map').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })),
        line: (key) => cell.querySelector('canvas.nbllm-lines').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })),
        head: (place) => cell.querySelectorAll('.nbllm-thumb')[place].click(),
        press: (text) => [...cell.querySelectorAll('button')].find((each) => each.textContent === text).click(),
    };
    for (const each of what) {
        const start = performance.now();
        acts[kind](each);
        await new Promise((done) => requestAnimationFrame(() => { const port = new MessageChannel(); port.port1.onmessage = done; port.port2.postMessage(0); }));
        times.push(performance.now() - start);
    }
    return times; }"""  # noqa: E501


def measure() -> list[dict[str, Any]]:
    """Rows of what was measured: milliseconds, and megabytes where they are meant."""
    with tempfile.TemporaryDirectory() as folder, Notebooks(Path(folder), env={"NBLLM_STANDBY": "0"}) as lab:
        cells = [TRAIN, COMPUTE, "maps.explore()", LARGE, "large.explore()"]
        with lab.notebook("explorer", cells) as page:
            lab.run_cell(0)
            lab.run_cell(1)
            until(lambda: "ms" in lab.output_text(1), f"the maps: {lab.output_text(0)}", 240)
            compute = [float(part) for part in lab.output_text(1).split()[1:]]
            rows = [_row("to compute: 4 layers of 4 heads, on the CPU", compute)]
            before = _memory()
            shown = [_asked(page.evaluate(SHOW, [2])) for _ in range(TIMES)]
            rows.append(_row("to show: from running the cell to the drawn map", shown, SHOWN))
            grown = _memory() - before
            acts = {
                "to redraw: the cursor moves": ("key", ["ArrowDown", "ArrowRight", "PageDown"] * (REDRAWS // 3)),
                "to redraw: closer and back": ("key", ["+", "+", "-", "0", "Enter"] * (REDRAWS // 5)),
                "to redraw: another head": ("head", [(5 * i + 3) % 16 for i in range(REDRAWS)]),
                "to redraw: rollout and a head": ("head", [16, 3] * (REDRAWS // 2)),
            }
            for name, (kind, what) in acts.items():
                rows.append(_row(name, page.evaluate(REDRAW, [2, kind, what]), GOAL))
            page.evaluate(REDRAW, [2, "press", ["Lines"]])
            down = ["ArrowDown", "PageDown", "ArrowRight", "ArrowDown", "ArrowLeft"] * (REDRAWS // 5)
            rows.append(_row("to redraw: lines of the next token", page.evaluate(REDRAW, [2, "line", down]), GOAL))
            tabs = ["Strongest pairs", "Heads", "Heatmap"] * (REDRAWS // 3)
            rows.append(_row("to redraw: another tab", page.evaluate(REDRAW, [2, "press", tabs]), GOAL))
            rows.append({"what": "weights in the page, float16", "MB": _weights(page, 2)})
            rows.append({"what": "the page grew by, after five shows", "MB": round(grown, 1)})
            lab.run_cell(3)
            large = [_asked(page.evaluate(SHOW, [4])) for _ in range(3)]
            rows.append(_row("to show: 12 layers of 12 heads, fetched head by head", large))
            rows.append({"what": "weights in the page of these", "MB": _weights(page, 4)})
            rows.append({"what": "the saved notebook with both", "MB": round(lab.save().stat().st_size / 1e6, 2)})
            assert lab.console_errors() == [], lab.console_errors()
    return rows


def _row(what: str, times: list[float], goal: int | None = None) -> dict[str, Any]:
    return {
        "what": what, "median, ms": round(statistics.median(times), 1), "goal, ms": goal,
        "worst, ms": round(max(times), 1), "MB": None,
    }  # fmt: skip


def _asked(milliseconds: float | None) -> float:
    assert milliseconds is not None, "no explorer was shown"
    return milliseconds


def _weights(page: Any, cell: int) -> float:
    """Megabytes that the explorer itself says it holds."""
    said = page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".nbllm-explorer-foot").inner_text()
    number, unit = said.split()[:2]
    return float(number) / (1000 if unit == "kB" else 1)


def _memory() -> float:
    """Megabytes that the browser's page processes hold for themselves alone."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    pages = [each for each in children if "--type=renderer" in each.cmdline()]
    return float(sum(each.memory_full_info().uss for each in pages)) / 1e6

"""How long a person waits, in a real JupyterLab with Chromium: first points, first tokens, `1+1`, buttons, long runs.

    python -m tests.benchmarks.latency [OUT.json] [--only first-point,kernel,generate,long,button] [--repeats 5]

Every figure is a median of five. Waits are measured inside the page with performance.now(), from giving the cell to
JupyterLab until the thing is there to be seen; each new kernel is a new notebook. It is one measurement at a time and
wants an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from nbllm.store.folder import RunFolder
from tests.benchmarks.table import write
from tests.browser.notebooks import BUSY, Notebooks, until
from tests.dashboards.synthetic import Writer, long_log, step_event
from tests.figures.run import markdown

Row = dict[str, Any]
LOAD = "%load_ext nbllm"
LONG_STEPS = 200_000
ENDLESS = 10_000_000
PINGS = 25
FEW = "--size tiny --layers 1 --width 16 --heads 2 --context 16 --batch-size 4"
# Runs a cell and resolves with the milliseconds until what `seen` says of its node is true, looked at every frame.
_RUN_UNTIL = """([index]) => new Promise((done) => {
    const content = window.jupyterapp.shell.currentWidget.content, cell = content.widgets[index].node;
    const seen = () => { const d = cell.querySelector('.js-plotly-plot'); return %s; };
    content.activeCellIndex = index;
    const start = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    const look = () => seen() ? done(performance.now() - start)
        : performance.now() - start > 90000 ? done(null) : requestAnimationFrame(look);
    requestAnimationFrame(look); })"""
_POINT = "d?.data?.[0]?.type === 'scatter' && (d.data[0].y?.length ?? 0) > 0"
_CLICK = """([index, label, words]) => new Promise((done) => {
    const cell = window.jupyterapp.shell.currentWidget.content.widgets[index].node;
    const state = cell.querySelector('.nbllm-live .nbllm-state'), start = performance.now();
    [...cell.querySelectorAll('.nbllm-live button')].find((b) => b.textContent === label).click();
    const look = () => state.innerText.includes(words) ? done(performance.now() - start)
        : performance.now() - start > 20000 ? done(null) : requestAnimationFrame(look);
    look(); })"""
_PING = """async () => { const start = performance.now();
    await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({ code: '1+1' }).done;
    return performance.now() - start; }"""
# Resolves once the last step drawn in the cell is `step`.
_LAST = """([index, step]) => new Promise((done) => {
    const cell = window.jupyterapp.shell.currentWidget.content.widgets[index].node, start = performance.now();
    const look = () => { const x = cell.querySelector('.js-plotly-plot')?.data?.[0]?.x ?? [];
        x[x.length - 1] >= step ? done(true) : performance.now() - start > 60000 ? done(false)
        : requestAnimationFrame(look); };
    look(); })"""


class Bench(Notebooks):
    """Notebooks with measures. All that it writes, the user's cache included, lies in its folder."""

    def __init__(self, work: Path, env: dict[str, str] | None = None):
        self.home = work / "home"
        super().__init__(work, height=1400, env={"NBLLM_HOME": str(self.home), **(env or {})})

    def run_until(self, index: int, seen: str) -> float:
        """Seconds from running a cell until what is said of `cell` or its chart `d` is true."""
        passed = self.page.evaluate(_RUN_UNTIL % seen, [index])
        if passed is None:
            raise RuntimeError(f"Cell {index} did not come to show this in 90 s: {seen}\n{self.output_text(index)}")
        return float(passed) / 1000

    def standby_ready(self) -> None:
        """Wait until the current kernel's standby worker has loaded its libraries and waits for a job."""

        def standby() -> psutil.Process | None:
            for child in self.kernel_process().children():
                with suppress(psutil.Error):  # one that has just ended
                    if "--standby" in child.cmdline():
                        return child
            return None

        until(standby, "the standby")
        worker = standby()
        assert worker is not None
        before = -1.0
        while (spent := sum(worker.cpu_times()[:2])) != before or spent < 0.5:
            before = spent
            time.sleep(1)  # it is idle when a whole second used no processor

    def no_standby(self) -> None:
        """Wait until no standby of an earlier kernel is left: a user has one at most."""
        path = self.home / "runtime" / "standby.lock"

        def free() -> bool:
            lock = FileLock(path, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return False
            lock.release()
            return True

        until(lambda: not path.parent.is_dir() or free(), "the end of the standby")

    def fresh_user(self) -> None:
        """Nothing trains, stands by or lies in the cache of token files."""
        self.end_runs()
        self.no_standby()
        shutil.rmtree(self.home / "tokens", ignore_errors=True)


@contextmanager
def bench(env: dict[str, str] | None = None) -> Iterator[Bench]:
    """A Bench in a folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="nbllm-bench-", ignore_cleanup_errors=True) as folder:
        with Bench(Path(folder) / "lab", env) as lab:
            try:
                yield lab
            finally:
                lab.end_runs()


def row(what: str, seconds: list[float], goal: float | None) -> Row:
    """One line of the table, in milliseconds."""
    values = [round(1000 * value, 1) for value in seconds]
    median = round(statistics.median(values), 1)
    met = None if goal is None else median <= 1000 * goal
    goal_ms = None if goal is None else round(1000 * goal, 1)
    return {"what": what, "median, ms": median, "goal, ms": goal_ms, "met": met, "worst, ms": max(values)}


def first_point(repeats: int) -> list[Row]:
    """From running a `%%llm_train` cell, with its defaults, until the first point of its loss is drawn."""
    first, later, cached, alone = [], [], [], []
    with bench() as lab:
        for turn in range(repeats):
            lab.fresh_user()
            names = [f"run-{turn}-{part}" for part in "ab"]
            with lab.notebook(f"new-{turn}", [LOAD, *(f"%%llm_train {name}\nsize: mini" for name in names)]):
                lab.run_cell(0)
                first.append(lab.run_until(1, _POINT))
                lab.end_runs()
                lab.standby_ready()
                later.append(lab.run_until(2, _POINT))
                lab.end_runs()
    with bench({"NBLLM_STANDBY": "0"}) as lab:
        for turn in range(repeats):
            lab.fresh_user()
            names = [f"run-{turn}-{part}" for part in "ab"]
            with lab.notebook(f"alone-{turn}", [LOAD, *(f"%%llm_train {name}\nsize: mini" for name in names)]):
                lab.run_cell(0)
                alone.append(lab.run_until(1, _POINT))
                lab.end_runs()
                cached.append(lab.run_until(2, _POINT))
                lab.end_runs()
    return [
        row("first loss point: first cell of a new kernel", first, 4),
        row("first loss point: later cell, warm standby", later, 2),
        row("first loss point: first cell, no standby", alone, None),
        row("first loss point: later cell, no standby", cached, None),
    ]


def kernel(repeats: int) -> list[Row]:
    """`1+1` idle and while a run trains with its dashboard in the page: from a client, and from the page."""

    def from_client(lab: Bench) -> list[float]:
        with lab.client() as client:
            return [_ask(client) for _ in range(repeats * PINGS)]

    def from_page(lab: Bench) -> list[float]:
        return [lab.page.evaluate(_PING) / 1000 for _ in range(repeats * PINGS)]

    with bench() as lab, lab.notebook("kernel", [LOAD, "%%llm_train kernel\nsize: mini\nsteps: 1000000"]):
        lab.run_cell(0)
        lab.standby_ready()
        idle_client, idle_page = from_client(lab), from_page(lab)
        lab.run_until(1, _POINT)
        time.sleep(15)  # past the renewal of the standby and the first flood of points
        busy_client, busy_page = from_client(lab), from_page(lab)
    goal = max(0.030, 3 * statistics.median(idle_client))
    return [
        row("1+1 from a kernel client, idle", idle_client, None),
        row("1+1 from a kernel client, while training", busy_client, goal),
        row("1+1 from the page, idle", idle_page, None),
        row("1+1 from the page, while training", busy_page, 0.1),
    ]


def _ask(client: Any) -> float:
    start = time.perf_counter()
    client.execute("1+1", silent=False, store_history=False, reply=True, timeout=30)
    return time.perf_counter() - start


def generate(repeats: int) -> list[Row]:
    """From running `%llm_generate` beside a training run until the first text after the prompt is seen."""
    prompt = "The "
    seen = f"(cell.querySelector('.jp-Cell-outputArea')?.innerText ?? '').trim().length > {len(prompt.strip()) + 1}"
    cell = f'%llm_generate beside "{prompt}" --max-tokens 100'
    cold, warm = [], []
    with bench() as lab, lab.notebook("beside", [LOAD, "%%llm_train beside\nsize: mini\nsteps: 1000000"]) as first:
        lab.run_cell(0)
        lab.run_cell(1)
        until(lambda: RunFolder(lab.runs / "beside").checkpoint_steps(), "a checkpoint", 300)
        for turn in range(repeats):
            with lab.notebook(f"generate-{turn}", [LOAD, cell, cell]):
                lab.run_cell(0)
                cold.append(lab.run_until(1, seen))
                lab.wait_idle()
                warm.append(lab.run_until(2, seen))
                lab.wait_idle()
                if not all("tokens/s" in lab.output_text(index) for index in (1, 2)):
                    raise RuntimeError(f"Nothing was generated:\n{lab.output_text(1)}\n{lab.output_text(2)}")
        lab.turn_to(first, "beside")
        if "training" not in lab.state_text(1):
            raise RuntimeError(f"The run did not train all the while: {lab.state_text(1)}")
    return [
        row("first token of %llm_generate beside a run: cold kernel", cold, 6),
        row("first token of %llm_generate beside a run: warm", warm, 1),
    ]


def long(repeats: int) -> list[Row]:
    """A run of 200,000 logged steps: opened where the imports are done, and a new step on its way to the page."""
    opened, short_news, long_news = [], [], []
    with bench() as lab:
        _ended_run(lab.runs / "short", 200)
        _ended_run(lab.runs / "long-0", LONG_STEPS)
        for turn in range(1, repeats):
            shutil.copytree(lab.runs / "long-0", lab.runs / f"long-{turn}")
        cells = [f"%llm_attach long-{turn}" for turn in range(repeats)]
        with lab.notebook("long", [LOAD, "%llm_attach short", *cells]):
            lab.run_cell(0)
            lab.run_until(1, _POINT)
            lab.wait_idle()
            for turn in range(repeats):
                # A thinned curve ends with the highest or lowest point of its last bucket.
                drawn = f"d?.data?.[0]?.x?.[d.data[0].x.length - 1] >= {0.99 * LONG_STEPS}"
                opened.append(lab.run_until(2 + turn, drawn))
                lab.wait_idle()
            points = len(lab.drawn_steps(2))
            short_news = _news(lab, 1, lab.runs / "short", 200, repeats)
            long_news = _news(lab, 2, lab.runs / "long-0", LONG_STEPS, repeats)
    return [
        row(f"a run of {LONG_STEPS:,} steps opens ({points:,} points drawn)", opened, 2),
        row("a new step is drawn: run of 200", short_news, None),
        row(f"a new step is drawn: run of {LONG_STEPS:,}", long_news, 2 * statistics.median(short_news)),
    ]


def _ended_run(folder: Path, steps: int) -> None:
    """A run folder as a worker leaves it, with that many logged steps."""
    writer = Writer(folder)
    for step in range(steps // 10, steps + 1, steps // 10):
        writer.probe(step)
        writer.sample(step, "ROMEO:", f" of step {step}")
    writer.close()
    long_log(folder / "metrics.jsonl", steps)
    writer.state.step = writer.state.steps = steps
    writer.status("finished")


def _news(lab: Bench, cell: int, folder: Path, last: int, repeats: int) -> list[float]:
    """Seconds from writing a step to its point in the page, for a run that is made to train again."""
    waits = []
    with RunFolder(folder).writing(), open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        text = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        (folder / "status.json").write_text(json.dumps({**text, "state": "training"}), encoding="utf-8")
        lab.page.evaluate(_RUN_UNTIL % _POINT, [cell])  # attached again: it follows
        for turn in range(repeats + 1):
            time.sleep(2)  # as in a run with slow steps: the follower looks less often
            step = last + 1 + turn
            start = time.perf_counter()
            # Higher than all before it, so that the thinned curve shows this very step.
            file.write(json.dumps({**step_event(step), "loss": 5.0 + turn}) + "\n")
            file.flush()
            if not lab.page.evaluate(_LAST, [cell, step]):
                raise RuntimeError(f"Step {step} did not come to the page.")
            waits.append(time.perf_counter() - start)
    return waits[1:]


def button(repeats: int) -> list[Row]:
    """From a click until the page has answered it, while a cell keeps the kernel busy."""
    waits = []
    busy = [BUSY.format(file=f"go-{turn}") for turn in range(repeats)]
    train = f"%%llm_train button {FEW}\nsteps: {ENDLESS}"
    with bench() as lab, lab.notebook("button", [LOAD, train, *busy]):
        lab.run_cell(0)
        lab.run_until(1, _POINT)
        for turn in range(repeats):
            label, asked, then = (
                ("Pause", "asked to pause", "paused") if turn % 2 == 0 else ("Resume", "asked to resume", "training")
            )
            lab.start_cell(2 + turn)
            until(lambda: lab.kernel_state() == "busy", "the busy kernel")
            waits.append(lab.page.evaluate(_CLICK, [1, label, asked]) / 1000)
            (lab.work / f"go-{turn}").touch()
            until(lambda then=then: lab.state_text(1).startswith(then), then)  # type: ignore[misc]
            lab.wait_idle()
    return [row("a button answers in the page, the kernel busy", waits, 0.2)]


PARTS: dict[str, Callable[[int], list[Row]]] = {
    "first-point": first_point,
    "kernel": kernel,
    "generate": generate,
    "long": long,
    "button": button,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, write JSON where a path is given. Returns 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.latency", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to measure, parted by commas")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for name in options.only.split(","):
        if name not in PARTS:
            parser.error(f"there is no part '{name}': {', '.join(PARTS)}")
        print(f"{name} ...", file=sys.stderr, flush=True)
        before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        rows += [{**each, "load before": before and round(before, 1)} for each in PARTS[name](options.repeats)]
        write(rows, options.out)
    print(markdown(rows))
    return 1 if any(each["met"] is False for each in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a run that nobody watches costs the server: bytes its kernel sends while the dashboard's page is closed.

    python -m tests.benchmarks.unseen [OUT.json] [--minutes 5]

A run trains with a live dashboard, its page is closed, and a client of the kernel counts what comes on iopub, which is
what the server keeps for the departed page. The first minute and a half, until the dashboard knows that nobody looks,
counts as it is; the rate after it makes up the rest of the hour.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.benchmarks.latency import LOAD, Bench, bench
from tests.benchmarks.table import tell
from tests.browser.notebooks import until

LEAVING = 90.0  # seconds that count by themselves
HOUR = 3600.0
GOAL_MB = 10.0
SAMPLE = 20.0  # seconds with the page open, to compare
# Quick steps and many maps: what the page is sent most of.
TRAIN = """%%llm_train unseen
size: mini
train: {steps: 1000000, batch_size: 2, threads: 1}
probe: {every: 10}"""


def listen(client: BlockingKernelClient, seconds: float) -> list[tuple[float, int, str]]:
    """Every message on iopub for so long: when it came, its bytes, its type."""
    heard = []
    socket = client.iopub_channel.socket
    start = time.monotonic()
    while (left := start + seconds - time.monotonic()) > 0:
        if not socket.poll(max(1, int(1000 * min(left, 1.0)))):
            continue
        frames = socket.recv_multipart()
        topic = bytes(frames[0]).decode("utf-8", "replace").rpartition(".")[2]
        heard.append((time.monotonic() - start, sum(len(frame) for frame in frames), topic))
    return heard


def measure(lab: Bench, minutes: float) -> list[dict[str, Any]]:
    """Train, look for a while, close the page, listen."""
    page = lab.open("unseen", [LOAD, TRAIN])
    lab.run_cell(0)
    lab.run_cell(1)
    until(lambda: lab.status("unseen").step > 200, "200 steps, with their maps", 300)
    lab.wait_idle()
    with lab.client() as client:
        watched = listen(client, SAMPLE)
        before = lab.status("unseen").step
        page.close()
        heard = listen(client, 60 * minutes)
    steps = lab.status("unseen").step - before
    if lab.status("unseen").state != "training":
        raise RuntimeError(f"The run ended on the way: {lab.status('unseen')}")
    leaving = sum(size for when, size, _ in heard if when < LEAVING)
    later = sum(size for when, size, _ in heard if when >= LEAVING)
    rate = later / (60 * minutes - LEAVING)
    hour_mb = (leaving + rate * (HOUR - LEAVING)) / 1e6
    return [
        _row(f"page open, {SAMPLE:.0f} s", watched, SAMPLE),
        _row(f"page closed, first {LEAVING:.0f} s", [h for h in heard if h[0] < LEAVING], LEAVING),
        _row("page closed, after that", [h for h in heard if h[0] >= LEAVING], 60 * minutes - LEAVING),
        {
            "what": f"one hour unseen, from {minutes:g} min in which {steps:,} steps were trained",
            "messages": None,
            "MB": round(hour_mb, 2),
            "kB a minute": None,
            "goal, MB": GOAL_MB,
            "met": hour_mb < GOAL_MB,
        },
    ]


def _row(what: str, heard: list[tuple[float, int, str]], seconds: float) -> dict[str, Any]:
    size = sum(each[1] for each in heard)
    return {
        "what": what,
        "messages": len(heard),
        "MB": round(size / 1e6, 3),
        "kB a minute": round(size / 1e3 / (seconds / 60), 1),
        "goal, MB": None,
        "met": None,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, write JSON where a path is given. Returns 1 where the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.unseen", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=5.0, help="minutes to listen with the page closed, 3 or more")
    options = parser.parse_args(arguments)
    if options.minutes < 3:
        parser.error("--minutes: 3 or more, since the first one and a half are another thing")
    with bench({"NBLLM_STANDBY": "0"}) as lab:
        rows = measure(lab, options.minutes)
    tell(rows, options.out)
    return 0 if rows[-1]["met"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""A further process of a run that trains on several GPUs: `python -m nbllm.runners.follower`, started by the worker.

Over its standard input come a line of JSON, the bytes of what cells have registered, and a line a step; over its
standard output goes "ready", or what went wrong. It writes nothing into the run folder. See `nbllm.runners.team`.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nbllm.errors import NbllmError

Announced = tuple[int, float, int]


def main() -> int:
    """Learn the steps that are announced. Returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with the worker, which is told the same
    answer = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to the log

    def say(what: Any) -> None:
        print(json.dumps(what), file=answer)

    line = sys.stdin.buffer.readline()
    if not line.strip():
        return 0
    job = json.loads(line)
    payload = sys.stdin.buffer.read(job["payload"])
    steps = Steps(sys.stdin.buffer)
    sys.path.extend(place for place in job["path"] if place not in sys.path)
    try:
        _learn(job, payload, steps, lambda: say("ready"))
        return 0
    except NbllmError as error:
        say({"message": error.message, "advice": error.advice})
    except BaseException as error:
        traceback.print_exc()
        said = traceback.format_exception_only(error)[-1]
        say({"message": " ".join(said.split()), "advice": f"See log.txt in {job['folder']}"})
    return 1


class Steps:
    """The steps that are announced on a stream, a line each, until an empty one. Where the stream ends, the process
    does, from whatever it is in: a sum that waits for a dead process would never end by itself."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._waiting: queue.SimpleQueue[Announced] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[Announced]:
        while step := self._waiting.get():
            yield step

    def _read(self) -> None:
        for line in self._stream:
            self._waiting.put(tuple(json.loads(line)))
        os._exit(0)


def _learn(job: dict[str, Any], payload: bytes, steps: Steps, ready: Any) -> None:
    import torch

    from nbllm.config import RunConfig
    from nbllm.runners import pieces
    from nbllm.runners.assemble import assemble
    from nbllm.runners.team import MEETING
    from nbllm.store.files import read_json
    from nbllm.store.folder import RunFolder
    from nbllm.training import checkpoint
    from nbllm.training.loop import follow
    from nbllm.training.parallel import Peers, joined

    pieces.register(payload)
    folder, rank, size = RunFolder(Path(job["folder"])), job["rank"], job["size"]
    config = RunConfig.from_yaml(folder.config.read_text(encoding="utf-8"))
    config.sample.every = config.probe.every = 0
    torch.set_num_threads(job["threads"])
    device = torch.device(job["device"])
    training = assemble(folder, config, device, read_json(folder.data / "report.json", {}), processes=size)
    place = folder.checkpoint(job["step"])
    if place.is_dir():
        state, tensors = checkpoint.load_state(place)
        checkpoint.load_weights(training.module, place)
        training.restore(state, tensors)
    ready()
    with joined(folder.path / MEETING, rank, size, device):
        training.peers = Peers(rank, size, config.train.seed)
        training.peers.make_alike(training.module)
        follow(training, steps)


if __name__ == "__main__":
    sys.exit(main())

"""The other processes of a run that trains on several GPUs, as its worker sees them.

    worker (rank 0)   runs the loop, writes the run folder, listens to commands
      +-- nbllm.runners.follower (rank 1, 2, ...)   learns the same steps, and does nothing else

The worker tells them what to do over their standard input, a line of JSON a step; a follower says over its standard
output that it is ready, or what went wrong. When its input ends, so does it, whatever it is in: where the worker dies
no process is left behind. Where a follower dies, the run ends with one line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import torch

from nbllm.errors import ConfigError, NbllmError, RunError
from nbllm.runners.reporter import Reporter
from nbllm.store.folder import RunFolder
from nbllm.training.loop import Training
from nbllm.training.parallel import Peers, joined

MEETING = ".processes"
"""The file of a run folder where its processes find each other."""
_GRACE = 10.0  # seconds until a worker that waits for a dead one in vain is ended
_LET_GO = 5.0  # seconds in which a process is to end
_READY = "ready"


@contextmanager
def together(
    folder: RunFolder, training: Training, devices: Sequence[str], payload: bytes, reporter: Reporter
) -> Iterator[None]:
    """While open, the training is shared by a process on each of the devices; this one is on the first of them.

    `payload` are the pieces of the run that cells have registered. RunError where another process ends before.
    """
    if len(devices) > training.config.batch_size:
        raise ConfigError(
            f"{len(devices)} GPUs cannot share a batch of {training.config.batch_size}.",
            f"Use batch_size: {len(devices)} or more, or fewer gpus.",
        )
    meeting = folder.path / MEETING
    meeting.unlink(missing_ok=True)
    team = _Team(folder, training, devices, payload, reporter)
    device = next(training.module.parameters()).device
    try:
        team.gather()
        with joined(meeting, 0, len(devices), device):
            training.peers = Peers(0, len(devices), training.config.seed, team.announce)
            training.peers.make_alike(training.module)
            yield
            team.end()
    except (RuntimeError, BrokenPipeError):  # how it shows here that another has ended
        if fault := team.fault(_LET_GO):
            raise fault from None
        raise
    finally:
        training.peers = None
        team.dismiss()
        meeting.unlink(missing_ok=True)


class _Team:
    """The followers of a run."""

    def __init__(
        self, folder: RunFolder, training: Training, devices: Sequence[str], payload: bytes, reporter: Reporter
    ):
        self._reporter = reporter
        self._over = threading.Event()
        self._fallen = threading.Event()
        self._first: NbllmError | None = None
        self._payload = payload
        self._job = {
            "folder": str(folder.path),
            "step": training.progress.step,
            "size": len(devices),
            "threads": torch.get_num_threads(),
            "path": [os.path.abspath(place) for place in sys.path],  # where the modules of the notebook's folder are
            "payload": len(payload),
        }
        self._followers = [_Follower(rank, devices, self._fell) for rank in range(1, len(devices))]

    def gather(self) -> None:
        """Tell all what to learn, and wait until they are ready. Raises the fault of one that is not going to be."""
        for follower in self._followers:
            about = {**self._job, "rank": follower.rank, "device": follower.device}
            follower.tell(json.dumps(about).encode() + b"\n" + self._payload)
        for follower in self._followers:
            follower.answered.wait()
            if follower.fault:
                raise follower.fault

    def announce(self, step: int, lr: float, accumulate: int) -> None:
        """Tell all that a step begins."""
        line = json.dumps([step, lr, accumulate]).encode() + b"\n"
        for follower in self._followers:
            follower.tell(line)

    def end(self) -> None:
        """No step will follow: all leave the sums at the same time."""
        self._over.set()
        for follower in self._followers:
            with suppress(OSError, NbllmError):  # one that has gone by itself is no fault any more
                follower.tell(b"[]\n")

    def fault(self, seconds: float = 0.0) -> NbllmError | None:
        """Why a follower has ended, where one has or does so within the seconds."""
        self._fallen.wait(seconds)
        return self._first

    def dismiss(self) -> None:
        """End all that are still there."""
        self._over.set()
        for follower in self._followers:
            follower.dismiss()

    def _fell(self, fault: NbllmError) -> None:
        """A follower has ended. Who waits for it in a sum on a GPU, or is paused, does so for ever: the run is then
        ended here, by its last checkpoint."""
        if self._over.is_set() or self._fallen.is_set():  # what happens to others then is a consequence
            return
        self._first = fault
        self._fallen.set()
        print(fault, flush=True)
        if not self._over.wait(_GRACE):
            said = {"message": fault.message, "advice": fault.advice, "kind": type(fault).__name__}
            self._reporter.update("failed", error=said, message="")
            os._exit(1)


class _Follower:
    """A process that follows. `answered` is set once it is ready, or has ended."""

    def __init__(self, rank: int, devices: Sequence[str], fell: Callable[[NbllmError], None]):
        self.rank, self.device = rank, devices[rank]
        self._name = f"Process {rank + 1} of {len(devices)} ({self.device})"
        self.answered = threading.Event()
        self.fault: NbllmError | None = None
        self._fell = fell
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nbllm.runners.follower"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._watch = threading.Thread(target=self._listen, name=f"nbllm-follower-{rank}", daemon=True)
        self._watch.start()

    def tell(self, line: bytes) -> None:
        """Write to its standard input. Its fault is raised where it is gone."""
        assert self._process.stdin is not None
        if self.fault:
            raise self.fault
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def dismiss(self) -> None:
        """End its input, which ends it, and wait for that."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass  # it has ended before
        try:
            self._process.wait(_LET_GO)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watch.join(_LET_GO)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        said: dict[str, str] = {}
        for line in self._process.stdout:
            told = json.loads(line)
            if told == _READY:
                self.answered.set()
            else:
                said = told
        code = self._process.wait()
        why = said.get("message") or (f"killed by signal {-code}." if code < 0 else f"it left with {code}.")
        advice = said.get("advice") or "The last checkpoint is kept. Type: run.resume()"
        self.fault = RunError(f"{self._name} has ended: {why}", advice)
        self.answered.set()
        self._fell(self.fault)

"""The work of a run, from its folder alone: prepare, queue, train, report. The same in a worker process and inline."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import torch

from nbllm.config import RunConfig
from nbllm.errors import NbllmError, RunError
from nbllm.registry import METRICS
from nbllm.runners import pieces
from nbllm.runners.assemble import assemble, prepare, save_probe
from nbllm.runners.fit import fit
from nbllm.runners.listeners import Listeners
from nbllm.runners.machine import cores, memory_free, pick_devices
from nbllm.runners.queue import Place
from nbllm.runners.reporter import Reporter
from nbllm.runners.saver import Saver
from nbllm.runners.team import together
from nbllm.store import control as control_folder
from nbllm.store.events import EventWriter, read_events
from nbllm.store.files import read_json, write_json
from nbllm.store.folder import RunFolder
from nbllm.store.status import Status
from nbllm.training import checkpoint
from nbllm.training.events import (
    Applied,
    Ended,
    Evaluation,
    Event,
    Paused,
    Probed,
    Resumed,
    Sampled,
    SaveCheckpoint,
    Started,
    Step,
)
from nbllm.training.loop import Training, train
from nbllm.training.metrics import measure
from nbllm.training.observer import Observer, dead_parts

Replay = list[tuple[int, dict[str, Any]]]  # commands with the steps they are to be given at again


def work(
    folder: RunFolder, status: Status, *, stop_asked: Callable[[], bool] = lambda: False, payload: bytes = b""
) -> None:
    """Work on a claimed run until it ends. Everything is told through the folder; only interrupts are raised.

    `status` is what the claim gave; `stop_asked` is polled once a step, for signals; `payload` holds what a cell of the
    kernel that asked for the run has registered.
    """
    with Reporter(folder, status) as reporter:
        try:
            pieces.register(payload)
            _work(folder, reporter, stop_asked, payload)
        except NbllmError as error:
            fault = {"message": error.message, "advice": error.advice, "kind": type(error).__name__}
            reporter.update("failed", error=fault, message="")
        except KeyboardInterrupt:
            reporter.update("stopped", message="interrupted; the last checkpoint is kept")
            raise
        except BaseException as error:
            traceback.print_exc()
            last = traceback.format_exception_only(error)[-1]
            advice = f"See {folder.log.name} in {folder.path}"
            fault = {"message": " ".join(last.split()), "advice": advice, "kind": type(error).__name__}
            reporter.update("failed", error=fault, message="")
            if not isinstance(error, Exception):
                raise


def _work(folder: RunFolder, reporter: Reporter, stop_asked: Callable[[], bool], payload: bytes) -> None:
    config = RunConfig.from_yaml(folder.config.read_text(encoding="utf-8"))
    devices = pick_devices(config.train.device, config.train.gpus)
    threads = config.train.threads or max(1, cores() // len(devices))
    torch.set_num_threads(threads)
    device = torch.device(devices[0])
    reporter.update("preparing", device=_named(devices), message="reading")
    report = prepare(folder, config, reporter)
    config = fit(folder, config, device, report, reporter)
    training = assemble(folder, config, device, report, len(devices))
    metrics = {name: METRICS.get(name) for name in config.train.metrics}
    if metrics:
        held_out = training.held_out
        training.measure = lambda: measure(metrics, training.objective, training.module, held_out(), reporter.note)
    parameters = sum(p.numel() for p in training.module.parameters())
    trained = sum(p.numel() for p in training.module.parameters() if p.requires_grad)
    counts = {"parameters": parameters, "parameters_trained": trained}
    if len(devices) > 1:
        counts["processes"] = len(devices)
    _record(folder, threads, device, counts, report)
    with ExitStack() as stack:
        writer = EventWriter(folder.metrics)
        samples = EventWriter(folder.samples)
        stack.callback(writer.close)
        stack.callback(samples.close)
        saver = Saver(folder, training, config, (writer, samples))
        again = _resume(folder, training, writer, samples)
        training.steps_pending = any("steps" in command for _, command in again)
        reporter.update(parameters=parameters, steps=training.progress.steps, step=training.progress.step)
        if trained < parameters:
            reporter.update(trained=trained)
        listeners = Listeners(folder, config, training.module, reporter)
        control = _FolderControl(folder, again, reporter, stop_asked, saver, writer, listeners)
        place = _DevicePlace(devices, config.train.queue, reporter, control)
        stack.callback(place.leave)
        if not place.take():
            reporter.update("stopped", message="stopped while waiting for the device")
            return
        if len(devices) > 1:
            reporter.update("preparing", message=f"starting {len(devices)} processes")
            stack.enter_context(together(folder, training, devices, payload, reporter))
        reporter.update("training", message="")
        started = Started(training.progress.step, resumed=folder.metrics.stat().st_size > 0)
        events = stack.enter_context(closing(listeners.hear(train(training, control), started)))
        observer = Observer(read_events(folder.metrics), fresh=config.init_from is None)
        _follow(events, folder, training, reporter, place, saver, writer, samples, observer)


def _named(devices: list[str]) -> str:
    """cuda:0, or cuda: 4 GPUs."""
    if len(devices) == 1:
        return devices[0]
    kind = devices[0].partition(":")[0]
    return f"{kind}: {len(devices)} {'processes' if kind == 'cpu' else 'GPUs'}"


def _record(
    folder: RunFolder, threads: int, device: torch.device, counts: dict[str, int], report: dict[str, Any]
) -> None:
    """Add what only the worker knows to environment.json."""
    environment: dict[str, Any] = read_json(folder.environment, {})
    environment |= {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": threads,
        **counts,
        "memory_free_mb": round(memory_free() / 1e6),
        "data": report,
    }
    write_json(folder.environment, environment)


def _resume(folder: RunFolder, training: Training, writer: EventWriter, samples: EventWriter) -> Replay:
    """Take the state of the last good checkpoint, where there is one.

    Returns the changes of course to make again, with their steps. The logs get a `resume` event, which voids what came
    after the checkpoint and carries those changes, so that another interruption does not lose them.
    """
    events = read_events(folder.metrics)
    if not events and not folder.checkpoint_steps():
        return []
    last = _load_last_good(folder, training)
    resumes = [event for event in events if event.get("event") == "resume"]
    again: Replay = [(int(s), c) for s, c in (resumes[-1].get("again", []) if resumes else []) if s >= last]
    for event in events:
        kind = event.get("event")
        if kind in ("command", "budget", "batch") and event.get("step", 0) >= last:
            values: dict[str, Any] = {n: event[n] for n in ("lr", "steps", "accumulate") if n in event}
            again.append((int(event["step"]), {"command": "set", "kind": kind, **values}))
    again.sort(key=lambda each: each[0])
    writer.append({"event": "resume", "step": last, "again": again})
    samples.append({"event": "resume", "step": last})
    writer.sync()
    samples.sync()
    return again


def _load_last_good(folder: RunFolder, training: Training) -> int:
    """Weights, optimizer, generators and counters of the newest checkpoint that can be read; returns its step, or 0."""
    fault: RunError | None = None
    for step in reversed(folder.checkpoint_steps()):
        place = folder.checkpoint(step)
        try:
            state, tensors = checkpoint.load_state(place)
            checkpoint.load_weights(training.module, place)
        except RunError as error:
            print(f"{error} Trying the one before.", flush=True)
            place.rename(place.with_name(f".damaged-{place.name}"))
            fault = fault or error
            continue
        training.restore(state, tensors)
        return step
    if fault:
        raise fault
    return 0


class _FolderControl:
    """The loop's control: commands from control/, those to give again after a resume, callbacks' wishes and signals."""

    def __init__(
        self,
        folder: RunFolder,
        again: Replay,
        reporter: Reporter,
        stop_asked: Callable[[], bool],
        saver: Saver,
        writer: EventWriter,
        listeners: Listeners,
    ):
        self._folder = folder.control
        self._again = again
        self._replayed_to = max((step for step, c in again if c.get("kind") == "command"), default=-1)
        self._listeners = listeners
        self._kept: list[dict[str, Any]] = []
        self._reporter = reporter
        self._stop_asked = stop_asked
        self._saver = saver
        self._writer = writer

    def take(self, step: int) -> list[dict[str, Any]]:
        fresh = self._kept + control_folder.take(self._folder)
        self._kept = []
        self._overrule(fresh, step)
        commands = []
        while self._again and self._again[0][0] <= step:
            commands.append(self._again.pop(0)[1])
        commands += self._listeners.commands(replayed=step <= self._replayed_to)
        commands += fresh
        if self._stop_asked():
            commands.append({"command": "stop"})
        elif self._saver.due():
            commands.append({"command": "checkpoint"})
        if any(command["command"] == "stop" for command in commands):
            self._reporter.update("stopping", message=f"stopping after step {step}")
        return commands

    def idle(self) -> None:
        time.sleep(0.1)

    def wants_stop(self) -> bool:
        """Whether a run that waits in the queue is to stop; its other commands are kept for the loop."""
        self._kept += control_folder.take(self._folder)
        stop = self._stop_asked() or any(command["command"] == "stop" for command in self._kept)
        self._kept = [command for command in self._kept if command["command"] != "stop"]
        return stop

    def _overrule(self, fresh: list[dict[str, Any]], step: int) -> None:
        """What is set now is not set back by what was set at a later step before the interruption."""
        keys = {key for command in fresh if command["command"] == "set" for key in command} - {"command"}
        if not any(keys & set(command) for _, command in self._again):
            return
        self._replayed_to = -1  # the course is another from here on
        self._again = [(at, {k: v for k, v in command.items() if k not in keys}) for at, command in self._again]
        self._writer.append({"event": "resume", "step": step, "again": self._again})


class _DevicePlace:
    """The run's place on its devices; nothing at all where the run does not queue."""

    def __init__(self, devices: list[str], queues: bool, reporter: Reporter, control: _FolderControl):
        # All runs take them in one order, so that no two wait for each other.
        self._places = [Place(device) for device in dict.fromkeys(devices)] if queues else []
        self._reporter = reporter
        self._control = control

    def take(self) -> bool:
        def waiting(ahead: int) -> bool:
            self._reporter.update("queued", message=f"waiting for the device, {ahead} before this run")
            return not self._control.wants_stop()

        if all(place.take(waiting) for place in self._places):
            return True
        self.leave()
        return False

    def leave(self) -> None:
        for place in self._places:
            place.leave()


def _follow(
    events: Iterator[Event],
    folder: RunFolder,
    training: Training,
    reporter: Reporter,
    place: _DevicePlace,
    saver: Saver,
    writer: EventWriter,
    samples: EventWriter,
    observer: Observer,
) -> None:
    """Write down what the loop says."""
    status = reporter.status
    for event in events:
        match event:
            case Step():
                writer.append({**event.line(), "memory_mb": status.memory_mb})
                observer.hear(event.line())
                status.step, status.seconds = event.step, event.seconds
                status.loss, status.lr = event.loss, event.lr
                reporter.pace(event.seconds, event.tokens)
            case Evaluation():
                writer.append(event.line())
                observer.hear(event.line())
                status.val_loss = event.val_loss
                status.advice = observer.advice(training.progress.steps, dead_parts(training))
                saver.measured(event.step, event.val_loss)
            case SaveCheckpoint():
                status.advice = saver.save(event.step) or status.advice
            case Sampled():
                samples.append(event.line())
            case Probed():
                save_probe(folder, event.step, event.arrays)
            case Applied():
                writer.append(event.line())
                writer.sync()  # a kill before the next event must not lose it
                reporter.update(steps=training.progress.steps)
                if event.kind == "batch":
                    parts = f"a batch is now worked through in {event.values['accumulate']} parts"
                    reporter.note(f"memory ran out after step {event.step:,}: {parts}")
            case Paused():
                place.leave()
                reporter.update("paused", step=event.step, message=f"paused at step {event.step}")
            case Resumed():
                if not place.take():
                    control_folder.send(folder.control, "stop")
                reporter.update("training", message="")
            case Ended():
                ending = "stopped" if event.reason == "stopped" else "finished"
                said = {
                    "patience": "stopped early: the held-out loss fell no more",
                    "time": "the minutes are used up",
                }.get(event.reason, "")
                writer.append({"event": "end", "step": event.step, "reason": event.reason})
                writer.sync()
                if ending == "finished" and training.config.leak_check:
                    _look_for_leaks(folder, training, reporter)
                reporter.update(ending, step=event.step, message=said)


def _look_for_leaks(folder: RunFolder, training: Training, reporter: Reporter) -> None:
    """Say a line where the model has its training text by heart. What fails here is in the log, and fails no run."""
    from nbllm.runners.leaks import leak_line

    try:
        config = RunConfig.from_yaml(folder.config.read_text(encoding="utf-8"))
        if line := leak_line(folder, config, training.module, training.objective):
            reporter.note(line)
    except Exception:
        traceback.print_exc()

"""Run: a training run by its folder. All that it says is read from there when it is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import RunConfig
from nbllm.errors import NbllmError, RunError
from nbllm.handles.model import Model
from nbllm.registry import VIEWS
from nbllm.runners import pieces, process
from nbllm.runners.inline import check, progress_line, run_inline
from nbllm.store import archive, control
from nbllm.store.events import EventReader, read_events
from nbllm.store.files import read_json, write_json
from nbllm.store.folder import RunFolder, check_name
from nbllm.store.metrics import Metrics
from nbllm.store.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.inspection.finding import Finding
    from nbllm.inspection.head_course import HeadCourse
    from nbllm.inspection.kept import KeptMaps

_POLL = 0.05
_CHECKPOINT_SECONDS = 60.0
_STOP_SECONDS = 60.0
_TAKEN_SECONDS = 2.0  # after which a command that was not taken is left to be taken
_LOAD_TRIES = 3


class Run:
    """A training run, by its folder. Any number of kernels and scripts may hold the same run."""

    def __init__(self, folder: Path):
        self._folder = RunFolder(Path(folder))

    def __repr__(self) -> str:
        return f"<Run {progress_line(self._folder)}>"

    @property
    def name(self) -> str:
        """The name, which is the folder's."""
        return self._folder.name

    @property
    def folder(self) -> Path:
        """Where everything of the run lies."""
        return self._folder.path

    @property
    def state(self) -> str:
        """queued, starting, preparing, training, paused, stopping, stopped, finished, failed or lost."""
        return self._folder.status().state

    @property
    def step(self) -> int:
        """Steps done."""
        return self._folder.status().step

    @property
    def error(self) -> str:
        """What went wrong and what to do, on one line; empty where nothing did."""
        status = self._folder.status()
        if status.state == "lost":
            return f"The worker of '{self.name}' died. Last words: {status.message or 'none'}. Type: run.resume()"
        return f"{status.error.get('message', '')} {status.error.get('advice', '')}".strip()

    @property
    def config(self) -> RunConfig:
        """The whole configuration."""
        try:
            text = self._folder.config.read_text(encoding="utf-8")
        except OSError:
            raise RunError(f"Run '{self.name}' has no config.yaml.", "The folder is damaged: train it anew.") from None
        return RunConfig.from_yaml(text, f"config.yaml of '{self.name}'")

    @property
    def metrics(self) -> pd.DataFrame:
        """A DataFrame indexed by step: loss, val_loss, bits_per_byte, lr, grad_norm, tokens, seconds."""
        metrics = Metrics()
        metrics.update(EventReader(self._folder.metrics).read())
        return metrics.frame()

    @property
    def samples(self) -> pd.DataFrame:
        """What was written while training: step, prompt, text."""
        import pandas as pd

        rows = [event for event in read_events(self._folder.samples) if event.get("event") == "sample"]
        return pd.DataFrame(rows, columns=["step", "prompt", "text"])

    def wait(self, timeout: float | None = None) -> Run:
        """Block until the run has ended and its worker has let go, or for `timeout` seconds. An interrupt ends the
        waiting, not the run."""
        until = None if timeout is None else time.monotonic() + timeout
        while self._at_work() and (until is None or time.monotonic() < until):
            time.sleep(_POLL)
        process.reap()
        return self

    def pause(self) -> Run:
        """Ask the worker to pause after its step, with a checkpoint; its place on the device is given up."""
        return self._send("pause")

    def stop(self) -> Run:
        """Ask the worker to stop after the step it is in, with a checkpoint. Nothing where the run has ended."""
        return self._send("stop") if self._folder.status().live else self

    def checkpoint(self) -> Run:
        """Ask the worker for a checkpoint now."""
        return self._send("checkpoint")

    def set(self, *, lr: float | None = None, steps: int | None = None) -> Run:
        """Change the peak learning rate or the budget in steps while the run goes on."""
        return self._send("set", **_checked(lr, steps))

    def resume(self, *, lr: float | None = None, steps: int | None = None, runner: str = "process") -> Run:
        """Go on: from a pause at once; after a stop, a failure or a lost worker from the last checkpoint, bit for bit.

        A finished run goes on where `steps` is over what it has done.
        """
        values = _checked(lr, steps)
        status = self._ended_if_stopping()
        if status.live:
            if values:
                self._send("set", **values)
            status = self._ask_to_go_on()
            if status.live or status.state == "finished":
                return self
        if status.state == "finished" and values.get("steps", 0) <= status.step:
            raise RunError(
                f"Run '{self.name}' has finished its {status.step:,} steps.",
                f"Give it more: run.resume(steps={max(2 * status.step, 2)})",
            )
        config = self.config
        pieces.require(self._folder, config)
        control.take(self._folder.control)  # what was asked of the ended worker is void
        if values:
            control.send(self._folder.control, "set", **values)
        start(self._folder, config, runner)
        return self

    def load(self, step: int | None = None) -> Model:
        """The model of the latest checkpoint, or of the one at `step`. A young run is asked for its first."""
        for _ in range(_LOAD_TRIES - 1):
            try:
                return self._load(step)
            except (NbllmError, OSError):
                if not self._folder.checkpoint_steps():
                    raise
                time.sleep(_POLL)  # the worker may be replacing or thinning its checkpoints at this moment
        return self._load(step)

    def _load(self, step: int | None) -> Model:
        steps = self._folder.checkpoint_steps()
        status = self._folder.status()
        if not steps and status.state == "queued":
            raise RunError(f"Run '{self.name}' waits for its turn and has no checkpoint yet.", "Ask again later.")
        if not steps and status.live:
            steps = self._first_checkpoint()
        if not steps:
            raise RunError(f"Run '{self.name}' has no checkpoint ({self.state}).", self.error or "Train it first.")
        if step is not None and step not in steps:
            have = ", ".join(str(s) for s in steps)
            raise RunError(f"Run '{self.name}' has no checkpoint of step {step}.", f"It has: {have}.")
        return Model.from_checkpoint(self._folder, steps[-1] if step is None else step)

    def memorization(self, step: int | None = None, **settings: Any) -> Finding:
        """How much of the training text the model gives back word for word. See `Model.memorization`."""
        return self.load(step).memorization(**settings)

    def exposure(self, step: int | None = None, **settings: Any) -> Finding:
        """How far planted secrets (`data.canaries`) were learned by heart. See `Model.exposure`."""
        return self.load(step).exposure(**settings)

    def membership(self, reference: Any = None, step: int | None = None, **settings: Any) -> Finding:
        """Whether it can be told which texts the model learned from. See `Model.membership`."""
        return self.load(step).membership(reference, **settings)

    def keep(self, finding: Finding) -> Run:
        """Keep a finding in the run's folder, in place of an earlier one of its kind: card and report list it."""
        from nbllm.inspection.finding import keep

        keep(finding, self.folder)
        return self

    @property
    def findings(self) -> list[Finding]:
        """What was found about the run so far: bias, memorization, ..., the last of each kind."""
        from nbllm.inspection.finding import kept

        return kept(self.folder)

    def scan(self, kinds: Any = None) -> Finding:
        """The personal data in the source that the run learned from, before any cleaning. See `nbllm.scan`."""
        from nbllm.handles.scan import scan_of

        return scan_of(self, kinds)

    def balance(self, groups: Any = None, *, bits: bool = False) -> Finding:
        """What the text that it learned from holds: shares of labels, of languages, and of texts that speak of groups,
        by their words. `groups` are names with words, as of `nbllm.balance`; with `bits` its model tells the bits per
        byte of labels and languages. It is kept in the folder."""
        from nbllm.handles.balance import balance_of

        return balance_of(self, groups, bits=bits)

    def dashboard(self) -> Any:
        """The live dashboard, to be displayed."""
        return VIEWS.get("dashboard")(self)

    def attention(self) -> KeptMaps:
        """Step to the attention maps of the probe text that were kept while training (`probe.text`, `probe.every`), a
        dict with `.figure(layer, head)`: a head with a slider over the steps."""
        from nbllm.inspection.kept import kept_maps

        return kept_maps(self.folder)

    def heads(self) -> HeadCourse:
        """What each head looked at in the course of the training, measured on the maps that were kept."""
        from nbllm.inspection.head_course import head_course

        return head_course(self.attention())

    def explore(
        self,
        text: str | None = None,
        *,
        beside: Run | None = None,
        target: str | None = None,
        part: str | None = None,
    ) -> Any:
        """The attention explorer with a slider over the steps, to be displayed: of the maps kept while training, or of
        a `text` (and its `target` and `part`, as in `Model.attention`) by each checkpoint. `beside` is another run."""
        return VIEWS.get("run_explorer")(self, text, beside, target=target, part=part)

    def cost(self, *, measure: bool = False) -> Any:
        """What the model costs: parameters by part, FLOPs a token, memory. With `measure` a few steps are done in
        memory from the last checkpoint, and the same is told as it was. See `nbllm.cost`."""
        from nbllm.handles.cost import cost_of_run

        return cost_of_run(self, measure=measure)

    def report(self, path: str | Path | None = None) -> Any:
        """Write all that is known of the run as one HTML page that needs no network: configuration, curves, samples,
        attention or gates, what was found, cost, environment. NAME.html in this folder where no path is given; the
        path, which shows itself as a link in a notebook."""
        return VIEWS.get("report")(self, path)

    def export(
        self,
        folder: str | Path,
        step: int | None = None,
        *,
        license: str | None = None,
        push: str | None = None,
        public: bool = False,
    ) -> Path:
        """Write the model of the latest checkpoint, or of the one at `step`, as `transformers` loads it with no nbllm
        installed, with a model card. See `Model.export`."""
        return self.load(step).export(folder, license=license, push=push, public=public)

    def rename(self, name: str) -> Run:
        """Give the run another name. RunError while it is at work, or where the name is taken."""
        target = self.folder.parent / check_name(name)
        if target.exists():
            raise RunError(f"Run '{name}' is there already.", "Use another name.")
        if self._folder.alive():
            raise RunError(f"Run '{self.name}' is still at work.", f"Stop it first: nbllm.attach('{self.name}').stop()")
        self.folder.rename(target)
        self._folder = RunFolder(target)
        return self

    @property
    def tags(self) -> list[str]:
        """Words that the run is marked with."""
        return list(self._labels().get("tags", []))

    @property
    def note(self) -> str:
        """A line of the user's own."""
        return str(self._labels().get("note", ""))

    def label(self, *, tags: Sequence[str] | None = None, note: str | None = None) -> Run:
        """Set the tags, the note, or both."""
        labels = self._labels()
        if tags is not None:
            labels["tags"] = sorted(set(tags))
        if note is not None:
            labels["note"] = note
        write_json(self._folder.labels, labels)
        return self

    def pack(self, path: str | Path) -> Path:
        """The whole run in one zip file, for another machine."""
        if self._folder.alive():
            raise RunError(f"Run '{self.name}' is still at work.", f"Stop it first: nbllm.attach('{self.name}').stop()")
        return archive.pack(self._folder, Path(path).expanduser())

    def delete(self) -> None:
        """Remove the run and all that it made. RunError while it is at work."""
        self._folder.delete()

    def _at_work(self) -> bool:
        """Whether the run has not ended, or its worker writes the last of it."""
        return self._folder.status().live or self._folder.alive()

    def _labels(self) -> dict[str, Any]:
        found = read_json(self._folder.labels, {})
        return found if isinstance(found, dict) else {}

    def _ended_if_stopping(self) -> Status:
        """The status, once a stop that was asked for is over: going on is then a new start."""
        until = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < until:
            status = self._folder.status()
            if not status.live or not (status.state == "stopping" or control.waits(self._folder.control, "stop")):
                return status
            time.sleep(_POLL)
        return self._folder.status()

    def _ask_to_go_on(self) -> Status:
        """Ask a worker that lives; the status. One that was about to stop takes no more: then the run has ended."""
        asked = control.send(self._folder.control, "resume")
        until = time.monotonic() + _TAKEN_SECONDS
        status = self._folder.status()
        while asked.exists() and status.state in ("queued", "training", "paused", "stopping"):
            if status.state == "stopping":
                return self._ended_if_stopping()
            if time.monotonic() > until:
                break
            time.sleep(_POLL)
            status = self._folder.status()
        return status

    def _send(self, command: str, **values: Any) -> Run:
        status = self._folder.status()
        if not status.live:
            raise RunError(f"Run '{self.name}' is {status.state}.", f"To go on: nbllm.attach('{self.name}').resume()")
        control.send(self._folder.control, command, **values)
        return self

    def _first_checkpoint(self) -> list[int]:
        """Ask a run that has none yet for a checkpoint, and wait for it."""
        asked = False
        until = time.monotonic() + _CHECKPOINT_SECONDS
        while time.monotonic() < until:
            steps = self._folder.checkpoint_steps()
            status = self._folder.status()
            if steps or not status.live:
                return steps
            if not asked and status.state in ("training", "paused") and status.step > 0:
                control.send(self._folder.control, "checkpoint")
                asked = True
            time.sleep(_POLL)
        return []


def _checked(lr: Any, steps: Any) -> dict[str, Any]:
    """The values to set, as numbers in their range; RunError otherwise."""
    values: dict[str, Any] = {}
    for name, value, kind, most in (("lr", lr, float, 10), ("steps", steps, int, 10**12)):
        if value is None:
            continue
        try:
            values[name] = kind(value)
        except (TypeError, ValueError, OverflowError):
            values[name] = -1
        if not 0 < values[name] <= most:
            raise RunError(f"{name} is {value!r}.", f"Use a number from 0 to {most:,}, as in lr=1e-3 or steps=2000.")
    return values


def start(folder: RunFolder, config: RunConfig, runner: str, after: Sequence[RunFolder] = ()) -> None:
    """Give the run to its runner; the inline one returns when it has ended, a process waits for the runs `after`."""
    pieces.keep_text(folder, config)
    if runner == "inline":
        check(config)
        run_inline(folder)
    else:
        process.start(folder, pieces.pack(config), after)

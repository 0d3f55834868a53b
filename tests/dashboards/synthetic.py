"""A real run folder made without training, and a writer that goes on with it as a worker would.

python -m tests.dashboards.synthetic FOLDER [--steps 2000] [--hertz 40]      write a run live, obeying its control files
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.config import RunConfig, resolve
from nbllm.store import control
from nbllm.store.events import EventWriter
from nbllm.store.files import write_json
from nbllm.store.folder import RunFolder
from nbllm.store.status import Status, write_status

CHINESE = list("今天天气很好，我们去公园散步吧。孩子们在草地上放风筝。")
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script> & <b>bold</b>'


class SyntheticRun:
    """What the dashboards ask of a run: its name, its folder, and commands that become control files."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.name = self.folder.name

    def pause(self) -> None:
        control.send(self.folder / "control", "pause")

    def resume(self) -> None:
        control.send(self.folder / "control", "resume")

    def stop(self) -> None:
        control.send(self.folder / "control", "stop")

    def checkpoint(self) -> None:
        control.send(self.folder / "control", "checkpoint")

    def set(self, lr: float | None = None, steps: int | None = None) -> None:
        control.send(self.folder / "control", "set", lr=lr, steps=steps)


def loss_at(step: int) -> float:
    """A falling curve with noise that depends on the step alone."""
    return 1.6 + 2.4 * math.exp(-step / 180) + 0.12 * math.sin(step * 12.9898) * math.cos(step * 78.233)


def step_event(step: int, lr: float = 3e-3) -> dict[str, Any]:
    """The event of one step."""
    return {
        "event": "step", "step": step, "loss": round(loss_at(step), 5), "lr": lr,
        "grad_norm": round(0.5 + 0.3 * abs(math.sin(step)), 4), "tokens": step * 1024, "seconds": round(step * 0.05, 4),
    }  # fmt: skip


class Writer:
    """Writes a run folder like a worker; use it inside `RunFolder.writing()` where it should count as alive."""

    def __init__(
        self, folder: Path, config: RunConfig | None = None, tokens: list[str] | None = None, kind: str = "attention"
    ):
        self.run = RunFolder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.config = config or resolve([("line", {"size": "mini", "steps": 2000, "sample": {"prompt": "ROMEO:"}})])
        self.run.config.write_text(self.config.to_yaml(), encoding="utf-8")
        write_json(
            self.run.environment,
            {"python": "3.11", "versions": {"torch": "2.13.0"}, "device": "cpu", "threads": 2, "seed": 1337},
        )
        for part in (self.run.data, self.run.probes, self.run.control, self.run.checkpoints):
            part.mkdir(exist_ok=True)
        write_json(self.run.data / "fingerprint.json", {"characters": 1_115_394, "tokens": 1_115_394, "vocabulary": 65})
        self.tokens = tokens or CHINESE
        self.kind = kind
        probe: dict[str, Any] = {"kind": kind, "tokens": self.tokens, "text": "".join(self.tokens)}
        if kind == "gates":
            probe["gates"] = ["input", "forget", "output", "cell"]
        write_json(self.run.probes / "probe.json", probe)
        self.metrics = EventWriter(self.run.metrics)
        self.samples = EventWriter(self.run.samples)
        self.lr = 3e-3
        self.state = Status(
            "training", steps=self.config.train.steps or 2000, parameters=803_072, device="cpu", memory_mb=412.0,
            worker={"pid": 1, "started": 0, "host": "here"},
        )  # fmt: skip
        self.log("worker started")

    def log(self, line: str) -> None:
        with open(self.run.log, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def status(self, state: str | None = None, **values: Any) -> None:
        """Write status.json."""
        if state is not None:
            self.state.state = state
        for name, value in values.items():
            setattr(self.state, name, value)
        self.state.seconds = self.state.step * 0.05
        self.state.lr = self.lr
        write_status(self.run.status_file, self.state)

    def step(self, step: int) -> None:
        """One step with what belongs to it."""
        self.metrics.append(step_event(step, self.lr))
        self.state.step = step
        if step % 50 == 0:
            self.metrics.append(
                {"event": "evaluation", "step": step, "val_loss": round(loss_at(step) + 0.06 + step / 20000, 5)}
            )
            self.probe(step)
        if step % 100 == 0:
            text = f"\nBut soft, what light at step {step} breaks?\nIt is the east, and Juliet is the sun.\n"
            self.sample(step, "ROMEO:", text)
            self.log(f"step {step}: loss {loss_at(step):.4f}")

    def sample(self, step: int, prompt: str, text: str) -> None:
        self.samples.append({"event": "sample", "step": step, "prompt": prompt, "text": text})

    def probe(self, step: int) -> None:
        """A map that grows from uniform to a diagonal one step back."""
        count = len(self.tokens)
        focus = 6 * (1 - math.exp(-step / 300))
        rows, columns = np.arange(count)[:, None], np.arange(count)[None, :]
        layers, heads = 4, 4
        shape = (layers, heads, count, count)
        if self.kind == "gates":
            values = np.tanh(np.random.default_rng(step).normal(size=(2, 4, count, 32)) * focus / 4)
            values[:, :3] = (values[:, :3] + 1) / 2  # gates lie between 0 and 1, the cell between -1 and 1
            np.savez(self.run.probes / f"step-{step}.npz", gates=values.astype(np.float16))
            return
        attention = np.zeros(shape, np.float64)
        for layer in range(layers):
            for head in range(heads):
                score = -focus * np.abs(rows - columns - (head * (layer + 1))) / (1 + layer)
                score = np.where(columns <= rows, score, -np.inf)
                weights = np.exp(score - score.max(-1, keepdims=True))
                attention[layer, head] = weights / weights.sum(-1, keepdims=True)
        np.savez(self.run.probes / f"step-{step}.npz", attention=attention.astype(np.float16))

    def until(self, step: int, start: int = 1) -> Writer:
        """Steps start..step and the status that goes with them."""
        for number in range(start, step + 1):
            self.step(number)
        self.metrics.sync()
        self.samples.sync()
        self.status(tokens_per_second=18_200.0)
        return self

    def close(self) -> None:
        self.metrics.close()
        self.samples.close()


def long_log(path: Path, steps: int) -> None:
    """A metrics.jsonl of that many logged steps, quickly."""
    with open(path, "w", encoding="utf-8") as file:
        for step in range(1, steps + 1):
            event = step_event(step)
            file.write(json.dumps({"t": 1.7e9 + step * 0.05, **event}, separators=(",", ":")) + "\n")
            if step % 100 == 0:
                file.write(json.dumps({"t": 1.7e9, "event": "evaluation", "step": step, "val_loss": 2.0}) + "\n")


def go_on(folder: Path, steps: int, hertz: float, start: int = 0) -> None:
    """Write live and obey commands, until `steps` or a stop."""
    config = resolve([("line", {"size": "mini", "steps": steps, "sample": {"prompt": "ROMEO:"}})])
    with RunFolder(folder).writing():
        writer = Writer(folder, config)
        step, paused = start, False
        while step < steps:
            for command in control.take(writer.run.control):
                name = command["command"]
                writer.metrics.append({"event": "command", "step": step, **command})
                if name == "stop":
                    writer.status("stopping", message=f"stopping after step {step}")
                    time.sleep(0.5)
                    writer.status("stopped", message="")
                    return writer.close()
                if name in ("pause", "resume"):
                    paused = name == "pause"
                    writer.status("paused" if paused else "training")
                if name == "checkpoint":
                    writer.metrics.append({"event": "checkpoint", "step": step, "path": f"checkpoints/step-{step}"})
                if name == "set" and command.get("lr"):
                    writer.lr = command["lr"]
            if not paused:
                step += 1
                writer.step(step)
                writer.status(tokens_per_second=1024 * hertz)
            time.sleep(1 / hertz)
        writer.status("finished")
        writer.close()


def main() -> None:
    """Write a run live."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--hertz", type=float, default=40)
    given = parser.parse_args()
    go_on(given.folder, given.steps, given.hertz)


if __name__ == "__main__":
    main()

"""Run folders made without training, for tables and curves of any kind of run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nbllm.config import resolve
from nbllm.handles.run import Run
from nbllm.store.events import EventWriter
from nbllm.store.files import write_json
from nbllm.store.folder import RunFolder
from nbllm.store.status import Status, write_status


def made(
    root: Path,
    name: str,
    settings: dict[str, Any] | None = None,
    *,
    state: str = "finished",
    steps: int = 100,
    every: int = 20,
    level: float = 2.0,
    bits: float | None = 1.5,
    tokenizer: str = "{}",
    report: dict[str, Any] | None = None,
    sample: tuple[str, str] | None = None,
) -> Run:
    """A run of so many steps whose held-out loss falls to `level` plus 0.01 times the seed, `bits` per nat."""
    folder = RunFolder(root / name)
    folder.data.mkdir(parents=True)
    config = resolve([("call", {"size": "tiny", **(settings or {})})])
    folder.config.write_text(config.to_yaml(), encoding="utf-8")
    folder.tokenizer.write_text(tokenizer, encoding="utf-8")
    write_json(folder.environment, {"parameters": 50_000})
    known = {"vocab_size": 100, "bytes": 5000, "characters": 5000, "train_tokens": 4000}
    write_json(folder.data / "report.json", known | (report or {}))
    events, samples = EventWriter(folder.metrics), EventWriter(folder.samples)
    for step in range(1, steps + 1):
        loss = level + 2 / step + 0.01 * (config.train.seed % 100)
        events.append(
            {"event": "step", "step": step, "loss": loss, "lr": 1e-3, "tokens": step * 64, "seconds": step / 10}
        )
        if every and step % every == 0:
            told = {} if bits is None else {"bits_per_byte": loss * bits}
            events.append({"event": "evaluation", "step": step, "val_loss": loss, **told})
    if sample:
        samples.append({"event": "sample", "step": steps, "prompt": sample[0], "text": sample[1]})
    events.close()
    samples.close()
    status = Status(state, step=steps, steps=steps, seconds=steps / 10, parameters=50_000)
    write_status(folder.status_file, status)
    return Run(folder.path)


def damage(run: Run, file: str, content: str = "{ not: [") -> None:
    """Spoil a file of a run."""
    (run.folder / file).write_text(content, encoding="utf-8")


def say(run: Run, event: dict[str, Any]) -> None:
    """One more line in metrics.jsonl."""
    with open(run.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")

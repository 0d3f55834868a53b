"""metrics.jsonl: torn lines, resumes, and readers that keep their place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nbllm.store.events import EventReader, EventWriter, parse_lines, read_events
from nbllm.store.metrics import Metrics


def step(number: int, loss: float = 1.0, **more: float) -> dict[str, object]:
    return {"event": "step", "step": number, "loss": loss, "lr": 0.1, **more}


def test_a_reader_gets_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reader = EventReader(path)
    assert reader.read() == []
    writer = EventWriter(path)
    writer.append(step(1))
    writer.sync()
    assert [e["step"] for e in reader.read()] == [1]
    writer.append(step(2))
    writer.append(step(3))
    writer.close()
    assert [e["step"] for e in reader.read()] == [2, 3]
    assert reader.read() == []


def test_a_half_written_line_waits_and_a_new_writer_cuts_it_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"event":"step","step":1}\n{"event":"st')
    reader = EventReader(path)
    assert [e["step"] for e in reader.read()] == [1]
    writer = EventWriter(path)
    writer.append({"event": "resume", "step": 0})
    writer.append(step(1, 7.0))
    writer.close()
    assert [e["event"] for e in reader.read()] == ["resume", "step"]
    assert [e["event"] for e in read_events(path)] == ["resume", "step"]


def test_a_file_of_one_torn_line_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"event"' * 20_000)
    EventWriter(path).close()
    assert path.read_bytes() == b""


def test_lines_that_do_not_parse_are_skipped() -> None:
    found = parse_lines(b'{"event":"step","step":1}\nnonsense\n[1]\n\n{"event":"step","step":2}\n')
    assert [e["step"] for e in found] == [1, 2]


def test_a_resume_voids_what_came_after_its_step(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.update([step(n, float(n)) for n in range(1, 8)])
    metrics.update([{"t": 0, "event": "evaluation", "step": 5, "val_loss": 9.0}])
    metrics.update([{"event": "checkpoint", "step": 4}, {"event": "checkpoint", "step": 6}])
    metrics.update([{"event": "resume", "step": 4}, step(5, 50.0)])
    frame = metrics.frame()
    assert list(frame.index) == [1, 2, 3, 4, 5]
    assert frame.loss.iloc[-1] == 50.0
    assert frame.val_loss.isna().all()
    assert [m["step"] for m in metrics.marks if m["event"] == "checkpoint"] == [4]


def test_columns_that_come_late_or_go_missing_keep_their_rows() -> None:
    metrics = Metrics()
    stamped = [{"t": float(n), **e} for n, e in enumerate([step(1), step(2, accuracy=0.5), step(3)])]
    metrics.update(stamped)
    accuracy = metrics.train.array("accuracy")
    assert np.isnan(accuracy[[0, 2]]).all()
    assert accuracy[1] == 0.5
    assert len(metrics.train.array("loss")) == 3


def test_metrics_join_held_out_losses_by_step() -> None:
    metrics = Metrics()
    metrics.update([{"t": 0.0, **step(n, n / 2)} for n in (1, 2, 3)])
    metrics.update([{"t": 0.0, "event": "evaluation", "step": 2, "val_loss": 4.0, "bits_per_byte": 5.0, "seconds": 1}])
    frame = metrics.frame()
    assert list(frame.columns)[:2] == ["loss", "val_loss"]
    assert frame.val_loss.dropna().to_dict() == {2: 4.0}
    assert frame.loss.tolist() == [0.5, 1.0, 1.5]


def test_numbers_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    values = [float(np.float32(x)) for x in np.random.default_rng(0).standard_normal(200)]
    writer = EventWriter(path)
    for n, value in enumerate(values):
        writer.append({"event": "step", "step": n, "loss": float(f"{value:.9g}")})
    writer.close()
    read = [np.float32(json.loads(line)["loss"]) for line in path.read_text().splitlines()]
    assert read == [np.float32(v) for v in values]


def test_a_run_without_a_step_has_its_columns() -> None:
    frame = Metrics().frame()
    assert list(frame.columns) == ["loss", "val_loss", "lr", "grad_norm", "tokens", "seconds"]
    assert len(frame) == 0

"""What a run kept of its heads while it trained: maps by step, and the scores over the steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nbllm.errors import ModelError
from nbllm.inspection.head_course import head_course
from nbllm.inspection.kept import kept_maps
from tests.handles.made import made
from tests.plots.test_heads import causal

TOKENS = list("abcabc")


def kept(root: Path, steps: int = 3) -> Path:
    """A run with maps of two layers of two heads; head 1 of layer 1 turns into an induction head."""
    run = made(root, "run")
    probes = run.folder / "probes"
    probes.mkdir()
    (probes / "probe.json").write_text(json.dumps({"kind": "attention", "tokens": TOKENS, "text": "abcabc"}))
    target = np.eye(6)[[0, 1, 2, 1, 2, 3]]
    for step in range(0, 10 * steps, 10):
        weights = causal(2, 2, 6)
        weights[1, 1] = (1 - step / 20) * weights[1, 1] + step / 20 * target
        np.savez(probes / f"step-{step}.npz", attention=weights.astype(np.float16))
    return run.folder


def test_scores_over_the_steps(tmp_path: Path) -> None:
    maps = kept_maps(kept(tmp_path))
    assert list(maps) == [0, 10, 20]
    assert maps[20].tokens == TOKENS
    course = head_course(maps)
    assert repr(course) == "<HeadCourse of 4 heads over 3 steps>"
    one = course.to_frame()[(course.table.layer == 1) & (course.table["head"] == 1)]
    assert one.step.tolist() == [0, 10, 20]
    assert one.induction.is_monotonic_increasing
    assert one.induction.iloc[-1] == pytest.approx(1, abs=1e-3)
    assert one.kind.iloc[-1] == "induction"
    expected = maps[10].heads().set_index(["layer", "head"]).induction
    found = course.table[course.table.step == 10].set_index(["layer", "head"]).induction
    np.testing.assert_array_equal(found.sort_index(), expected.sort_index())
    assert course.clearest().loc[20, "induction"] == one.induction.iloc[-1]
    figure = course.figure()
    assert [line.name for line in figure.data] == ["previous token", "first token", "same token", "induction"]
    np.testing.assert_allclose(figure.data[3].y, course.clearest().induction)
    by_head = course.figure("induction").data
    assert [line.name for line in by_head] == [f"layer {layer}, head {head}" for layer in (0, 1) for head in (0, 1)]
    np.testing.assert_allclose(by_head[3].y, one.induction)
    assert course._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ModelError, match="Did you mean 'induction'"):
        course.figure("inducton")


def test_a_head_with_a_slider_over_the_steps(tmp_path: Path) -> None:
    maps = kept_maps(kept(tmp_path, steps=50))
    figure = maps.figure(1, 1)
    names = [frame.name for frame in figure.frames]
    assert len(names) == 40
    assert (names[0], names[-1]) == ("0", "490")
    slider = figure.layout.sliders[0]
    assert [step.args[0][0] for step in slider.steps] == names
    assert slider.active == 39
    np.testing.assert_array_equal(figure.frames[1].data[0].z, maps[int(names[1])].weights[1, 1].astype(np.float32))
    np.testing.assert_array_equal(figure.data[0].z, maps[490].weights[1, 1].astype(np.float32))
    with pytest.raises(ModelError, match="no layer 2"):
        maps.figure(2)


def test_a_run_of_gates_says_where_they_are(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    (folder / "probes" / "probe.json").write_text(json.dumps({"kind": "gates", "tokens": TOKENS}))
    with pytest.raises(ModelError, match=r"has no attention, but gates.*gates\(TEXT\)"):
        kept_maps(folder)


def test_what_is_damaged_is_left_out_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    (folder / "probes" / "step-10.npz").write_bytes(b"PK damaged")
    assert list(kept_maps(folder)) == [0, 20]
    (folder / "probes" / "probe.json").write_text('{"kind": "nothing"}')
    with pytest.raises(ModelError, match="kept no attention"):
        kept_maps(folder)
    with pytest.raises(ModelError, match="kept no attention"):
        made(tmp_path, "none").heads()

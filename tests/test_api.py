"""The public calls on real runs: data of the notebook, housekeeping, looking at a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nbllm
from nbllm.errors import DataError, ModelError, NbllmError, RunError

TINY: dict[str, Any] = {
    "size": "tiny", "layers": 1, "width": 16, "heads": 2, "context": 16, "batch_size": 4, "runner": "inline",
    "sample.every": 0, "probe.every": 0, "evaluate_tokens": 256,
}  # fmt: skip
REVIEWS = pd.DataFrame({"评论": [f"第{n}次看这部电影，还是很喜欢。" for n in range(60)], "score": range(60)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> nbllm.Run:
    """One small run with everything on, for the tests that only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        settings = {**TINY, "sample.every": 10, "sample.max_tokens": 8, "probe.every": 10, "layers": 2}
        return nbllm.train("zh", data=REVIEWS, text_column="评论", steps=20, **settings)


def test_a_table_of_the_notebook_trains_by_the_column_named(trained: nbllm.Run) -> None:
    assert trained.state == "finished", trained.error
    lines = (trained.folder / "data" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 60
    assert "score" not in lines[0], "only the columns that are used are written"
    assert "电影" in lines[0]


def test_samples_and_maps_are_kept_while_training(trained: nbllm.Run) -> None:
    assert trained.samples.step.tolist() == [10, 20]
    assert {path.stem for path in (trained.folder / "probes").glob("*.npz")} == {"step-0", "step-10", "step-20"}
    with np.load(trained.folder / "probes" / "step-20.npz", allow_pickle=False) as maps:
        assert maps["attention"].shape[:2] == (2, 2)
        assert np.allclose(maps["attention"].astype(float).sum(-1), 1, atol=0.01)


def test_a_model_writes_scores_and_shows_its_attention(trained: nbllm.Run) -> None:
    model = trained.load()
    text = model.generate("第3次", max_tokens=10, seed=4)
    assert text == model.generate("第3次", max_tokens=10, seed=4)
    assert text == "".join(model.stream("第3次", max_tokens=10, seed=4))
    assert len(model.generate("第", max_tokens=3, samples=3)) == 3
    assert 0 < model.score("第3次看这部电影") < 10
    maps = model.attention("这部电影")
    assert maps.tokens == list("这部电影")
    assert maps.weights.shape == (2, 2, 4, 4)
    assert maps.figure(layer=1, head=0).data[0].type == "heatmap"
    assert maps._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ModelError, match="no layer 7"):
        maps.figure(layer=7)
    with pytest.raises(ModelError, match="Did you mean 'max_tokens'"):
        model.generate("x", max_token=3)
    model.close()
    with pytest.raises(ModelError, match="was closed"):
        model.generate("x")


def test_checkpoints_by_step(trained: nbllm.Run) -> None:
    assert trained.load(step=20).step == 20
    with pytest.raises(RunError, match="It has: 20"):
        trained.load(step=7)


def test_the_attention_of_an_lstm_is_one_line_and_its_gates_are_there() -> None:
    settings = {name: value for name, value in TINY.items() if name != "heads"}
    run = nbllm.train("one", data=["ab " * 200], model="lstm", steps=4, **{**settings, "probe.every": 2})
    model = run.load()
    with pytest.raises(ModelError, match="gates"):
        model.attention("ab ab")
    assert model.gates("ab ab")["forget"].shape == (1, 5, 16)
    assert (run.folder / "probes" / "step-4.npz").is_file()


def test_lists_and_what_is_no_data() -> None:
    assert nbllm.train("list", data=["one two three " * 20] * 5, steps=3, **TINY).state == "finished"
    with pytest.raises(DataError):
        nbllm.train("number", data=3, steps=3, **TINY)
    with pytest.raises(NbllmError, match="review"):
        nbllm.train("column", data=REVIEWS, text_column="review", steps=3, **TINY)
    assert list(nbllm.runs().index) == ["list"], "what was refused leaves nothing behind"


def test_housekeeping(tmp_path: Path) -> None:
    run = nbllm.train("one", data=["some words " * 100], steps=40, checkpoint_every=10, **TINY)
    run.label(tags=["good", "small"], note="the first")
    frame = nbllm.runs()
    assert frame.loc["one", "tags"] == "good, small"
    assert frame.loc["one", "note"] == "the first"
    assert frame.loc["one", ["state", "step"]].tolist() == ["finished", 40]
    packed = run.pack(tmp_path / "one.zip")
    run.rename("two")
    assert nbllm.attach("two").note == "the first"
    with pytest.raises(RunError, match="no run 'one'"):
        nbllm.attach("one")
    again = nbllm.unpack(packed)
    assert again.name == "one"
    assert again.load().generate("some", max_tokens=4, seed=1) == run.load().generate("some", max_tokens=4, seed=1)
    with pytest.raises(RunError, match="is there already"):
        run.rename("one")
    would = nbllm.prune()
    assert len(would) > 0
    assert not would.removed.any()
    assert nbllm.prune(apply=True).removed.all()
    assert len(nbllm.prune()) == 0
    assert nbllm.attach("one").load().step == 40
    again.delete()
    assert list(nbllm.runs().index) == ["two"]


def test_a_damaged_run_is_listed_and_can_be_deleted() -> None:
    run = nbllm.train("one", data=["some words " * 100], steps=3, **TINY)
    (run.folder / "config.yaml").write_text("model: [")
    assert "damaged" in nbllm.runs().loc["one", "model"]
    with pytest.raises(NbllmError, match=r"config.yaml of 'one'"):
        run.resume(steps=10)
    run.delete()
    assert len(nbllm.runs()) == 0


def test_preview_of_a_corpus_and_of_a_table() -> None:
    found = nbllm.preview("zh-phrases", tokenizer="char")
    assert found.characters > 300_000
    assert nbllm.preview(REVIEWS, text_column="评论").records == 60


def test_steps_of_a_notebook_in_a_test_are_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_QUICK_STEPS", "5")
    run = nbllm.train("one", data=["some words " * 100], minutes=3, **TINY)
    assert (run.state, run.step) == ("finished", 5)

"""The explorer without a page: what it sends, what it keeps, what a saved notebook holds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbllm
from nbllm.dashboards.explorer import explore
from nbllm.dashboards.explorer_sources import Source, of_maps, of_probes
from nbllm.dashboards.explorer_still import page, strongest, text
from nbllm.dashboards.explorer_widget import EAGER, Widget
from nbllm.errors import ConfigError, ModelError
from nbllm.inspection.maps import AttentionMaps
from tests.dashboards.test_looking import HOSTILE
from tests.markup import Markup
from tests.plots.test_attention_views import maps

LINE = "The function returns the value."


class Heard(Widget):
    """A widget that notes what it sends to its page."""

    def __init__(self, *arguments: Any, **view: Any):
        self.heard: list[tuple[str, bytes]] = []
        super().__init__(*arguments, **view)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Note it."""
        self.heard.append((content["key"], buffers[0]))

    def wish(self, key: object) -> None:
        """What the page would ask."""
        self._hear(self, {"kind": "want", "key": key}, [])


def halves(widget: Widget, key: str) -> np.ndarray:
    """A part that lies in the widget's own traits."""
    frame = next(frame for frame in widget.frames if frame["key"] == key)
    return np.frombuffer(widget.maps, np.float16, frame["count"], frame["at"])


def until(condition: Any, seconds: float = 30) -> None:
    """Wait for what a thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> nbllm.Run:
    """A run with probes every 10 steps and three checkpoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("explored")))
        return nbllm.train(
            "explored", data="python-docs", model="transformer", size="tiny", steps=30, runner="inline",
            **{"probe.every": 10, "probe.text": LINE, "train.checkpoint_every": 10, "sample.every": 0},
        )  # fmt: skip


def test_all_weights_of_a_short_text_lie_in_the_page() -> None:
    found = maps(list("abcde"))
    widget = explore(found).widget()
    assert widget.frames == [{"key": "0:0:all", "at": 0, "count": 7 * 25}]
    sent = halves(widget, "0:0:all").reshape(7, 5, 5)
    np.testing.assert_allclose(sent[:6], found.weights.reshape(6, 5, 5), rtol=1e-3)
    np.testing.assert_allclose(sent[6], found.rollout().weights[-1, 0], rtol=1e-3)
    source = widget.sources[0]
    assert (source["layers"], source["heads"], source["extras"], source["causal"]) == (2, 3, ["rollout"], True)


def test_small_weights_keep_three_figures() -> None:
    weights = np.array([0.12345, 3.456e-3, 7.891e-5, 2.5e-6], dtype=np.float32).reshape(1, 1, 2, 2)
    sent = of_maps(AttentionMaps(weights, ["a", "b"]))[0].one(AttentionMaps(weights, ["a", "b"]), 0)
    assert sent.astype(float).ravel().tolist() == pytest.approx(weights.ravel().tolist(), rel=5e-4, abs=3e-8)


def test_what_was_measured_of_a_head_stands_in_its_row() -> None:
    weights = np.zeros((2, 2, 6, 6), dtype=np.float32)
    weights[:, :, :, :] = np.tril(np.ones((6, 6))) / np.arange(1, 7)[:, None]
    weights[1, 0] = np.eye(6, k=-1)
    weights[1, 0, 0, 0] = 1
    widget = explore(AttentionMaps(weights, list("abcdef"))).widget()
    rows, kinds = widget.measures["rows"]["0:0"], widget.measures["kinds"]
    assert [kinds[row[0]] for row in rows] == ["mixed", "mixed", "previous token", "mixed"]
    names = [column["name"] for column in widget.measures["columns"]]
    assert rows[2][1] == 0  # the first of their order
    assert rows[2][2 + names.index("previous")] == 1.0
    assert widget.view["map"] == 2, "it begins with the clearest head"


def test_queries_and_keys_of_two_texts_have_no_rollout() -> None:
    weights = np.full((1, 2, 3, 5), 0.2, dtype=np.float32)
    widget = explore(AttentionMaps(weights, list("abc"), list("vwxyz"), part="cross")).widget()
    source = widget.sources[0]
    assert (source["rows"], source["columns"], source["extras"], source["name"]) == (3, 5, [], "cross")
    assert source["keys"] == list("vwxyz")
    assert halves(widget, "0:0:all").size == 2 * 15


def test_several_maps_and_two_side_by_side() -> None:
    several = explore({"encoder": maps(list("ab")), "decoder": maps(list("abc"))}).widget()
    assert [source["name"] for source in several.sources] == ["encoder", "decoder"]
    assert several.view["how"] == "off"
    two = maps(list("ab")).explore(beside=maps(list("ab"))).widget()
    assert [source["name"] for source in two.sources] == ["first", "second"]
    assert (two.view["how"], two.view["b"]) == ("side", [1, None])


def test_a_large_text_sends_pictures_and_each_head_at_a_wish() -> None:
    weights = np.broadcast_to(maps([str(i) for i in range(1100)], 1, 1).weights, (4, 12, 1100, 1100))
    found = AttentionMaps(weights, [str(i) for i in range(1100)])
    widget = Heard(explore(found).sources, "large")
    assert len(widget.maps) < EAGER / 20
    thumbs = halves(widget, "0:0:thumbs").reshape(49, 48, 48)
    assert thumbs[3].max() == 1  # the first token's own weight
    widget.wish("0:0:7")
    until(lambda: any(key == "0:0:7" for key, _ in widget.heard))
    sent = np.frombuffer(dict(widget.heard)["0:0:7"], np.float16)
    assert sent.size == 1100 * 1101 // 2, "what comes later is not sent"
    row = sent[500 * 501 // 2 :][:501]
    np.testing.assert_allclose(row, found.weights[0, 7, 500, :501], rtol=1e-3, atol=1e-7)
    widget.close()


def test_what_sees_later_tokens_is_sent_whole() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(200), size=(1, 2, 200)).astype(np.float32)
    found = AttentionMaps(weights, ["a"] * 200)
    widget = explore(found).widget()
    assert (widget.sources[0]["packed"], widget.sources[0]["causal"]) == (False, False)
    np.testing.assert_allclose(halves(widget, "0:0:all").reshape(3, 200, 200)[:2], weights[0], rtol=1e-3, atol=1e-7)
    one_way = maps(["a"] * 200, 1, 2)
    narrow = explore(one_way).widget()
    assert narrow.sources[0]["packed"]
    sent = halves(narrow, "0:0:all").reshape(3, -1)
    np.testing.assert_allclose(sent[1], one_way.weights[0, 1][np.tril_indices(200)], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("key", ["", "0:0", "0:0:x", "9:0:all", "0:9:all", "0:0:99", "-1:0:all", 7, None])
def test_a_wish_that_means_nothing_is_left(key: object) -> None:
    widget = Heard(explore(maps(list("ab"))).sources, "x")
    widget.wish(key)
    widget.wish("0:0:all")
    until(lambda: widget.heard)
    assert [key for key, _ in widget.heard] == ["0:0:all"]


def test_the_steps_of_a_training_from_its_probes(trained: nbllm.Run) -> None:
    widget = trained.explore().widget()
    assert widget.sources[0]["steps"] == [0, 10, 20, 30]
    assert {frame["key"] for frame in widget.frames} == {f"0:{t}:all" for t in range(4)}
    with np.load(trained.folder / "probes" / "step-10.npz") as file:
        kept = file["attention"]
    sent = halves(widget, "0:1:all").reshape(-1, *kept.shape[2:])
    np.testing.assert_array_equal(sent[:-1], kept.reshape(-1, *kept.shape[2:]))
    until(lambda: set(widget.measures["rows"]) == {f"0:{t}" for t in range(4)})
    assert "".join(widget.sources[0]["tokens"]).replace("␣", " ") == LINE


def test_another_text_by_the_checkpoints_in_a_thread(trained: nbllm.Run) -> None:
    widget = Heard(trained.explore("names").sources, "x")
    steps = widget.sources[0]["steps"]
    assert steps == [10, 20, 30]
    assert [frame["key"] for frame in widget.frames] == ["0:2:all"]
    until(lambda: len(widget.heard) == 2 and not widget.progress)
    expected = trained.load(10).attention("names").weights
    sent = np.frombuffer(dict(widget.heard)["0:0:all"], np.float16).reshape(-1, 5, 5)
    np.testing.assert_allclose(sent[:-1], expected.reshape(-1, 5, 5), rtol=2e-3, atol=1e-6)
    assert set(widget.measures["rows"]) == {"0:0", "0:1", "0:2"}
    widget.close()


def test_every_part_of_an_encoder_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_RUNS", str(tmp_path / "runs"))
    run = nbllm.train("pairs", model="seq2seq", size="tiny", steps=2, runner="inline", **{"sample.every": 0})
    model = run.load()
    explorer = model.explore("July 14", "14 juillet")
    assert [source.name for source in explorer.sources] == ["cross", "encoder", "decoder"]
    assert explorer.title == "Attention of pairs"
    described = explorer.widget().sources
    assert (described[0]["rows"], described[0]["columns"]) == (11, 8)
    assert "".join(described[0]["keys"]).startswith("July␣14")
    assert [each["causal"] for each in described] == [False, False, True]
    assert [source.name for source in model.explore("July 14").sources] == ["encoder"]


def test_what_cannot_be_shown_says_what_to_type(trained: nbllm.Run, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"text=\.\.\."):
        trained.explore(target="x")
    with pytest.raises(ModelError, match=r"what model\.attention"):
        explore({"x": 3})  # type: ignore[dict-item]
    with pytest.raises(ModelError, match="longer text"):
        explore(AttentionMaps(np.zeros((1, 1, 0, 0), np.float32), []))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="kept no attention"):
        of_probes(nbllm.Run(tmp_path / "empty"))


def test_a_damaged_probe_is_an_error_of_one_line(trained: nbllm.Run, tmp_path: Path) -> None:
    (tmp_path / "run" / "probes").mkdir(parents=True)
    (tmp_path / "run" / "probes" / "probe.json").write_text(json.dumps({"kind": "attention", "tokens": ["a"]}))
    (tmp_path / "run" / "probes" / "step-1.npz").write_bytes(b"PK no archive")
    with pytest.raises(ModelError, match="cannot be read"):
        of_probes(nbllm.Run(tmp_path / "run"))


def test_a_saved_notebook_keeps_a_small_page_and_every_token_as_text() -> None:
    explorer = explore(maps(HOSTILE), title="<script>x</script>")
    saved = Markup(page(explorer))
    assert not saved.tags & {"script", "b", "i"}
    assert "onerror" not in saved.attributes
    assert "<script>x</script>" in saved.text
    assert "שלום" in saved.text
    assert "天气" in saved.text
    assert len(page(explore(maps([str(i) for i in range(800)], 4, 4)))) < 250_000


def test_the_table_behind_names_kind_and_strongest_pairs() -> None:
    said = text(explore(maps(list("abc"), 1, 1)))
    assert said.startswith("Attention: 3 tokens, 1 layer of 1 head\n")
    assert "a → a 1.00" in said
    assert strongest(np.array([[0.1, 0.9], [0.5, 0.0]]), 9) == [(0, 1), (1, 0), (0, 0)]


@pytest.mark.parametrize("tier", ["widget", "html", "text"])
def test_each_tier_shows_what_it_can(tier: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    shown: list[dict] = []
    monkeypatch.setenv("NBLLM_DISPLAY", tier)
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    maps(list("abc")).explore().show()
    kinds = [set(each) - {"text/plain"} for each in shown]
    live = "application/vnd.jupyter.widget-view+json"
    assert kinds == {"widget": [{live}, {"text/html"}], "html": [{"text/html"}], "text": []}[tier]
    assert ("layer 0, head 0" in capsys.readouterr().out) == (tier == "text")


def test_a_wrong_display_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_DISPLAY", "wodget")
    with pytest.raises(ConfigError, match="widget"):
        maps(list("ab")).explore()


def test_sources_of_one_name_are_told_apart() -> None:
    found = maps(list("ab"))
    sources = [Source("a", [None], lambda place: found), Source("a", [None], lambda place: found)]
    from nbllm.dashboards.explorer import Explorer

    assert [source.name for source in Explorer(sources, "x").sources] == ["a", "a (2)"]

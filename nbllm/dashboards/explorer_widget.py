"""The explorer's widget: its weights lie in the page, and what is not there is sent when the page wishes it.

L layers, H heads, Q queries, K keys; M maps of a step: the heads, layer by layer, and rollout.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from nbllm.dashboards import frontend
from nbllm.dashboards.explorer_sources import Source
from nbllm.errors import NbllmError

if TYPE_CHECKING:
    from nbllm.inspection.maps import AttentionMaps

EAGER = 40_000_000
"""Bytes of weights that go to the page at once: 4 layers of 4 heads over 1,024 tokens are 36 MB in float16."""
KEPT = 200_000_000
"""Bytes of computed maps that the kernel keeps for a page that is loaded again."""
THUMB = 48  # tokens of a small picture, where the maps themselves are not in the page
ABOUT = {
    "entropy": "how spread the weights are, in bits: 0 for a single token",
    "distance": "tokens between a token and what it looks at, a mean by weight",
    "first": "share on the first token",
    "previous": "share on the token before",
    "same": "share on other places of the same token",
    "induction": "share on the token that came after an earlier place of the same token",
}
_VIEW = {
    "show": "heatmap", "map": 0, "a": [0, None], "b": None, "how": "off", "scale": "whole", "sort": [1, False],
}  # fmt: skip
_LONG = 128  # tokens from which weights are small, and their colours are spread


class Widget(anywidget.AnyWidget):
    """All that the page needs. `maps` holds float16 weights, and `frames` says what lies where in it: the key
    "source:step:part" (part: all, thumbs, or the number of a map), the byte `at` which it begins, the `count`."""

    _esm = "export default {}"  # each takes the text of explorer.js below
    _css = ""

    title = traitlets.Unicode().tag(sync=True)
    sources: traitlets.List[Any] = traitlets.List().tag(sync=True)
    maps = traitlets.Bytes().tag(sync=True)
    frames: traitlets.List[Any] = traitlets.List().tag(sync=True)
    measures = traitlets.Dict().tag(sync=True)
    progress = traitlets.Unicode().tag(sync=True)
    view = traitlets.Dict(_VIEW).tag(sync=True)

    def __init__(self, sources: list[Source], title: str, **view: Any):
        self._esm = frontend.module("explorer.js")
        self._css = frontend.style("panel.css") + frontend.style("explorer.css")
        self._sources = sources
        self._measured: dict[str, Any] = {}
        self._numbers: list[str] = []
        self._kinds: list[str] = [""]
        self._guard = threading.Lock()
        self._computed: dict[tuple[int, int], np.ndarray] = {}
        self._wishes: list[str] = []
        self._news = threading.Condition()
        self._filler: threading.Thread | None = None
        self._gone = False
        self._begin = sources[0].clearest
        parts, first = self._first_parts()
        frames, at = [], 0
        for key, halves in parts:
            frames.append({"key": key, "at": at, "count": halves.size})
            at += halves.nbytes
        long = max(first.weights.shape[2:]) > _LONG
        super().__init__(
            title=title,
            sources=[self._described(source) for source in sources],
            maps=b"".join(halves.tobytes() for _, halves in parts),
            frames=frames,
            measures=self._measures(),
            view={**_VIEW, "map": self._begin, "scale": "root" if long else "whole", **view},
        )
        self.on_msg(self._hear)
        if any(source.slow and len(source.steps) > 1 for source in sources):
            self._fill_behind()

    def close(self) -> None:
        """Take the widget out of the page, and let go of its maps."""
        self._gone = True
        with self._news:
            self._news.notify_all()
        super().close()
        self._computed.clear()

    def fits(self, source: Source) -> bool:
        """Whether all maps of a step go to the page together."""
        return self._size(source) * min(2, len(self._sources)) <= EAGER

    def _size(self, source: Source) -> int:
        queries, keys = source.first.weights.shape[2:]
        return int(source.count * queries * keys * 2)

    def _described(self, source: Source) -> dict[str, Any]:
        layers, heads, queries, keys = source.first.weights.shape
        own = source.first
        causal = queries == keys and own.part != "cross" and queries > 1 and not np.triu(own.weights[0, 0], 1).any()
        return {
            "name": source.name, "tokens": own.queries, "keys": own.keys, "layers": layers, "heads": heads,
            "rows": queries, "columns": keys, "blocks": list(own.layers), "extras": source.extras,
            "steps": source.steps, "causal": bool(causal), "whole": self.fits(source),
            "thumb": list(_pooled(np.zeros((1, queries, keys), np.float16)).shape[1:]),
        }  # fmt: skip

    def _first_parts(self) -> tuple[list[tuple[str, np.ndarray]], AttentionMaps]:
        """What goes to the page at once: the latest of each source, then steps of the quick ones, evenly."""
        parts: list[tuple[str, np.ndarray]] = []
        room = EAGER
        for s, source in enumerate(self._sources):
            last = len(source.steps) - 1
            stacked = self._take(s, last, source.first)
            if self.fits(source):
                parts.append((f"{s}:{last}:all", stacked))
            else:
                parts.append((f"{s}:{last}:thumbs", _pooled(stacked)))
                parts.append((f"{s}:{last}:{self._begin}", stacked[self._begin]))
        room -= sum(halves.nbytes for _, halves in parts)
        quick = [s for s, source in enumerate(self._sources) if not source.slow and self.fits(source)]
        for s in quick:
            source = self._sources[s]
            count = min(len(source.steps) - 1, room // len(quick) // max(1, self._size(source)))
            places = np.linspace(0, len(source.steps) - 2, count).round().astype(int).tolist()
            parts += [(f"{s}:{t}:all", self._take(s, t, source.read(t))) for t in dict.fromkeys(places)]
        return parts, self._sources[0].first

    def _take(self, s: int, t: int, maps: AttentionMaps) -> np.ndarray:
        """The maps of a step for the page; what was measured of them is noted."""
        source = self._sources[s]
        numbers, kinds, rows = source.measures(maps)
        with self._guard:
            for kind in kinds:
                if kind not in self._kinds:
                    self._kinds.append(kind)
            if rows:
                self._numbers = numbers
                self._measured[f"{s}:{t}"] = [
                    [self._kinds.index(kind), *row] for kind, row in zip(kinds, rows, strict=True)
                ]
        return source.stacked(maps)

    def _measures(self) -> dict[str, Any]:
        columns = [{"name": name, "about": ABOUT.get(name, "")} for name in self._numbers]
        with self._guard:
            return {"columns": columns, "kinds": list(self._kinds), "rows": dict(self._measured)}

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """The page wishes a part that is not with it."""
        key = content.get("key") if isinstance(content, dict) and content.get("kind") == "want" else None
        if not isinstance(key, str) or self._parsed(key) is None:
            return
        with self._news:
            if key not in self._wishes:
                self._wishes.append(key)
            self._news.notify_all()
        self._fill_behind()

    def _parsed(self, key: str) -> tuple[int, int, str] | None:
        pieces = key.split(":")
        if len(pieces) != 3 or not (pieces[0].isdigit() and pieces[1].isdigit()):
            return None
        s, t, part = int(pieces[0]), int(pieces[1]), pieces[2]
        if s >= len(self._sources) or t >= len(self._sources[s].steps):
            return None
        known = part in ("all", "thumbs") or (part.isdigit() and int(part) < self._sources[s].count)
        return (s, t, part) if known else None

    def _fill_behind(self) -> None:
        """Answer wishes, and compute checkpoints that nobody wished yet, in a thread of its own."""
        with self._news:
            if self._filler is None or not self._filler.is_alive():
                self._filler = threading.Thread(target=self._fill, name="nbllm-explorer", daemon=True)
                self._filler.start()

    def _fill(self) -> None:
        behind = [
            f"{s}:{t}:all"
            for s, source in enumerate(self._sources)
            if source.slow and self.fits(source)
            for t in _spread(len(source.steps) - 1)
        ]
        done, of = 0, len(behind)
        while not self._gone:
            with self._news:
                if not self._wishes and not behind:
                    self._filler = None
                    return
                wished = bool(self._wishes)
                key = self._wishes.pop(0) if wished else behind.pop(0)
            parsed = self._parsed(key)
            if parsed is None or (not wished and parsed[:2] in self._computed):
                continue
            try:
                self._answer(key, *parsed)
            except (NbllmError, OSError, RuntimeError, ValueError) as error:
                self._say(f"{self._sources[parsed[0]].steps[parsed[1]]}: {error}")
                continue
            if of and not wished:
                done = of - len(behind)
                self._say(f"{done} of {of} checkpoints asked" if behind else "")

    def _answer(self, key: str, s: int, t: int, part: str) -> None:
        before = len(self._measured)
        stacked = self._stacked(s, t)
        halves = {"all": lambda: stacked, "thumbs": lambda: _pooled(stacked)}.get(part, lambda: stacked[int(part)])()
        if self._gone:
            return
        self.send({"kind": "part", "key": key}, [halves.tobytes()])
        if len(self._measured) != before:
            self.measures = self._measures()

    def _stacked(self, s: int, t: int) -> np.ndarray:
        """The maps of a step, from what was computed where it is still there."""
        if (s, t) not in self._computed:
            source = self._sources[s]
            maps = source.first if t == len(source.steps) - 1 else source.read(t)
            self._computed[s, t] = self._take(s, t, maps)
            while len(self._computed) > 1 and sum(each.nbytes for each in self._computed.values()) > KEPT:
                self._computed.pop(next(iter(self._computed)))
        return self._computed[s, t]

    def _say(self, text: str) -> None:
        if not self._gone:
            self.progress = text


def _pooled(maps_MQK: np.ndarray) -> np.ndarray:
    """The largest weights by region: (map, at most THUMB, at most THUMB)."""
    for axis in (1, 2):
        length = maps_MQK.shape[axis]
        if length > THUMB:
            starts = (np.arange(THUMB) * length) // THUMB
            maps_MQK = np.maximum.reduceat(maps_MQK, starts, axis=axis)
    return maps_MQK


def _spread(count: int) -> list[int]:
    """0 to count - 1, those first that halve what lies between others."""
    order: list[int] = []
    step = 1
    while step < max(1, count):
        step *= 2
    while step >= 1:
        order += [place for place in range(0, count, step) if place not in order]
        step //= 2
    return order

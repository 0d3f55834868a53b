"""The explorer's widget: its weights lie in the page, and what is not there is sent when the page wishes it.

L layers, H heads, Q queries, K keys; M maps of a step: the heads, layer by layer, and rollout.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from nbllm.dashboards.explorer_sources import THUMB, Source
from nbllm.dashboards.front import Front
from nbllm.errors import NbllmError

if TYPE_CHECKING:
    from nbllm.inspection.maps import AttentionMaps

EAGER = 40_000_000
"""Bytes of weights that go to the page at once: 4 layers of 4 heads over 1,024 tokens are 18 MB in float16, or
36 MB where tokens see later ones."""
KEPT = 200_000_000
"""Bytes of computed maps that the kernel keeps for a page that is loaded again."""
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
_BATCH = 25  # steps measured before the page is told
_LONG = 128  # tokens from which weights are small, and their colours are spread


class Widget(Front):
    """All that the page needs. `maps` holds float16 weights, and `frames` says what lies where in it: the key
    "source:step:part" (part: all, thumbs, or the number of a map), the byte `at` which it begins, the `count`."""

    _js = "explorer.js"
    _sheet = "explorer.css"

    title = traitlets.Unicode().tag(sync=True)
    sources: traitlets.List[Any] = traitlets.List().tag(sync=True)
    maps = traitlets.Bytes().tag(sync=True)
    frames: traitlets.List[Any] = traitlets.List().tag(sync=True)
    measures = traitlets.Dict().tag(sync=True)
    progress = traitlets.Unicode().tag(sync=True)
    view = traitlets.Dict(_VIEW).tag(sync=True)

    def __init__(self, sources: list[Source], title: str, **view: Any):
        self._sources = sources
        self._measured: dict[str, Any] = {}
        self._numbers: list[str] = []
        self._kinds: list[str] = [""]
        self._guard = threading.Lock()
        self._computed: dict[tuple[int, int], AttentionMaps] = {}
        self._wishes: list[str] = []
        self._news = threading.Condition()
        self._filler: threading.Thread | None = None
        self._gone = False
        self._begin = sources[0].clearest
        parts = self._first_parts()
        frames: list[dict[str, Any]] = []
        at = 0
        for key, halves in parts:
            frames.append({"key": key, "at": at, "count": halves.size})
            at += halves.nbytes
        long = max(sources[0].first.weights.shape[2:]) > _LONG
        super().__init__(
            title=title,
            sources=[self._described(source) for source in sources],
            maps=b"".join(halves.tobytes() for _, halves in parts),
            frames=frames,
            measures=self._measures(),
            view={**_VIEW, "map": self._begin, "scale": "root" if long else "whole", **view},
        )
        self.on_msg(self._hear)
        # Behind the scenes heads are measured, and checkpoints asked that nobody wished for yet.
        noted = [frame["key"].rpartition(":")[0] for frame in frames if frame["key"].endswith((":all", ":thumbs"))]
        self._behind = [f"{step}:measures" for step in noted if step not in self._measured]
        self._behind += [
            f"{s}:{t}:all"
            for s, each in enumerate(sources)
            if each.slow and self.fits(each)
            for t in _spread(len(each.steps) - 1)
        ]
        if self._behind:
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
        return int(source.count * source.size * 2)

    def _described(self, source: Source) -> dict[str, Any]:
        layers, heads, queries, keys = source.first.weights.shape
        own = source.first
        return {
            "name": source.name, "tokens": own.queries, "keys": own.keys, "layers": layers, "heads": heads,
            "rows": queries, "columns": keys, "blocks": list(own.layers), "extras": source.extras,
            "steps": source.steps, "causal": source.causal, "packed": source.packed, "whole": self.fits(source),
            "thumb": [min(THUMB, queries), min(THUMB, keys)],
        }  # fmt: skip

    def _first_parts(self) -> list[tuple[str, np.ndarray]]:
        """What goes to the page at once: the latest of each source, then steps of the quick ones, evenly."""
        parts: list[tuple[str, np.ndarray]] = []
        for s, source in enumerate(self._sources):
            last = len(source.steps) - 1
            if not source.large:
                self._note(s, last, source.first)
            if self.fits(source):
                parts.append((f"{s}:{last}:all", source.stacked(source.first)))
            else:
                parts.append((f"{s}:{last}:thumbs", source.thumbs(source.first)))
                parts.append((f"{s}:{last}:{self._begin}", source.one(source.first, self._begin)))
        quick = [s for s, source in enumerate(self._sources) if not source.slow and self.fits(source)]
        room = EAGER - sum(halves.nbytes for _, halves in parts)
        for s in quick:
            source = self._sources[s]
            count = max(0, min(len(source.steps) - 1, room // len(quick) // max(1, self._size(source))))
            places = np.linspace(0, len(source.steps) - 2, count).round().astype(int).tolist()
            parts += [(f"{s}:{t}:all", source.stacked(source.read(t))) for t in dict.fromkeys(places)]
        return parts

    def _note(self, s: int, t: int, maps: AttentionMaps) -> None:
        """Keep for the page what was measured of the heads of a step."""
        numbers, kinds, rows = self._sources[s].measures(maps)
        if not rows:
            return
        with self._guard:
            self._numbers = numbers
            self._kinds += [kind for kind in dict.fromkeys(kinds) if kind not in self._kinds]
            self._measured[f"{s}:{t}"] = [
                [self._kinds.index(kind), *row] for kind, row in zip(kinds, rows, strict=True)
            ]

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
        known = part in ("all", "thumbs", "measures") or (part.isdigit() and int(part) < self._sources[s].count)
        return (s, t, part) if known else None

    def _fill_behind(self) -> None:
        """Answer wishes, and do what is left, in a thread of its own."""
        with self._news:
            if self._filler is None or not self._filler.is_alive():
                self._filler = threading.Thread(target=self._fill, name="nbllm-explorer", daemon=True)
                self._filler.start()

    def _fill(self) -> None:
        fresh = 0  # steps measured that the page does not know of
        while not self._gone:
            with self._news:
                if not self._wishes and not self._behind:
                    self._filler = None
                    return
                key = (self._wishes or self._behind).pop(0)
            parsed = self._parsed(key)
            if parsed is None:
                continue
            s, t, part = parsed
            try:
                maps = self._maps(s, t)
                if f"{s}:{t}" not in self._measured:
                    self._note(s, t, maps)
                    fresh += 1
                if fresh and (part != "measures" or fresh >= _BATCH or not self._behind):
                    self.measures = self._measures()
                    fresh = 0
                if part != "measures":
                    self._send_part(key, self._sources[s], maps, part)
            except (NbllmError, OSError, RuntimeError, ValueError) as error:
                self._say(f"step {self._sources[s].steps[t]}: {error}")
                continue
            left = sum(key.endswith(":all") for key in self._behind)
            self._say(f"{left} more {'checkpoint is' if left == 1 else 'checkpoints are'} being asked" if left else "")

    def _send_part(self, key: str, source: Source, maps: AttentionMaps, part: str) -> None:
        if part == "all":
            halves = source.stacked(maps)
        else:
            halves = source.thumbs(maps) if part == "thumbs" else source.one(maps, int(part))
        if not self._gone:
            self.send({"kind": "part", "key": key}, [halves.tobytes()])

    def _maps(self, s: int, t: int) -> AttentionMaps:
        """The maps of a step; those that took long are kept while there is room."""
        source = self._sources[s]
        if t == len(source.steps) - 1:
            return source.first
        if not source.slow:
            return source.read(t)
        if (s, t) not in self._computed:
            self._computed[s, t] = source.read(t)
            while len(self._computed) > 1 and sum(maps.weights.nbytes for maps in self._computed.values()) > KEPT:
                self._computed.pop(next(iter(self._computed)))
        return self._computed[s, t]

    def _say(self, text: str) -> None:
        if not self._gone:
            self.progress = text


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

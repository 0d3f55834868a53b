"""Where the explorer's maps come from: maps in hand, the probes of a run, or its checkpoints asked about a text.

L layers, H heads, Q queries, K keys.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.errors import ModelError, NbllmError
from nbllm.inspection.heads import MIXED
from nbllm.inspection.maps import AttentionMaps
from nbllm.plots.model_view import pooled
from nbllm.store.files import read_json

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.run import Run

NUMBERS = ("entropy", "distance", "first", "previous", "same", "induction")
"""Of what `heads()` measures, what is shown, in this order."""
THUMB = 48  # places of a small picture, where the maps themselves are not in the page
PACKED = 128  # tokens from which what no token sees is left out
LARGE = 40_000_000  # weights that take seconds to measure
_STEPS = 200
Given = AttentionMaps | Mapping[str, AttentionMaps]


@dataclass
class Source:
    """Maps of one text: of one moment (`steps` is [None]), or of the steps of a training. M maps of a step.

    `read(place)` gives the maps of a step by its place among the steps. It takes long where `slow` is set.
    """

    name: str
    steps: list[int | None]
    read: Callable[[int], AttentionMaps]
    slow: bool = False
    first: AttentionMaps = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.read(len(self.steps) - 1)  # the latest; the others have its shape

    @property
    def rolls_out(self) -> bool:
        """Whether rollout is known of these maps: a text over itself, in full."""
        queries, keys = self.first.weights.shape[2:]
        return self.first.part not in ("cross", "rollout") and queries == keys and not self.first.written

    @property
    def extras(self) -> list[str]:
        """Maps that stand beside those of the heads."""
        return ["rollout"] if self.rolls_out else []

    @property
    def count(self) -> int:
        """Maps of one step."""
        layers, heads = self.first.weights.shape[:2]
        return layers * heads + len(self.extras)

    @property
    def large(self) -> bool:
        """Whether its heads are measured behind the scenes."""
        return self.first.weights.size > LARGE

    @cached_property
    def measured(self) -> pd.DataFrame | None:
        """`heads()` of the latest maps; None where they are of a kind that has none."""
        return _heads(self.first)

    @property
    def clearest(self) -> int:
        """The number of the map to begin with: the head whose kind is clearest, else the last layer's first."""
        layers, heads = self.first.weights.shape[:2]
        best = None if self.large or self.measured is None else self.measured.iloc[0]
        if best is None or best["kind"] == MIXED:
            return (layers - 1) * heads
        return int(self.first.layers.index(best["layer"]) * heads + best["head"])

    def measures(self, maps: AttentionMaps) -> tuple[list[str], list[str], list[list[float | None]]]:
        """What `heads()` measured, for the page: names of the numbers, the kind of each head, and its row: its place in
        their order by kind and score, then the numbers."""
        frame = self.measured if maps is self.first else _heads(maps)
        if frame is None:
            return [], [], []
        layers, heads = maps.weights.shape[:2]
        numbers = [name for name in NUMBERS if name in frame]
        rows: list[list[float | None]] = [[] for _ in range(layers * heads)]
        kinds = [""] * (layers * heads)
        for rank, record in enumerate(frame.to_dict("records")):
            at = maps.layers.index(record["layer"]) * heads + record["head"]
            values = [float(record[name]) for name in numbers]
            rows[at] = [rank, *(None if np.isnan(value) else round(value, 4) for value in values)]
            kinds[at] = str(record["kind"])
        return numbers, kinds, rows

    @cached_property
    def causal(self) -> bool:
        """Whether no token sees a later one."""
        weights = self.first.weights
        queries, keys = weights.shape[2:]
        if self.first.part == "cross" or queries != keys or queries < 2:
            return False
        # Of one head all is looked at, of the others the next token and the last one, which is quick.
        ahead = np.diagonal(weights, 1, 2, 3).any() or weights[..., :-1, -1].any() or np.triu(weights[0, -1], 1).any()
        return not ahead

    @property
    def packed(self) -> bool:
        """Whether its maps go to the page without what comes later, row by row: half of a long text's."""
        return self.first.weights.shape[2] >= PACKED and self.causal

    @property
    def size(self) -> int:
        """Weights of one map, as they go to the page."""
        queries, keys = self.first.weights.shape[2:]
        return queries * (queries + 1) // 2 if self.packed else queries * keys

    def stacked(self, maps: AttentionMaps) -> np.ndarray:
        """All maps of one step as float16 (M, Q, K), or packed (M, Q (Q + 1) / 2): the heads, layer by layer, then the
        extras.

        float16 keeps three figures of a weight of any size down to 1e-7.
        """
        layers, heads, queries, keys = maps.weights.shape
        found = np.empty((self.count, queries, keys), dtype=np.float16)
        found[: layers * heads] = _half(maps.weights).reshape(layers * heads, queries, keys)
        if self.extras:
            found[-1] = _half(maps.rollout().weights[-1, 0])
        return packed(found) if self.packed else found

    def one(self, maps: AttentionMaps, number: int) -> np.ndarray:
        """One of them, float16 (Q, K) or packed."""
        layers, heads = maps.weights.shape[:2]
        weights = maps.weights[number // heads, number % heads] if number < layers * heads else None
        found = _half(maps.rollout().weights[-1, 0] if weights is None else weights)
        return packed(found[None])[0] if self.packed else found

    def thumbs(self, maps: AttentionMaps) -> np.ndarray:
        """The largest weights by region, float16 (M, at most THUMB a side), but for rollout, which takes long."""
        layers, heads, queries, keys = maps.weights.shape
        small = pooled(maps.weights, THUMB).reshape(layers * heads, min(THUMB, queries), min(THUMB, keys))
        found = np.zeros((self.count, *small.shape[1:]), dtype=np.float16)
        found[: layers * heads] = _half(small)
        return found


def of_maps(given: Given) -> list[Source]:
    """Sources of maps in hand: one, or several by name, as {"encoder": ..., "cross": ...}."""
    named = given if isinstance(given, Mapping) else {given.part: given}
    if not named:
        raise ModelError("There are no maps to explore.", 'Give some, as in model.attention("text").explore()')
    for name, maps in named.items():
        if not isinstance(maps, AttentionMaps):
            raise ModelError(f"'{name}' holds no attention maps.", "Give what model.attention(text) returns.")
        if 0 in maps.weights.shape:
            raise ModelError(f"'{name}' holds no weights.", "Ask about a longer text.")
    return [Source(str(name), [None], partial(_same, maps)) for name, maps in named.items()]


def _same(maps: AttentionMaps, place: int) -> AttentionMaps:
    return maps


def of_probes(run: Run) -> Source:
    """The maps that a run kept while it trained. ModelError where it kept none."""
    from nbllm.store.folder import RunFolder

    folder = RunFolder(run.folder).probes
    about = read_json(folder / "probe.json", {})
    steps = sorted(int(path.stem[5:]) for path in folder.glob("step-*.npz") if path.stem[5:].isdigit())
    if isinstance(about, dict) and about.get("kind") == "gates":
        raise ModelError(
            f"Run '{run.name}' has no attention: it kept gates and states while it trained.",
            f"Ask for them: nbllm.load('{run.name}').gates(\"your text\"); its dashboard shows them step by step.",
        )
    if not steps or not isinstance(about, dict) or about.get("kind") != "attention":
        raise ModelError(
            f"Run '{run.name}' kept no attention maps while it trained.",
            f"Ask its checkpoints about a text: nbllm.attach('{run.name}').explore(\"your text\")",
        )
    steps = _thinned(steps, _STEPS)
    keys = about.get("keys") or None

    def read(place: int) -> AttentionMaps:
        with np.load(folder / f"step-{steps[place]}.npz", allow_pickle=False) as file:
            weights = np.asarray(file["attention"])
        part = "cross" if keys else "self"
        return AttentionMaps(weights, list(about["tokens"]), list(keys) if keys else None, part=part)

    try:
        return Source(run.name, list(steps), read)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"The probes of '{run.name}' cannot be read.", "Train it anew.") from error


def of_checkpoints(run: Run, text: str, **asked: Any) -> Source:
    """The maps of a text by each checkpoint of a run: the latest at once, the others when they are asked for.

    `asked` goes to `model.attention`: target, part, pair.
    """
    from nbllm.store.folder import RunFolder

    steps = _thinned(RunFolder(run.folder).checkpoint_steps() or [run.load().step], _STEPS)

    def read(place: int) -> AttentionMaps:
        model = run.load(steps[place])
        try:
            return model.attention(text, **asked)
        finally:
            model.close()

    return Source(run.name, list(steps), read, slow=True)


def of_run(run: Run, text: str | None, **asked: Any) -> Source:
    """Of a text by the checkpoints, or, where none is given, what was kept while training."""
    if text is not None:
        return of_checkpoints(run, text, **asked)
    if any(asked.values()):
        raise ModelError("What was kept while training is of one text.", "Give text=..., with its target or part.")
    return of_probes(run)


def named_apart(sources: list[Source]) -> list[Source]:
    """The same sources with names that differ."""
    seen: dict[str, int] = {}
    for source in sources:
        seen[source.name] = seen.get(source.name, 0) + 1
        if seen[source.name] > 1:
            source.name = f"{source.name} ({seen[source.name]})"
    return sources


def packed(maps_MQQ: np.ndarray) -> np.ndarray:
    """Row after row up to the diagonal: (M, Q (Q + 1) / 2)."""
    count, size = maps_MQQ.shape[:2]
    found = np.empty((count, size * (size + 1) // 2), dtype=maps_MQQ.dtype)
    for row in range(size):
        start = row * (row + 1) // 2
        found[:, start : start + row + 1] = maps_MQQ[:, row, : row + 1]
    return found


def _half(weights: np.ndarray) -> np.ndarray:
    """As float16, with zeros where a token sees nothing, not even itself."""
    if np.isnan(weights).any():
        weights = np.nan_to_num(weights)
    torch = sys.modules.get("torch")  # ten times as quick at it; not worth being loaded for
    if torch is not None and weights.dtype == np.float32 and weights.flags.writeable:
        return np.asarray(torch.from_numpy(np.ascontiguousarray(weights)).half().numpy())
    return weights.astype(np.float16)


def _heads(maps: AttentionMaps) -> pd.DataFrame | None:
    try:
        return maps.heads()
    except NbllmError:
        return None


def _thinned(steps: list[int], most: int) -> list[int]:
    """At most so many, evenly, the first and the last kept."""
    if len(steps) <= most:
        return steps
    places = np.linspace(0, len(steps) - 1, most).round().astype(int)
    return [steps[place] for place in dict.fromkeys(places.tolist())]

"""The inside of a model over the training: attention or gates of the probe text, packed into the page.

L layers, H heads (or gates), R rows (queries, or units), C columns (keys, or tokens), N steps.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from nbllm.dashboards.report.text import folded, payload, shown
from nbllm.dashboards.tables import table
from nbllm.errors import ModelError
from nbllm.handles.record import Record
from nbllm.plots.maps import apart, visible
from nbllm.plots.palette import SIGNED, WEIGHTS, paint
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder

MOST = 1_000_000  # bytes of all maps in the page, packed and written in base64
_STRONGEST = 3
_LEVELS = 255


@dataclass(frozen=True)
class Kept:
    """What a run kept of its probe text: uint8 (N, L, H, R, C); the ends (low, high) that 0 and 255 stand for, a head;
    names of steps, heads, rows and columns."""

    kind: str
    values: np.ndarray
    ends: list[tuple[float, float]]
    steps: list[int]
    heads: list[str]
    rows: list[str]
    columns: list[str]


def inside(record: Record) -> str:
    """Maps with pickers of layer, head and step; without a script a picture of the last step, and its table."""
    try:
        found = read_kept(RunFolder(record.run.folder))
    except ModelError as error:
        return f'<p class="quiet">{escape(str(error))}</p>'
    found, packed = _packed(found)
    about = {
        "kind": found.kind, "shape": list(found.values.shape), "ends": [list(map(float, e)) for e in found.ends],
        "steps": found.steps, "heads": found.heads, "rows": _labels(found),
        "columns": [visible(t) for t in found.columns],
        "scales": {"weights": [c for _, c in WEIGHTS], "signed": [c for _, c in SIGNED]},
    }  # fmt: skip
    what = (
        "What each token of a text looked at: a row is a token that looks, a column one that is looked at; the shade "
        "grows with the root of the weight."
        if found.kind == "attention"
        else "What the gates and states of each unit did over a text: a row is a unit, a column a token."
    )
    text = "".join(f"<bdi>{escape(visible(token))}</bdi><wbr>" for token in found.columns)
    still = (
        f'<figure class="still">{_picture(found)}<figcaption>Step {found.steps[-1]:,}, {_order(found)}.</figcaption>'
    )
    return (
        f"<p>{what} The text is the probe of the run, watched from step {found.steps[0]:,} to {found.steps[-1]:,}:</p>"
        f'<p class="tokens">{text}</p>{still}</figure>{payload("maps", about, packed)}'
        + folded(f"The strongest of each {'head' if found.kind == 'attention' else 'gate'} as a table", _table(found))
    )


def read_kept(folder: RunFolder) -> Kept:
    """Everything of the probe. ModelError where nothing was kept."""
    about = read_json(folder.probes / "probe.json", {})
    about = about if isinstance(about, dict) else {}
    kind = about.get("kind")
    arrays: dict[int, np.ndarray] = {}
    for path in folder.probes.glob("step-*.npz"):
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays[int(path.stem[5:])] = np.asarray(file[str(kind)], dtype=np.float32)
        except (OSError, KeyError, ValueError):
            continue  # half written when the worker was killed
    steps = sorted(arrays)
    shape = arrays[steps[-1]].shape if steps else ()
    steps = [step for step in steps if arrays[step].shape == shape]
    tokens = [str(token) for token in about.get("tokens", [])]
    if not steps or kind not in ("attention", "gates") or not tokens:
        raise ModelError("The run kept no picture of its inside.", "Train with probe.every, as in probe.every=50.")
    values = np.stack([arrays[step] for step in steps])
    if kind == "attention":
        keys = [str(token) for token in about.get("keys") or tokens]
        heads = [f"head {number}" for number in range(shape[1])]
        return Kept(kind, _levels(values, [(0.0, 1.0)] * shape[1]), [(0.0, 1.0)] * shape[1], steps, heads, tokens, keys)
    values = values.transpose(0, 1, 2, 4, 3)  # rows are units
    heads = [str(name) for name in about.get("gates", [])] or [f"gate {number}" for number in range(shape[1])]
    ends = []
    for number in range(values.shape[2]):
        part = np.nan_to_num(values[:, :, number])
        most = float(max(1.0, np.abs(part).max()))
        ends.append((0.0, most) if part.min() >= 0 else (-most, most))
    units = [f"unit {number}" for number in range(values.shape[3])]
    return Kept(kind, _levels(values, ends), ends, steps, heads, units, tokens)


def _levels(values: np.ndarray, ends: list[tuple[float, float]]) -> np.ndarray:
    low, high = (np.array([end[i] for end in ends], dtype=np.float32)[None, None, :, None, None] for i in (0, 1))
    return (np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1) * _LEVELS).round().astype(np.uint8)


def _values(found: Kept, layer: int, head: int, step: int = -1) -> np.ndarray:
    low, high = found.ends[head]
    return low + found.values[step, layer, head].astype(np.float32) / _LEVELS * (high - low)


def _packed(found: Kept) -> tuple[Kept, str]:
    """The same with so many steps, spread evenly, as the page has room for; and the bytes in base64."""
    while True:
        packed = base64.b64encode(gzip.compress(found.values.tobytes(), 6, mtime=0)).decode("ascii")
        if len(packed) <= MOST or len(found.steps) <= 1:
            return found, packed
        count = max(1, min(len(found.steps) - 1, int(len(found.steps) * MOST / len(packed))))
        rows = np.unique(np.linspace(len(found.steps) - 1, 0, count).round().astype(int))
        steps = [found.steps[i] for i in rows]
        found = Kept(found.kind, found.values[rows], found.ends, steps, found.heads, found.rows, found.columns)


def _order(found: Kept) -> str:
    across = "heads" if found.kind == "attention" else ", ".join(found.heads)
    return f"a row a layer; across {across}"


def _picture(found: Kept) -> str:
    """All heads of the last step as one still picture."""
    import io

    from PIL import Image

    _, layers, heads, rows, columns = found.values.shape
    gap = 2
    cell = max(1, min(6, 900 // max(1, heads * (columns + gap))))
    high, wide = layers * (rows + gap) - gap, heads * (columns + gap) - gap
    picture = np.full((high, wide, 4), 0, dtype=np.uint8)
    for layer in range(layers):
        for head in range(heads):
            scale = SIGNED if found.ends[head][0] < 0 else WEIGHTS
            y, x = layer * (rows + gap), head * (columns + gap)
            picture[y : y + rows, x : x + columns, :3] = paint(_shade(found, layer, head), scale)
            picture[y : y + rows, x : x + columns, 3] = 255
    image = Image.fromarray(picture).resize((wide * cell, high * cell), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    from nbllm.dashboards.report.sections import image as placed

    return placed(out.getvalue(), f"{found.kind} of {layers} layers, {_order(found)}")


def _labels(found: Kept) -> list[str]:
    """Names of the rows: tokens with their white space to be seen, or units."""
    return [visible(token) for token in found.rows] if found.kind == "attention" else found.rows


def _shade(found: Kept, layer: int, head: int) -> np.ndarray:
    """Places on the scale: of weights, most of which are small, their roots."""
    shares = found.values[-1, layer, head] / _LEVELS
    return shares if found.ends[head][0] < 0 else np.sqrt(shares)


def _table(found: Kept) -> str:
    """The strongest cells of each head at the last step."""
    rows = {}
    columns, lines = [apart(visible(t)) for t in found.columns], [apart(name) for name in _labels(found)]
    for layer in range(found.values.shape[1]):
        for head, name in enumerate(found.heads):
            values = _values(found, layer, head)
            best = np.argsort(-np.abs(values), axis=None, kind="stable")[:_STRONGEST]
            joint = " looks at " if found.kind == "attention" else " at "
            told = [
                f"{lines[i // len(columns)]}{joint}{columns[i % len(columns)]} {values.flat[i]:.2f}"
                for i in (int(each) for each in best)
            ]
            rows[f"layer {layer}, {shown(name)}"] = {str(rank): text for rank, text in enumerate(told, 1)}
    frame: Any = pd.DataFrame.from_dict(rows, orient="index")
    return table(frame.rename_axis("where"), f"Step {found.steps[-1]:,}", across=True)

"""Attention maps as files: arrays that are read back, and pages and pictures to look at."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.errors import ModelError, one_line
from nbllm.inspection.maps import AttentionMaps
from nbllm.registry import VIEWS

FORMAT = 1
_DRAWN = {".html": "attention_page", ".png": "attention_picture", ".svg": "attention_drawing"}


def save(maps: AttentionMaps, path: str | Path, layer: int | None = None, head: int | None = None) -> Path:
    """Write the maps, or those of one layer or head, as the name ends. Returns the path."""
    path = Path(path).expanduser()
    kind = path.suffix.lower()
    if kind not in (".npz", *_DRAWN):
        raise ModelError(f"'{path.name}' ends in no format of attention.", "Use a name as in x.npz, .html, .png, .svg.")
    chosen = maps.of(layer, head)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".npz":
        about = {"format": FORMAT, **_fields(chosen)}
        with path.open("wb") as file:
            np.savez_compressed(file, weights=chosen.weights, about=np.array(json.dumps(about)))
        return path
    drawn = VIEWS.get(_DRAWN[kind])(chosen)
    if isinstance(drawn, bytes):
        path.write_bytes(drawn)
    else:
        path.write_text(drawn, encoding="utf-8")
    return path


def load(path: str | Path) -> AttentionMaps:
    """What `save` wrote as .npz. ModelError where it is something else; nothing in the file is run."""
    path = Path(path).expanduser()
    try:
        with np.load(path, allow_pickle=False) as file:
            weights, about = file["weights"], json.loads(str(file["about"]))
        return _checked(weights, about)
    except FileNotFoundError:
        raise ModelError(f"There is no file {path}.", 'Write it with maps.save("x.npz").') from None
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path.name} holds no attention maps: {one_line(error)[:120]}.", 'Write it with maps.save("x.npz").'
        ) from None


def _fields(maps: AttentionMaps) -> dict[str, Any]:
    names = ("tokens", "key_tokens", "part", "key_ids", "start", "written", "segments", "blocks")
    return {name: getattr(maps, name) for name in names}


def _checked(weights: np.ndarray, about: Any) -> AttentionMaps:
    """The maps, every field of the kind and length that it must have."""
    if not isinstance(about, dict) or about.pop("format", None) != FORMAT:
        raise ValueError("another format")
    if weights.ndim != 4 or weights.dtype not in (np.float32, np.float16):
        raise ValueError("the weights are no (layer, head, query, key)")
    maps = AttentionMaps(weights, **about)
    layers, _, queries, keys = weights.shape
    lists = ((maps.tokens, str, queries), (maps.keys, str, keys), (maps.key_ids, int, keys),
             (maps.segments, int, keys), (maps.blocks, int, layers))  # fmt: skip
    for values, kind, length in lists:
        if values is not None and (
            not isinstance(values, list) or len(values) != length or not all(isinstance(each, kind) for each in values)
        ):
            raise ValueError("labels and weights do not fit")
    if not isinstance(maps.part, str) or not isinstance(maps.start, int) or not 0 <= maps.start <= keys:
        raise ValueError("labels and weights do not fit")
    return maps

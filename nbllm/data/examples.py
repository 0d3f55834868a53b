"""Examples on disk: named ragged lists of whole numbers, memory-mapped.

train.FIELD.npy         the numbers of every example one after another, the smallest integer type
train.FIELD.ends.npy    int64, where each example's end
train.json              {"format": 1, "fields": [...], "count": ..., "tokens": ..., "bytes": ...}
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nbllm.errors import DataError

FORMAT = 1


@dataclass(frozen=True)
class Examples:
    """Read only: `len`, `[index]` gives a dict of arrays; `lengths` the numbers each example holds in all."""

    fields: dict[str, tuple[np.ndarray, np.ndarray]]
    about: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> Examples:
        """Read `path`.json and the arrays beside it. Raises DataError where they are missing or damaged."""
        try:
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise ValueError("unknown format")
            fields = {}
            for name in about["fields"]:
                numbers = _load(path.with_name(f"{path.name}.{name}.npy"))
                ends = _load(path.with_name(f"{path.name}.{name}.ends.npy"))
                if len(ends) != about["count"] or (len(ends) and int(ends[-1]) != len(numbers)):
                    raise ValueError(f"{name} is not what the JSON says")
                fields[name] = (numbers, ends)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"The examples at {path} are missing or damaged: {error}.", "Prepare the run again."
            ) from None
        return cls(fields, about)

    def __len__(self) -> int:
        return int(self.about["count"])

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        found = {}
        for name, (numbers, ends) in self.fields.items():
            start = int(ends[index - 1]) if index else 0
            found[name] = numbers[start : int(ends[index])].astype(np.int64)
        return found

    @property
    def lengths(self) -> np.ndarray:
        """(N,) numbers of every example over all its fields."""
        return sum(np.diff(ends, prepend=0) for _, ends in self.fields.values())  # type: ignore[return-value]


class ExampleWriter:
    """Collects examples in memory, a few bytes a token, and writes them whole."""

    def __init__(self, path: Path):
        self.path = path
        self.count = 0
        self._numbers: dict[str, array[int]] = {}
        self._ends: dict[str, array[int]] = {}

    def append(self, example: Mapping[str, Sequence[int] | np.ndarray]) -> None:
        """Add one example; all have the same fields."""
        for name, numbers in example.items():
            held = self._numbers.setdefault(name, array("i"))
            held.frombytes(np.asarray(numbers, dtype=np.int32).tobytes())
            self._ends.setdefault(name, array("q")).append(len(held))
        self.count += 1

    def close(self, **about: Any) -> Examples:
        """Write the files; `about` goes into the JSON."""
        for name, held in self._numbers.items():
            numbers = np.frombuffer(held, dtype=np.int32) if held else np.zeros(0, dtype=np.int32)
            largest = int(numbers.max(initial=0))
            kind = np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.int32
            np.save(self.path.with_name(f"{self.path.name}.{name}.npy"), numbers.astype(kind), allow_pickle=False)
            ends = np.frombuffer(self._ends[name], dtype=np.int64)
            np.save(self.path.with_name(f"{self.path.name}.{name}.ends.npy"), ends, allow_pickle=False)
        whole = {"format": FORMAT, "fields": list(self._numbers), "count": self.count, **about}
        part = self.path.with_suffix(".json.part")
        part.write_text(json.dumps(whole), encoding="utf-8")
        os.replace(part, self.path.with_suffix(".json"))
        return Examples.open(self.path)


def _load(path: Path) -> np.ndarray:
    if not path.is_file():
        raise OSError(f"no file {path.name}")
    if path.stat().st_size < 1 << 16:
        return np.load(path, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)

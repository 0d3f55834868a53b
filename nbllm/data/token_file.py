"""Token files: the ids of a text one after another in the smallest integer type, with a JSON file beside them.

    train.bin    little-endian uint8, uint16 or uint32, nothing else
    train.json   {"format": 1, "dtype": "uint16", "tokens": ..., "bytes": ..., "characters": ..., "documents": ..., ...}

`bytes` and `characters` are those of the text, without the tokens between documents: what bits per byte is measured on.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from nbllm.errors import DataError

FORMAT = 1


def dtype_for(vocab_size: int) -> str:
    """The smallest unsigned integer that holds every id of the vocabulary."""
    return "uint8" if vocab_size <= 1 << 8 else "uint16" if vocab_size <= 1 << 16 else "uint32"


@dataclass(frozen=True)
class TokenFile:
    """What the JSON file says, and where the ids lie."""

    path: Path
    dtype: str
    tokens: int
    bytes: int
    characters: int
    documents: int
    fingerprint: str = ""

    @classmethod
    def open(cls, path: Path) -> TokenFile:
        """Read `NAME.json` beside `NAME.bin`. Raises DataError when either is missing or they disagree."""
        try:
            meta = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if meta.pop("format") != FORMAT or meta["dtype"] not in ("uint8", "uint16", "uint32"):
                raise ValueError("unknown format")
            file = cls(path=path, **meta)
            size = path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"The token file {path} is missing or damaged: {error}.", "Prepare the run again."
            ) from None
        if size != file.tokens * np.dtype(file.dtype).itemsize:
            raise DataError(
                f"The token file {path} has {size:,} bytes, not what its JSON says.", "Prepare the run again."
            )
        return file

    def ids(self) -> np.ndarray:
        """(tokens,) memory-mapped, read only."""
        if self.tokens == 0:
            return np.zeros(0, dtype=self.dtype)
        return np.memmap(self.path, dtype=np.dtype(self.dtype).newbyteorder("<"), mode="r")


class TokenWriter:
    """Writes a token file in parts; it stands under its name only when it is whole."""

    def __init__(self, path: Path, vocab_size: int, fingerprint: str = ""):
        self.path = path
        self._dtype = dtype_for(vocab_size)
        self._part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        self.tokens = self.bytes = self.characters = self.documents = 0
        self._fingerprint = fingerprint

    def append(self, ids: np.ndarray) -> None:
        """Add ids; any integer array whose values fit the vocabulary."""
        self._file.write(np.ascontiguousarray(ids, dtype=np.dtype(self._dtype).newbyteorder("<")).data)
        self.tokens += len(ids)

    def close(self) -> TokenFile:
        """Flush, rename, write the JSON file."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self.path)
        result = TokenFile(
            self.path, self._dtype, self.tokens, self.bytes, self.characters, self.documents, self._fingerprint
        )
        meta = {"format": FORMAT, **{key: value for key, value in asdict(result).items() if key != "path"}}
        part = self._part.with_suffix(".json.part")
        part.write_text(json.dumps(meta), encoding="utf-8")
        os.replace(part, self.path.with_suffix(".json"))
        return result

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self._file.close()
            self._part.unlink(missing_ok=True)

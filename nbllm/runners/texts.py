"""The text of a run as tokens again, after its training: what it learned from, and what was held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nbllm.config import RunConfig
from nbllm.data import tokenizers
from nbllm.data.encode import encoder
from nbllm.data.make_stream import open_stream
from nbllm.data.text_stream import TokenStream
from nbllm.data.token_file import TokenFile
from nbllm.errors import DataError
from nbllm.runners.plan import RECORDS
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder, user_folder

FROM_STREAM = 500_000  # tokens that are read again of a stream


@dataclass(frozen=True)
class Texts:
    """Token arrays. `whole` says whether `train` is all of the training text: of a stream it is the start."""

    train: np.ndarray
    held: np.ndarray
    whole: bool = True


def has_texts(folder: RunFolder) -> bool:
    """Whether the folder holds running text: of a model that was loaded from elsewhere, or learned from rows, it does
    not."""
    return any((folder.data / name).is_file() for name in ("train.bin", "stream.json"))


def texts(folder: RunFolder, config: RunConfig) -> Texts:
    """The tokens of a run of running text. DataError for other runs, and where the files are gone."""
    if not has_texts(folder):
        raise DataError(
            f"{folder.name} keeps no running text that it learned from.",
            "Ask a run that was trained here on a corpus, as with objective: clm.",
        )
    held = TokenFile.open(folder.data / "held_out.bin").ids()
    if (folder.data / "train.bin").is_file():
        tokens = TokenFile.open(folder.data / "train.bin")
        used = max(config.train.context + 1, round(tokens.tokens * config.data.use))
        return Texts(tokens.ids()[:used], held)
    base, cache = places(folder, config)
    text, start = open_stream(folder.data, config, base, cache)
    stream = TokenStream(text, encoder(tokenizers.load(folder.tokenizer)), start)
    return Texts(stream.take(FROM_STREAM, FROM_STREAM), held, whole=False)


def places(folder: RunFolder, config: RunConfig) -> tuple[Path, Path | None]:
    """The folder that a relative source starts from (where the run was asked for, or the run's own for its records),
    and that of the cache."""
    cache = user_folder("tokens") if config.data.cache else None
    if config.data.source == RECORDS:
        return folder.path, cache
    return Path(read_json(folder.environment, {}).get("cwd") or Path.cwd()), cache

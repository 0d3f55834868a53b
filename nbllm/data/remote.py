"""Sources that are not files here: an https address, and Hugging Face data sets by name or from disk.

Nothing is fetched until the user agrees: without `allow_download` the error says how much it would be.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import platformdirs

from nbllm.config import DataConfig
from nbllm.data.readers import Record, cell_text, pieces, text_column
from nbllm.errors import DataError, NbllmError, did_you_mean, one_line, require

TIMEOUT = 20  # seconds without an answer
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def downloads(cache: Path | None = None) -> Path:
    """Folder for fetched files: under `cache`, else NBLLM_CACHE, else the user's cache folder."""
    root = cache or Path(os.environ.get("NBLLM_CACHE") or platformdirs.user_cache_path("nbllm"))
    return root / "downloads"


def megabytes(size: int | None) -> str:
    """A size for people."""
    if size is None:
        return "of unknown size"
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"


# ---- https


def is_address(source: str) -> bool:
    """Whether the source is a web address."""
    return "://" in source


def cached_file(url: str, cache: Path | None = None) -> Path:
    """Where an address is, or will be, kept."""
    suffixes = "".join(PurePosixPath(urllib.parse.urlsplit(url).path).suffixes[-2:])
    suffixes = suffixes if suffixes.replace(".", "").isalnum() else ""
    return downloads(cache) / (hashlib.sha256(url.encode()).hexdigest()[:24] + suffixes)


def address_size(url: str) -> int | None:
    """Bytes of the file at an address, as its server says (HEAD). Raises DataError when there is none."""
    with _open(url, "HEAD") as answer:
        length = answer.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def ask_first(url: str, cache: Path | None = None) -> None:
    """Raise the DataError that says the size and how to agree."""
    raise DataError(
        f"{url} is {megabytes(address_size(url))} and not here yet.",
        "To fetch it, add allow_download: true (or --allow-download).",
    )


def fetch(url: str, cache: Path | None = None) -> Path:
    """Stream an address to its file in the cache, which appears only when it is whole."""
    target = cached_file(url, cache)
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _open(url, "GET") as answer:
        length = answer.headers.get("Content-Length")
        expected = int(length) if length and length.isdigit() else None
        free = shutil.disk_usage(target.parent).free
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                size = 0
                while block := answer.read(1 << 20):
                    size += len(block)
                    if max(size, expected or 0) > free * 0.9:
                        raise DataError(f"{url} does not fit on the disk.", f"Free some space in {target.parent}.")
                    file.write(block)
            if expected is not None and size != expected:
                raise DataError(f"{url} broke off after {megabytes(size)}.", "Try again.")
            os.replace(name, target)
        except OSError as error:
            raise DataError(f"{url} could not be fetched: {error}.", "Try again.") from None
        finally:
            Path(name).unlink(missing_ok=True)
    return target


class _OnlySafe(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where a user may point in the first place."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_address(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
    if not (parts.scheme == "https" and parts.hostname) and not local:
        raise DataError(f"{url} is not an https address.", "Use https://..., or fetch the file and give its path.")


def _open(url: str, method: str) -> Any:
    _check_address(url)
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "nbllm", "Accept-Encoding": "identity"})
    try:
        return urllib.request.build_opener(_OnlySafe()).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        raise DataError(f"{url} answers {error.code} {error.reason}.", "Check the address.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{url} cannot be reached: {reason}.", "Check the address and the network.") from None


# ---- Hugging Face


def dataset_folder(source: str, base: Path) -> Path | None:
    """The folder of `hf:PATH` when it is one on disk."""
    folder = base / Path(source.removeprefix("hf:")).expanduser()
    return folder if folder.is_dir() else None


def dataset(data: DataConfig, base: Path) -> Any:
    """The Hugging Face data set that `hf:NAME_OR_PATH` names, memory-mapped by Arrow."""
    datasets = require("datasets", "hub")
    folder = dataset_folder(data.source, base)
    name = data.source.removeprefix("hf:")
    try:
        if folder is not None:
            found = datasets.load_from_disk(str(folder))
        else:
            local = datasets.DownloadConfig(local_files_only=not data.allow_download)
            found = datasets.load_dataset(name, data.dataset_config, split=data.dataset_split, download_config=local)
    except NbllmError:
        raise
    except Exception as error:  # the library raises many kinds, from five packages
        if folder is None and not data.allow_download:
            raise DataError(
                f"The data set {name} is not on this machine ({_download_size(datasets, data, name)}).",
                "To fetch it, add allow_download: true (or --allow-download).",
            ) from None
        raise DataError(f"The data set {name} cannot be read: {one_line(error)[:200]}.", "Check its name.") from None
    if hasattr(found, "keys"):
        if data.dataset_split not in found:
            raise DataError(f"{name} has no split '{data.dataset_split}'.", did_you_mean(data.dataset_split, found))
        found = found[data.dataset_split]
    return found


def dataset_columns(found: Any, data: DataConfig) -> tuple[tuple[str, ...], str]:
    """All columns of a data set, and the one with the text."""
    names = tuple(found.column_names)
    textual = [k for k, f in found.features.items() if getattr(f, "dtype", "") in ("string", "large_string")]
    return names, text_column(data.text_column, names, textual, data.source)


def read_dataset(data: DataConfig, base: Path) -> Iterator[Record]:
    """The rows of a data set, one document each."""
    found = dataset(data, base)
    _, column = dataset_columns(found, data)
    for batch in found.select_columns([column]).iter(batch_size=512):
        for value in batch[column]:
            text = cell_text(value, column, data.source)
            if text:
                yield from pieces(text)


def _download_size(datasets: Any, data: DataConfig, name: str) -> str:
    try:
        size = datasets.load_dataset_builder(name, data.dataset_config).info.download_size
    except Exception as error:  # no network, or no such name: the size is a courtesy
        return f"its size could not be asked: {one_line(error)[:120]}"
    return f"{megabytes(size)} to fetch" if size else "its size is not stated"

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
from contextlib import contextmanager, nullcontext
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
            with nullcontext() if data.allow_download else _offline(datasets):
                found = datasets.load_dataset(name, data.dataset_config, split=data.dataset_split)
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


def streamed(data: DataConfig, base: Path, revision: str | None = None) -> Any:
    """The same as an iterable data set, of which never more than a few rows are here; also of a folder of Parquet, JSON
    lines, CSV or text files. `revision` is the state of a hub's data set (`revision_of`); the newest where not given.

    Without `allow_download` a name is looked for among what was fetched before, as in `dataset`.
    """
    datasets = require("datasets", "hub")
    folder = dataset_folder(data.source, base)
    saved = folder is not None and any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    if saved or (folder is None and not data.allow_download):
        return dataset(data, base).to_iterable_dataset()
    name = data.source.removeprefix("hf:") if folder is None else str(folder)
    try:
        return datasets.load_dataset(
            name, data.dataset_config, split=data.dataset_split, streaming=True, revision=revision
        )
    except Exception as error:  # the library raises many kinds, from five packages
        raise DataError(
            f"The data set {data.source} cannot be read: {one_line(error)[:200]}.",
            "Check its name, data.dataset_config and data.dataset_split.",
        ) from None


def revision_of(data: DataConfig, base: Path) -> str | None:
    """The commit that a hub's data set stands at, so that a stream can be resumed in the same text; None for others."""
    if not data.source.startswith("hf:") or not data.allow_download or dataset_folder(data.source, base) is not None:
        return None
    datasets = require("datasets", "hub")
    try:
        found = datasets.load_dataset_builder(data.source.removeprefix("hf:"), data.dataset_config).hash
    except Exception as error:
        raise DataError(
            f"The data set {data.source} cannot be reached: {one_line(error)[:200]}.", "Check its name."
        ) from None
    return str(found) if found else None


def dataset_columns(found: Any, data: DataConfig) -> tuple[tuple[str, ...], str]:
    """All columns of a data set, and the one with the text."""
    if found.features is None:  # of an iterable one without a description only its rows tell
        first: dict[str, Any] = next(iter(found), {})
        names, textual = tuple(first), [name for name, value in first.items() if isinstance(value, str)]
    else:
        names = tuple(found.features)
        textual = [k for k, f in found.features.items() if getattr(f, "dtype", "") in ("string", "large_string")]
    return names, text_column(data.text_column, names, textual, data.source)


def read_dataset(data: DataConfig, base: Path) -> Iterator[Record]:
    """The rows of a data set, one document each."""
    if data.streaming:
        yield from (record for _, text in read_streamed(data, base) for record in pieces(text))
        return
    found = dataset(data, base)
    _, column = dataset_columns(found, data)
    for batch in found.select_columns([column]).iter(batch_size=512):
        for value in batch[column]:
            text = cell_text(value, column, data.source)
            if text:
                yield from pieces(text)


def read_streamed(
    data: DataConfig, base: Path, place: dict[str, Any] | None = None, revision: str | None = None
) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """The texts of an iterable data set from a place on, each with the place before it, from which it would come again.

    A place is the library's own state of the data set, which JSON holds; None is the start.
    """
    found = streamed(data, base, revision)
    _, column = dataset_columns(found, data)
    found = found.select_columns([column])
    if place is not None:
        found.load_state_dict(place)
    rows = iter(found)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # a network, a damaged file
            raise DataError(
                f"The data set {data.source} broke off: {one_line(error)[:200]}.",
                "Check the files or the network; the run goes on from its last checkpoint: --resume.",
            ) from None
        text = cell_text(row[column], column, data.source)
        if text:
            yield place, text
        place = found.state_dict()


@contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """No network meanwhile for the libraries of the hub (which take no heed of DownloadConfig.local_files_only)."""
    from huggingface_hub import constants

    switches: list[Any] = [module for module in (datasets.config, constants) if hasattr(module, "HF_HUB_OFFLINE")]
    before = [module.HF_HUB_OFFLINE for module in switches]
    for module in switches:
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module, value in zip(switches, before, strict=True):
            module.HF_HUB_OFFLINE = value


def _download_size(datasets: Any, data: DataConfig, name: str) -> str:
    try:
        size = datasets.load_dataset_builder(name, data.dataset_config).info.download_size
    except Exception as error:  # no network, or no such name: the size is a courtesy
        return f"its size could not be asked: {one_line(error)[:120]}"
    return f"{megabytes(size)} to fetch" if size else "its size is not stated"

"""From a configuration to the files that training reads: source, records, cleaned corpus, tokenizer, tokens.

    prepare(config, base, folder, cache, progress, recipe) -> report
      folder/tokenizer.json  (target_tokenizer.json)
      folder/data/train.bin  train.json  held_out.bin  held_out.json      a corpus cut into windows
      folder/data/train.*.npy  train.json  held_out.*.npy  held_out.json  rows or sentences made into examples
      folder/data/stream.json  held_out.bin  held_out.json                a stream (`nbllm.data.make_stream`)

The same corpus with the same tokenizer is worked through once: the files lie in `cache/tokens/<fingerprint>/`, and a
run folder gets hard links (a copy where the file system has none), so it stands alone when the cache is emptied.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tokenizers as tokenizers_library

from nbllm.config import RunConfig
from nbllm.data import sources, tokenizers
from nbllm.data.examples import Examples
from nbllm.data.make_examples import make_examples
from nbllm.data.make_stream import prepare_stream
from nbllm.data.make_tokens import make_tokens
from nbllm.data.recipe import STREAM, Progress, Recipe
from nbllm.data.rows import check_rows
from nbllm.data.token_file import TokenFile
from nbllm.errors import DataError

VERSION = 1  # raised when the same settings would give other tokens


def prepare(
    config: RunConfig,
    base: Path,
    folder: Path,
    cache: Path | None,
    progress: Progress,
    recipe: Recipe = STREAM,
    tokenizer: Path | None = None,
) -> dict[str, Any]:
    """Make (or find in the cache) the token files or examples of a run; returns the report.

    `base`: where relative paths start. `folder`: the run folder. `cache`: None for no cache. `progress(what, share)` is
    called often, with None where the share is unknown; an exception of its own stops the work and leaves nothing half
    made. `tokenizer`: a saved one to use, in place of the one that is configured.
    Raises DataError and ConfigError as one line.
    """
    progress("reading", None)
    use_cache = config.data.cache and cache is not None
    config = _with_tokenizer(config, base, tokenizer)
    if config.tokenizer.kind.endswith(".json"):
        tokenizers.load(config.tokenizer.kind)  # a wrong path is said before the corpus is read
    if recipe.columns:
        check_rows(config.data, recipe.columns, base, cache)
    else:
        sources.check_source(config.data, base, cache)
    if config.data.streaming:
        return prepare_stream(config, base, folder, cache, progress, recipe)
    fingerprint = _fingerprint(config, base, cache, recipe)
    target = folder / "data"
    target.mkdir(parents=True, exist_ok=True)
    make = make_tokens if recipe.data == "stream" else make_examples
    if use_cache:
        assert cache is not None
        shelf = cache / "tokens"
        shelf.mkdir(parents=True, exist_ok=True)
        entry = shelf / fingerprint
        cached = _is_whole(entry)
        if not cached:
            shutil.rmtree(entry, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=shelf, prefix="making-", ignore_cleanup_errors=True) as work:
                make(config, base, cache, Path(work) / "entry", fingerprint, progress, recipe)
                _move(Path(work) / "entry", entry)
        os.utime(entry)  # the time of the last use
        _place(entry, folder)
    else:
        cached = False
        with tempfile.TemporaryDirectory(dir=target, prefix="making-", ignore_cleanup_errors=True) as work:
            entry = Path(work) / "entry"
            make(config, base, cache, entry, fingerprint, progress, recipe)
            _place(entry, folder)
    return _opened(config, folder, cached)


def _opened(config: RunConfig, folder: Path, cached: bool) -> dict[str, Any]:
    """The report of what lies in the run folder, refused where it does not hold one window each."""
    data = folder / "data"
    report = json.loads((data / "report.json").read_text(encoding="utf-8"))
    if (data / "train.bin").exists():
        train, held = TokenFile.open(data / "train.bin"), TokenFile.open(data / "held_out.bin")
        need = config.train.context + 1
        smaller = min(train.tokens, held.tokens)
        if smaller < need:
            fits = f"train.context: {smaller - 1} or less" if smaller > 2 else "a smaller train.context"
            raise DataError(
                f"{config.data.source} is too short: {train.tokens:,} tokens to train on and {held.tokens:,} held out, "
                f"and one window takes {need:,} of each (context {config.train.context:,} and one).",
                f"Give more text, or set {fits}" + (", or a larger data.held_out." if held.tokens < need else "."),
            )
    else:
        Examples.open(data / "train")
        Examples.open(data / "held_out")
    return {**report, "cached": cached}


def _with_tokenizer(config: RunConfig, base: Path, tokenizer: Path | None) -> RunConfig:
    """The configuration with the whole path of a saved tokenizer."""
    if tokenizer is None and not config.tokenizer.kind.endswith(".json"):
        return config
    path = str((base / (tokenizer or Path(config.tokenizer.kind)).expanduser()).absolute())
    return config.model_copy(update={"tokenizer": config.tokenizer.model_copy(update={"kind": path})})


def _fingerprint(config: RunConfig, base: Path, cache: Path | None, recipe: Recipe) -> str:
    """A name for the text and everything that turns it into tokens."""
    data = config.data.model_dump(
        mode="json", exclude={"source", "stride", "cache", "allow_download", "use", "augment", "streaming", "shuffle"}
    )
    tokenizer = config.tokenizer.model_dump(mode="json")
    if config.tokenizer.kind.endswith(".json"):
        tokenizer = {"kind": hashlib.sha256(Path(config.tokenizer.kind).read_bytes()).hexdigest()}
    if config.tokenizer.kind == "word":
        tokenizer["segmenter"] = importlib.util.find_spec("jieba") is not None
    content = [
        VERSION,
        tokenizers_library.__version__,
        sources.identity(config.data, base, cache),
        data,
        tokenizer,
        recipe.special,
    ]
    if config.data.canaries:
        content.append(config.train.seed)  # what the secrets are drawn by
    if recipe.data != "stream":
        train, goal = config.train, config.objective
        content += [recipe.name, recipe.version, recipe.data, train.context, train.target_context]
        content += [goal.labels, goal.multi_label, goal.next_sentence, goal.answer]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _is_whole(entry: Path) -> bool:
    """Whether an entry of the cache can be used: made to the end, and the sizes are right."""
    if not (entry / "report.json").is_file():
        return False
    try:
        for name in ("train", "held_out"):
            if (entry / "tokenizer.json").is_file() and (entry / f"{name}.bin").exists():
                TokenFile.open(entry / f"{name}.bin")
            else:
                Examples.open(entry / name)
        tokenizers.load(entry / "tokenizer.json")
    except DataError:
        return False
    return True


def _move(made: Path, entry: Path) -> None:
    """Put the entry on its shelf; another worker may have made the same one meanwhile, which is as good."""
    try:
        made.rename(entry)
    except OSError:
        if not _is_whole(entry):
            raise


def _place(entry: Path, folder: Path) -> None:
    """Bring the files of an entry into a run folder, in place of earlier ones."""
    for path in sorted(entry.iterdir()):
        if path.name.endswith("tokenizer.json"):
            _bring(path, folder / path.name, link=False)
        else:
            _bring(path, folder / "data" / path.name, path.suffix in (".bin", ".npy"))


def _bring(source: Path, target: Path, link: bool) -> None:
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    if not (link and _linked(source, part)):
        shutil.copyfile(source, part)
    os.replace(part, target)


def _linked(source: Path, target: Path) -> bool:
    """Whether a hard link could be made: not on every file system, and not across two."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True

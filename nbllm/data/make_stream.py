"""What a streamed run needs before its first step: a tokenizer learned on the first megabytes, and held-out text.

    prepare_stream(config, base, folder, cache, progress, recipe) -> report
      folder/tokenizer.json
      folder/data/held_out.bin  held_out.json   the first tokens of the source, which training never sees
      folder/data/stream.json                   where the training text begins, and what the source is known by

The text itself is tokenized while training (`nbllm.data.text_stream`), and is never on the disk as tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from nbllm.config import RunConfig
from nbllm.data import remote, sources, tokenizers
from nbllm.data.corpus import MARK, documents_of
from nbllm.data.encode import encoder
from nbllm.data.recipe import Progress, Recipe
from nbllm.data.text_stream import Place, TextStream
from nbllm.data.token_file import TokenFile, TokenWriter
from nbllm.errors import DataError

FORMAT = 1
HELD_OUT_PIECE = 1 << 11  # bytes: how finely the held-out text is cut off where a document is long
BYTES_A_TOKEN = 8  # more than a token has on average: how far to look for the end of a short source


def prepare_stream(
    config: RunConfig, base: Path, folder: Path, cache: Path | None, progress: Progress, recipe: Recipe
) -> dict[str, Any]:
    """Learn the tokenizer, put the held-out text aside, and say where training begins. Returns the report."""
    if recipe.data != "stream":
        raise DataError(f"{recipe.name} does not learn from running text.", "Leave out data.streaming.")
    text = TextStream(config.data, base, cache, remote.revision_of(config.data, base))
    sample = {"bytes": 0}
    tokenizer = tokenizers.train(config.tokenizer, _sample(text, config, progress, sample), recipe.special)
    tokenizer.save(str(folder / "tokenizer.json"))
    cleaning = text.report.as_dict()  # of the sample: the rest is read while training
    progress("putting held-out text aside", None)
    identity = text.identity()
    described = [identity, config.data.model_dump(mode="json"), tokenizer.to_str()]
    fingerprint = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    held, unknown, start = _hold_out(text, config, tokenizer, data / "held_out.bin", fingerprint)
    content = {"format": FORMAT, "start": start, "identity": identity, "revision": text.revision}
    part = data / "stream.json.part"
    part.write_text(json.dumps(content), encoding="utf-8")
    os.replace(part, data / "stream.json")
    return {
        "source": config.data.source,
        "streaming": True,
        "encoding": sources.encoding_of(config.data, base, cache),
        "held_out_tokens": held.tokens,
        "held_out_bytes": held.bytes,
        "unknown_tokens": unknown,  # of the held-out text
        "bytes_per_token": held.bytes / max(1, held.tokens),
        "sample": sample,
        "sample_clean": cleaning,
        "vocab_size": tokenizer.get_vocab_size(),
        "fingerprint": fingerprint,
        "cached": False,
    }


def open_stream(data: Path, config: RunConfig, base: Path, cache: Path | None) -> tuple[TextStream, Place]:
    """The text of a run that was prepared, and where its training begins. DataError where the source has changed."""
    try:
        content = json.loads((data / "stream.json").read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError("unknown format")
        start, identity, revision = content["start"], content["identity"], content["revision"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{data / 'stream.json'} is damaged: {error}.", "Train anew with --replace.") from None
    text = TextStream(config.data, base, cache, revision)
    if json.loads(json.dumps(text.identity())) != identity:
        raise DataError(
            f"{config.data.source} is not what it was when the run began: a stream goes on only in the same files.",
            "Bring them back, or train anew with --replace.",
        )
    return text, start


def _sample(text: TextStream, config: RunConfig, progress: Progress, read: dict[str, int]) -> Iterator[str]:
    """The first `sample_mb` of the text; `read` counts their bytes."""
    limit = int(config.tokenizer.sample_mb * 1e6)
    for block in text.blocks():
        progress("learning the vocabulary", read["bytes"] / limit)
        some = block.text[: limit - read["bytes"]]
        read["bytes"] += len(some)
        yield from documents_of(some)
        if read["bytes"] >= limit:
            return


def _hold_out(
    text: TextStream, config: RunConfig, tokenizer: Tokenizer, path: Path, fingerprint: str
) -> tuple[TokenFile, int, Place]:
    """Write the first tokens of the text to a token file: as many as an evaluation reads, but of a short text no more
    than the share `held_out`. Returns it, its unknown tokens, and the place after them."""
    context, by_document = config.train.context, config.data.split == "document"
    wanted = max(1, config.train.evaluate_tokens // context) * context + 1
    most = config.data.held_out * _length(text, int(wanted * BYTES_A_TOKEN / config.data.held_out))
    encode, unknown_id, unknown = encoder(tokenizer), tokenizers.unknown_id(tokenizer), 0
    start: Place | None = None
    boundary = False  # whether a document ended just before
    with TokenWriter(path, tokenizer.get_vocab_size(), fingerprint) as writer:
        for block in text.blocks(size=1, piece=HELD_OUT_PIECE):
            ended = block.text == MARK
            enough = writer.tokens >= wanted or (writer.tokens > context and writer.bytes >= most)
            if enough and (boundary or not by_document):
                start = block.place
                break
            ids = encode(block.text)
            unknown += 0 if unknown_id is None else int((ids == unknown_id).sum())
            writer.append(ids)
            if ended:
                writer.documents += 1
            else:
                writer.bytes += len(block.text)
                writer.characters += len(block.text.decode("utf-8"))
            boundary = ended
        held = writer.close()
    left = 0
    if start is not None:
        for block in text.blocks(start):
            left += len(encode(block.text))
            if left > context:
                return held, unknown, start
    raise _too_short(text, config, held, left)


def _length(text: TextStream, enough: int) -> int:
    """Bytes of the text, or a number that is `enough`."""
    total = 0
    for block in text.blocks():
        total += len(block.text)
        if total >= enough:
            break
    return total


def _too_short(text: TextStream, config: RunConfig, held: TokenFile, left: int) -> DataError:
    if not held.tokens:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in text.report.removed.items())
        return DataError(
            f"Of {config.data.source}, nothing is left to learn from ({reasons or 'no text'}).",
            "Loosen data.clean, or give a source with some text.",
        )
    return DataError(
        f"{config.data.source} is too short to be streamed: {held.tokens:,} tokens held out leave {left:,} to train "
        f"on, and one window takes {config.train.context + 1:,}.",
        "Leave out data.streaming, or set a smaller train.context.",
    )

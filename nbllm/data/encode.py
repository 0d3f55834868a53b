"""A part of a corpus to a token file, in bounded memory.

Character and byte tokenizers are tables, so they are applied as tables by numpy (a test holds them equal to the
tokenizer's own answer). Others go through `encode_batch`, which works in parallel; long documents are cut at line ends
into pieces first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from nbllm.data.corpus import MARK, Part
from nbllm.data.token_file import TokenFile, TokenWriter
from nbllm.data.tokenizers import BYTE_TO_CHARACTER, describe, end_id, unknown_id

PIECE = 1 << 16  # bytes of a document given to the tokenizer at once
_MARK_CODE = 0xDC00 + MARK[0]  # what the byte between documents becomes under "surrogateescape"


def encode_part(
    part: Part, tokenizer: Tokenizer, path: Path, fingerprint: str, told: Callable[[int], None]
) -> tuple[TokenFile, int]:
    """The token file of a part, and how many of its tokens are unknown; `told(bytes so far)` is called a block."""
    encode = encoder(tokenizer)
    unknown, unknown_count, done = unknown_id(tokenizer), 0, 0
    with TokenWriter(path, tokenizer.get_vocab_size(), fingerprint) as writer:
        for block in part.blocks():
            ids = encode(block)
            writer.append(ids)
            if unknown is not None:
                unknown_count += int((ids == unknown).sum())
            done += len(block)
            told(done)
        writer.bytes, writer.characters, writer.documents = part.text_bytes, part.characters, part.documents
        return writer.close(), unknown_count


def encoder(tokenizer: Tokenizer) -> Callable[[bytes], np.ndarray]:
    """A function from a block of a corpus to its ids, the end of a document included."""
    kind = describe(tokenizer)
    table = kind["model"] == "BPE" and kind["merges"] == 0 and kind["normalizer"] is None
    if table and kind["post_processor"] is None:
        if kind["pre_tokenizer"] is None and kind["decoder"] == "Fuse":
            return _character_table(tokenizer)
        if kind["decoder"] == "ByteLevel" and kind["pre_tokenizer"] == _BYTE_PRE_TOKENIZER:
            return _byte_table(tokenizer)
    return _batches(tokenizer)


_BYTE_PRE_TOKENIZER = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def _byte_table(tokenizer: Tokenizer) -> Callable[[bytes], np.ndarray]:
    """(256,) id of each byte; the mark's place holds the end of a document."""
    table = np.array([tokenizer.token_to_id(c) for c in BYTE_TO_CHARACTER], dtype=np.uint16)
    table[MARK[0]] = _known(end_id(tokenizer))
    return lambda block: table[np.frombuffer(block, dtype=np.uint8)]


def _character_table(tokenizer: Tokenizer) -> Callable[[bytes], np.ndarray]:
    """(0x110000,) id of each code point, unknown ones included; the mark is the surrogate that no text holds."""
    table = np.full(0x110000, _known(unknown_id(tokenizer)), dtype=np.uint32)
    for token, i in tokenizer.get_vocab(with_added_tokens=False).items():
        if len(token) == 1:
            table[ord(token)] = i
    table[_MARK_CODE] = _known(end_id(tokenizer))

    def encode(block: bytes) -> np.ndarray:
        text = block.decode("utf-8", errors="surrogateescape")
        return table[np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)]

    return encode


def _known(token_id: int | None) -> int:
    assert token_id is not None, "our own character and byte tokenizers have this token"
    return token_id


def _batches(tokenizer: Tokenizer) -> Callable[[bytes], np.ndarray]:
    end = end_id(tokenizer)
    mark = np.array([] if end is None else [end], dtype=np.uint32)

    def encode(block: bytes) -> np.ndarray:
        documents = [[piece.decode("utf-8") for piece in cut(text)] for text in block.split(MARK)]
        flat = [piece for document in documents for piece in document]
        encoded = iter(tokenizer.encode_batch_fast(flat, add_special_tokens=False))
        parts: list[np.ndarray] = []
        for number, document in enumerate(documents):
            if number:
                parts.append(mark)
            parts.extend(np.array(next(encoded).ids, dtype=np.uint32) for _ in document)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32)

    return encode


def cut(text: bytes, most: int = PIECE) -> Iterator[bytes]:
    """A text in pieces of at most `most` bytes (4 or more), cut at line ends, or between characters where a line is
    longer. Cut again from where any piece begins, it falls into the same pieces."""
    start = 0
    while len(text) - start > most:
        end = text.rfind(b"\n", start, start + most) + 1
        if not end:
            end = start + most
            while (text[end] & 0xC0) == 0x80:
                end -= 1
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]

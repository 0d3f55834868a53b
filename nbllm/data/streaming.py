"""Token ids to text as they come, without ever showing half a character."""

from __future__ import annotations

import codecs

from tokenizers import Tokenizer

from nbllm.data.tokenizers import is_byte_level, special_ids, token_bytes

_LONGEST_WAIT = 16  # tokens that may be held back before what there is gets shown


class StreamDecoder:
    """`push` each id, `flush` at the end: the parts together are `tokenizer.decode` of all the ids."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._special = special_ids(tokenizer)
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace") if is_byte_level(tokenizer) else None
        self._plain = "Fuse" in str(tokenizer.decoder) and "Sequence" not in str(tokenizer.decoder)
        self._ids: list[int] = []  # other decoders: the ids shown last, for context, and those held back
        self._shown = 0

    def push(self, token_id: int) -> str:
        """The text that this token completes; empty while a character is incomplete."""
        token_id = int(token_id)
        if token_id in self._special:
            return ""
        if self._bytes is not None:
            return self._bytes.decode(token_bytes(self._tokenizer, token_id))
        if self._plain:
            return self._tokenizer.id_to_token(token_id) or ""
        self._ids.append(token_id)
        text = self._difference()
        if text.endswith("\ufffd") and len(self._ids) - self._shown < _LONGEST_WAIT:
            return ""
        self._ids = self._ids[self._shown :]
        self._shown = len(self._ids)
        return text

    def flush(self) -> str:
        """What was still held back."""
        if self._bytes is not None:
            return self._bytes.decode(b"", final=True)
        text = self._difference() if self._ids else ""
        self._ids, self._shown = [], 0
        return text

    def _difference(self) -> str:
        """What the ids held back add after those already shown: decoders may treat a first token differently."""
        before = self._tokenizer.decode(self._ids[: self._shown])
        return self._tokenizer.decode(self._ids)[len(before) :]

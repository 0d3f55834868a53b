"""Tokens to text while they come: whole characters only, and nothing that may yet turn out to be a stop string."""

from __future__ import annotations

from tokenizers import Tokenizer

from nbllm.generation.result import Piece

REPLACED = "\ufffd"  # what a decoder gives for bytes that are no character


class Writer:
    """Takes the tokens of one sequence and releases the pieces that can no longer change."""

    def __init__(self, tokenizer: Tokenizer, stop: list[str], eos: int | None, ends: frozenset[int] = frozenset()):
        from nbllm.data.streaming import StreamDecoder

        self.decoder = StreamDecoder(tokenizer)
        self.stop = stop
        self.ends = ends if eos is None else ends | {eos}
        self.held: list[Piece] = []
        self.finished = False

    def push(self, token_id: int, probability: float) -> list[Piece]:
        """Take a token; the pieces it sets free. `finished` is set at the end of the text or at a stop string."""
        if token_id in self.ends:
            return self.close()
        self.held.append(Piece(self.decoder.push(token_id), token_id, probability))
        text = "".join(piece.text for piece in self.held)
        if (cut := self._cut(text)) is not None:
            return self._end(cut)
        return self._release(len(text) - self._open(text))

    def close(self) -> list[Piece]:
        """The end: all that is still held, without the bytes of a character that were not followed by its others."""
        if (rest := self.decoder.flush().rstrip(REPLACED)) and self.held:
            last = self.held[-1]
            self.held[-1] = last._replace(text=last.text + rest)
        text = "".join(piece.text for piece in self.held)
        if (cut := self._cut(text)) is not None:
            return self._end(cut)
        self.finished = True
        kept, self.held = self.held, []
        return kept

    def _cut(self, text: str) -> int | None:
        """Where the first stop string begins."""
        return min((at for stop in self.stop if (at := text.find(stop)) >= 0), default=None)

    def _open(self, text: str) -> int:
        """Length of the longest end of the text that begins a stop string."""
        lengths = (
            n for stop in self.stop for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])
        )
        return max(lengths, default=0)

    def _release(self, safe: int) -> list[Piece]:
        """The pieces that end within the first `safe` characters; tokens whose character is not whole yet wait."""
        end, count = 0, 0
        for index, piece in enumerate(self.held):
            end += len(piece.text)
            if end > safe:
                break
            if piece.text:
                count = index + 1
        free, self.held = self.held[:count], self.held[count:]
        return free

    def _end(self, cut: int) -> list[Piece]:
        """Everything before the cut, the piece that crosses it shortened."""
        self.finished = True
        kept: list[Piece] = []
        start = 0
        for piece in self.held:
            if start >= cut:
                break
            kept.append(piece._replace(text=piece.text[: cut - start]))
            start += len(piece.text)
        self.held = []
        return kept

"""What generation hands back: a str that knows how it came about."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple


class Piece(NamedTuple):
    """One token as it is streamed. The texts of all pieces joined are the continuation; a piece that only begins a
    character has no text."""

    text: str
    token_id: int
    probability: float


class Generation(str):
    """The continuation, without its prompt.

    .prompt         what it goes on from
    .tokens         a readable label a token
    .ids            the tokens' numbers
    .probabilities  how likely the model held each token, before temperature and filters
    .seconds        time it took
    .score          of a beam search: its log-likelihood by length, else None
    .joint          what is shown between prompt and text: an arrow where the text answers and does not go on
    """

    prompt: str
    tokens: list[str]
    ids: list[int]
    probabilities: list[float]
    seconds: float
    score: float | None
    joint: str
    _texts: list[str]

    def __new__(
        cls,
        prompt: str,
        pieces: list[Piece],
        labels: list[str],
        seconds: float,
        score: float | None = None,
        joint: str = "",
    ) -> Generation:
        self = super().__new__(cls, "".join(piece.text for piece in pieces))
        self.prompt = prompt
        self.tokens = labels
        self.ids = [piece.token_id for piece in pieces]
        self.probabilities = [piece.probability for piece in pieces]
        self.seconds = seconds
        self.score = score
        self.joint = joint
        self._texts = [piece.text for piece in pieces]
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        pieces = [Piece(*parts) for parts in zip(self._texts, self.ids, self.probabilities, strict=True)]
        return Generation, (self.prompt, pieces, self.tokens, self.seconds, self.score, self.joint)

    def numbered(self, number: int) -> str:
        """As one of several in plain text: its number, a beam search's score, and below them prompt and text."""
        score = "" if self.score is None else f", score {self.score:.2f}"
        return f"{number}{score}\n{self.prompt}{self.joint}{self}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        """The prompt in a quieter tone, then every token: the less likely it was, the stronger its shade."""
        spans = [
            f'<span title="{probability:.1%}" style="background:rgba(230,126,34,{0.5 * (1 - probability):.2f})">'
            f"{escape(text)}</span>"
            for text, probability in zip(self._texts, self.probabilities, strict=True)
            if text
        ]
        speed = f" at {len(self.ids) / self.seconds:,.0f} tokens/s" if self.seconds > 0 else ""
        score = "" if self.score is None else f", score {self.score:.2f} (log-likelihood by length)"
        return (
            '<div style="white-space:pre-wrap;overflow-wrap:anywhere;font-family:var(--jp-code-font-family,monospace)">'
            f'<span style="opacity:.6">{escape(self.prompt + self.joint)}</span>{"".join(spans)}</div>'
            f'<div style="opacity:.6;font-size:smaller">{len(self.ids):,} tokens{speed}{score}; '
            "the stronger the shade, the less likely the token</div>"
        )

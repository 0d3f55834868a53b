"""How tokenizers cut a text, side by side: the tokens, their ids and bytes, and what each takes for the same text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from nbllm.errors import ModelError
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Cut:
    """How one tokenizer cuts the text.

    name        what it was asked for by
    about       where it is from, as "learned on python-docs, zh-phrases"
    tokens      a readable label a token: a part of a character as its bytes, as ⟨E4⟩
    ids         their numbers
    stands_for  the piece of the text a token stands for; of several tokens that share a character, that character
    sizes       bytes a token stands for; 0 for one that stands for nothing of the text
    unknown     tokens that say no more than that something stands there
    vocabulary  tokens that it knows
    """

    name: str
    about: str
    tokens: list[str]
    ids: list[int]
    stands_for: list[str]
    sizes: list[int]
    unknown: int
    vocabulary: int


@dataclass(frozen=True, repr=False)
class Cuts:
    """A text as several tokenizers cut it. Displays itself as coloured strips; `print` draws the borders in text."""

    text: str
    cuts: list[Cut]

    @property
    def table(self) -> pd.DataFrame:
        """A row a tokenizer: tokens, vocabulary, characters_per_token, bytes_per_token, unknown, about."""
        import pandas as pd

        size, letters = len(self.text.encode("utf-8", "replace")), len(self.text)
        rows = [
            {
                "tokens": len(cut.ids), "vocabulary": cut.vocabulary, "characters_per_token": letters / len(cut.ids),
                "bytes_per_token": size / len(cut.ids), "unknown": cut.unknown, "about": cut.about,
            }
            for cut in self.cuts
        ]  # fmt: skip
        return pd.DataFrame(rows, index=pd.Index([cut.name for cut in self.cuts], name="tokenizer"))

    def to_frame(self) -> pd.DataFrame:
        """A row a tokenizer and token: tokenizer, position, id, token, stands_for, bytes."""
        import pandas as pd

        rows = [
            {
                "tokenizer": cut.name,
                "position": i,
                "id": each[0],
                "token": each[1],
                "stands_for": each[2],
                "bytes": each[3],
            }
            for cut in self.cuts
            for i, each in enumerate(zip(cut.ids, cut.tokens, cut.stands_for, cut.sizes, strict=True))
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{cut.name} {len(cut.ids):,}" for cut in self.cuts)
        return f"<Cuts of {len(self.text):,} characters into tokens: {counts}>"

    def __str__(self) -> str:
        found: str = VIEWS.get("tokens_text")(self)
        return found

    def _repr_html_(self) -> str:
        found: str = VIEWS.get("tokens_page")(self)
        return found


def cuts(text: str, tokenizers: Sequence[tuple[str, str, Tokenizer]]) -> Cuts:
    """The text as each tokenizer cuts it, given with its name and where it is from. ModelError for no text."""
    if not text:
        raise ModelError("There is no text to cut.", 'Give some, as in "To be, or not".')
    return Cuts(text, [_cut(text, *each) for each in tokenizers])


def _cut(text: str, name: str, about: str, tokenizer: Tokenizer) -> Cut:
    from nbllm.data.tokenizers import is_byte_level, token_bytes, token_strings, unknown_id

    encoding = tokenizer.encode(text, add_special_tokens=False)
    if not encoding.ids:
        raise ModelError(f"The tokenizer {name} makes no token of this text.", "Give another text.")
    spans = [text[start:stop] for start, stop in encoding.offsets]
    byte_level = is_byte_level(tokenizer)
    sizes: list[Any] = [
        len(token_bytes(tokenizer, each)) if byte_level else len(span.encode("utf-8", "replace"))
        for each, span in zip(encoding.ids, spans, strict=True)
    ]
    unknown = unknown_id(tokenizer)
    return Cut(
        name,
        about,
        token_strings(tokenizer, encoding.ids),
        encoding.ids,
        spans,
        sizes,
        0 if unknown is None else encoding.ids.count(unknown),
        tokenizer.get_vocab_size(),
    )

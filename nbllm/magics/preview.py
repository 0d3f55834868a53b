"""How %llm_data looks: a small table, and samples with their tokens in turns of colour; text with bars in a terminal.

Everything that comes from the data is escaped. The shades are translucent, so both themes stay readable.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbllm.data.preview import Preview

_SHADES = ("rgba(0,114,178,.22)", "rgba(230,159,0,.25)", "rgba(0,158,115,.22)", "rgba(204,121,167,.25)")


class PreviewView:
    """A Preview that shows itself; its figures are attributes as they are of the Preview."""

    def __init__(self, preview: Preview):
        self.preview = preview

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # IPython asks every object for methods of many names
            raise AttributeError(name)
        return getattr(self.preview, name)

    def __repr__(self) -> str:
        rows = _figures(self.preview)
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        for number, pieces in enumerate(_pieces(self.preview), 1):
            lines += ["", f"sample {number}, tokens between bars:", "|".join(pieces)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(value)}</td></tr>'
            for name, value in _figures(self.preview)
        )
        samples = "".join(_sample(number, pieces) for number, pieces in enumerate(_pieces(self.preview), 1))
        return f'<div class="nbllm-preview"><table>{rows}</table>{samples}</div>'


def _figures(preview: Preview) -> list[tuple[str, str]]:
    report = preview.clean
    trimmed = report.get("characters_in", 0) - report.get("characters", 0)
    removed = ", ".join(
        [
            *(f"{count:,} {why}" for why, count in report.get("removed", {}).items()),
            *([f"{trimmed:,} characters in all"] if trimmed > 0 else []),
        ]
    )
    redacted = ", ".join(f"{count:,} {kind}" for kind, count in report.get("redacted", {}).items())
    return [
        ("source", f"{preview.source} ({preview.kind})"),
        *([] if preview.size is None else [("size", _bytes(preview.size))]),
        ("read", "all of it" if preview.complete else f"the first {preview.characters:,} characters"),
        ("records", f"{preview.records:,}"),
        ("characters", f"{preview.characters:,}"),
        ("tokens", f"{preview.tokens:,}"),
        ("tokens per character", f"{preview.tokens_per_character:.3f}"),
        ("vocabulary", f"{preview.vocabulary:,}"),
        ("longest record", f"{preview.longest:,} characters"),
        ("taken out by cleaning", removed or "nothing"),
        *([("redacted", redacted)] if redacted else []),
    ]


def _bytes(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def _pieces(preview: Preview) -> Iterator[list[str]]:
    """Each sample cut where its tokens end; a token that ends inside a character stays with the one that ends it."""
    for text, ends in zip(preview.samples, preview.sample_boundaries, strict=True):
        cuts = sorted({0, *ends, len(text)})
        yield [text[start:end] for start, end in pairwise(cuts) if end > start]


def _sample(number: int, pieces: list[str]) -> str:
    spans = "".join(
        f'<span style="background:{_SHADES[index % len(_SHADES)]}">{escape(piece)}</span>'
        for index, piece in enumerate(pieces)
    )
    return (
        f'<div style="opacity:.7;margin-top:.6em">sample {number}</div>'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;'
        f'font-family:var(--jp-code-font-family,monospace)">{spans}</div>'
    )

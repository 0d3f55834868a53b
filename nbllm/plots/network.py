"""A network as a drawing: from text at the top to its answer at the bottom, as the configuration says. Plain SVG.

Its colours are the page's own (variables of widgets/panel.css), so that it is right in light and dark; all text is
escaped, and a screen reader is told the same in sentences (`words`).
"""

from __future__ import annotations

from html import escape

from nbllm.config import RunConfig, goal_of
from nbllm.plots import network_parts as parts
from nbllm.plots.network_parts import Box, Group

_WIDE = 232  # of a box
_NARROW = 200  # of one in two columns
_SIDE = 26  # left and right of the boxes, for the frames of blocks
_GAP = 30  # between two columns
_STEP = 13  # of an arrow
_LINE = 14  # of small text
_HUES = {
    "attention": "#0072b2", "recurrent": "#009e73", "conv": "#e69f00", "mlp": "#cc79a7", "latent": "#d55e00",
    "plain": "#8a8f98",
}  # fmt: skip
_INK, _QUIET, _RULE = "var(--nb-ink, currentColor)", "var(--nb-quiet, #667079)", "var(--nb-quiet, #8a8f98)"


def network_svg(config: RunConfig, vocabulary: int) -> str:
    """The drawing. `vocabulary` is the number of tokens, as far as it is known."""
    columns = parts.columns(config, vocabulary)
    wide = _WIDE if len(columns) == 1 else _NARROW
    each = wide + 2 * _SIDE + _GAP
    drawn = [_Column(_GAP // 2 + index * each, wide) for index in range(len(columns))]
    for column, items in zip(drawn, columns, strict=True):
        column.draw(items)
    pieces = [piece for column in drawn for piece in column.pieces]
    if len(drawn) == 2:
        pieces += _bridge(drawn[0], drawn[1], goal_of(config.objective).head)
    width = len(drawn) * each
    height = max(column.y for column in drawn) + 6
    told = escape(words(config, vocabulary))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nbllm-network" viewBox="0 0 {width} {height:g}" '
        f'width="{width}" height="{height:g}" role="img" aria-label="{escape(told, quote=True)}" '
        f'font-family="inherit" font-size="12.5"><title>The network</title><desc>{told}</desc>{"".join(pieces)}</svg>'
    )


def words(config: RunConfig, vocabulary: int) -> str:
    """The same in sentences, for those who do not see it."""
    columns = parts.columns(config, vocabulary)
    names = [""] if len(columns) == 1 else ["Encoder: ", "Decoder: "]
    said = []
    for name, items in zip(names, columns, strict=True):
        told = "; then ".join(_told(item) for item in items)
        said.append(f"{name}{told}.")
    return " ".join(said)


def _told(item: Box | Group) -> str:
    if isinstance(item, Group):
        inside = ", ".join(_told(each) for each in item.items)
        return f"{item.times} times ({inside})" if item.times > 1 else inside
    return ", ".join([item.title, *item.notes])


class _Column:
    """Draws boxes one under another; keeps where it stands, and where cross-attention and stacks are."""

    def __init__(self, left: float, wide: float):
        self.left = left
        self.wide = wide
        self.right = left + wide + 2 * _SIDE
        self.middle = left + wide / 2 + _SIDE
        self.y = 4.0
        self.pieces: list[str] = []
        self.looks: list[float] = []
        self.first_block = 0.0
        self.end_of_blocks = 0.0
        self._begun = False

    def draw(self, items: list[Box | Group]) -> None:
        """All of them, with arrows between them."""
        for item in items:
            if self._begun:
                self._arrow()
            self._begun = True
            if isinstance(item, Group):
                self.first_block = self.first_block or self.y + 20
                self._group(item, 0)
                self.end_of_blocks = self.y
            else:
                self._box(item, 0)

    def _arrow(self) -> None:
        y = self.y
        self.pieces.append(
            f'<path d="M{self.middle:g} {y + 1:g}v{_STEP - 4}m-3 -4l3 4l3 -4" fill="none" stroke="{_RULE}"/>'
        )
        self.y += _STEP

    def _group(self, group: Group, deep: int) -> None:
        inset = 8 + 9 * deep
        at = len(self.pieces)
        top = self.y
        self.y += 18 if group.times > 1 or group.name else 8
        for index, item in enumerate(group.items):
            if index:
                self._arrow()
            if isinstance(item, Group):
                self._group(item, deep + 1)
            else:
                self._box(item, deep)
        self.y += 8
        wide = self.right - self.left - 2 * inset
        frame = (
            f'<rect x="{self.left + inset:g}" y="{top:g}" width="{wide:g}" height="{self.y - top:g}" rx="7" '
            f'fill="none" stroke="{_RULE}" stroke-dasharray="3 3"/>'
        )
        label = f"{group.times} × {group.name}" if group.times > 1 else group.name
        name = _text(self.left + inset + 8, top + 13, label, 'font-size="11"')
        self.pieces[at:at] = [frame, name] if label else [frame]

    def _box(self, box: Box, deep: int) -> None:
        wide = self.wide - 18 * deep
        left = self.middle - wide / 2
        notes = [line for note in box.notes for line in parts.wrapped(note, wide - 16, 11)]
        top = self.y
        self.y += 20 + _LINE * len(notes) + (4 if notes else 0)
        hue = _HUES.get(box.kind)
        if hue:
            fill = f'fill="{hue}" fill-opacity=".15" stroke="{hue}" stroke-opacity=".6"'
            self.pieces.append(
                f'<rect x="{left:g}" y="{top:g}" width="{wide:g}" height="{self.y - top:g}" rx="4" {fill}/>'
            )
        style = f'fill="{_INK}"' if hue else f'fill="{_QUIET}"'
        title = parts.wrapped(box.title, wide - 8, 12.5)[0]
        self.pieces.append(
            f'<text x="{self.middle:g}" y="{top + 14.5:g}" text-anchor="middle" {style}>{escape(title)}</text>'
        )
        for index, line in enumerate(notes):
            y = top + 30 + _LINE * index
            self.pieces.append(
                f'<text x="{self.middle:g}" y="{y:g}" text-anchor="middle" font-size="11" fill="{_QUIET}">'
                f"{escape(line)}</text>"
            )
        if box.loops:
            self._loop(left + wide, (top + self.y) / 2)
        if box.looks:
            self.looks.append((top + self.y) / 2)
        if box.skips:
            self._skip(left, top)

    def _skip(self, left: float, top: float) -> None:
        """The residual: a way past the box, added to what comes out of it."""
        x, y = left - 8, self.y + 8
        sign = f"M{self.middle:g} {self.y:g}V{y + 4:g}M{self.middle - 4:g} {y:g}h8"
        self.pieces.append(
            f'<path d="M{self.middle:g} {top - 5:g}H{x:g}V{y:g}H{self.middle - 4:g}{sign}" fill="none" '
            f'stroke="{_RULE}" stroke-width="1.2"/>'
            f'<circle cx="{self.middle:g}" cy="{y:g}" r="4" fill="none" stroke="{_RULE}" stroke-width="1.2"/>'
        )
        self.y = y + 4

    def _loop(self, right: float, y: float) -> None:
        """What a recurrent layer hands on to itself at the next token."""
        self.pieces.append(
            f'<path d="M{right:g} {y + 6:g}c14 0 14 -12 2 -12m4 -3l-4 3l4 3" fill="none" stroke="{_RULE}" '
            'stroke-width="1.2"/>'
        )


def _text(x: float, y: float, text: str, more: str, colour: str = _QUIET) -> str:
    return f'<text x="{x:g}" y="{y:g}" {more} fill="{colour}">{escape(text)}</text>'


def _bridge(encoder: _Column, decoder: _Column, head: str) -> list[str]:
    """The lines from what the encoder has read to where the decoder looks at it, or begins with it."""
    x, right = encoder.right + _GAP / 2, decoder.middle - decoder.wide / 2
    marks = decoder.looks or [decoder.first_block]
    normed = encoder.y > encoder.end_of_blocks + 1  # what a norm behind the blocks gives is handed on
    start = encoder.y - 11 if normed else encoder.end_of_blocks - 12
    edge = encoder.middle + 36 if normed else encoder.right - 8
    lines = [f'<path d="M{edge:g} {start:g}H{x:g}" fill="none" stroke="{_INK}" stroke-width="1.3"/>']
    for y in marks:
        lines.append(
            f'<path d="M{x:g} {start:g}V{y:g}H{right:g}m-5 -3l5 3l-5 3" fill="none" stroke="{_INK}" '
            'stroke-width="1.3"/>'
        )
    return lines

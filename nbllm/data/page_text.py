"""The text of a page of HTML, as a person reads it."""

from __future__ import annotations

import html.parser


def page_text(page: str) -> str:
    """The page without its tags, scripts and empty lines."""
    parser = _Strip()
    parser.feed(page)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _Strip(html.parser.HTMLParser):
    """Keeps the text of a page: no tags, no scripts, a line end for each block."""

    SILENT = ("script", "style", "template", "svg")
    BLOCKS = (
        *("p", "div", "br", "li", "ul", "ol", "tr", "td", "th", "table", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("section", "article", "header", "footer", "pre", "title"),
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT and self._silent:
            self._silent -= 1
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)

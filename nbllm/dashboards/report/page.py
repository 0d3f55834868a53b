"""The page of a run: everything its folder says, in one HTML file.

It can be read without JavaScript: every part is there as text, table and still picture. A script of ours, written into
the page, makes curves and maps interactive. A content security policy lets nothing else run: no other script, no
network. All text of models, data and users is escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from nbllm.dashboards import frontend
from nbllm.dashboards.offline import only_script
from nbllm.dashboards.report import maps, sections
from nbllm.dashboards.report.text import shown
from nbllm.errors import NbllmError, RunError, one_line
from nbllm.handles.record import Record
from nbllm.handles.threads import shared_threads
from nbllm.store.files import write_text

if TYPE_CHECKING:
    from nbllm.handles.run import Run

Part = Callable[[Record], str]
PARTS: tuple[tuple[str, str, Part], ...] = (
    ("curves", "Learning", sections.curves),
    ("samples", "What it wrote", sections.samples),
    ("inside", "Inside", maps.inside),
    ("predictions", "What it expects", sections.predictions),
    ("findings", "What was found", sections.findings),
    ("cost", "Cost", sections.cost),
    ("data", "Text", sections.data),
    ("configuration", "Configuration", sections.configuration),
    ("environment", "Environment", sections.environment),
)


class Page:
    """Where a report was written. It shows itself as a link in a notebook."""

    def __init__(self, path: Path):
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<Report {self.path}, {self.path.stat().st_size / 1e3:,.0f} kB>"

    def _repr_html_(self) -> str:
        name = escape(str(self.path), quote=True)
        return f'<p>Report, {self.path.stat().st_size / 1e3:,.0f} kB: <a href="{name}" target="_blank">{name}</a></p>'


def report(run: Run, path: str | Path | None = None) -> Page:
    """Write the page of a run to a file, NAME.html in this folder where none is named."""
    target = Path(f"{run.name}.html" if path is None else path).expanduser()
    if target.is_dir():
        target = target / f"{run.name}.html"
    if not target.suffix:
        target = target.with_suffix(".html")
    if not target.parent.is_dir():
        raise RunError(f"There is no folder {target.parent}.", "Make it first, or name a file in another one.")
    write_text(target, html_of(run))
    return Page(target)


def html_of(run: Run) -> str:
    """The page as text."""
    record = Record(run)
    with shared_threads():
        made = [(name, title, _part(part, record)) for name, title, part in PARTS]
    made = [each for each in made if each[2]]
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in made)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(title)}</h2>{content}'
        "</section>"
        for name, title, content in made
    )
    script, style = frontend.module("report.js"), frontend.style("report.css")
    policy, inner = only_script(script)
    name = escape(shown(record.name))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{policy}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="generator" content="nbllm">'
        f"<title>{name}: report of a training run</title><style>\n{style}</style></head><body>"
        '<a class="skip" href="#main">To the content</a>'
        f'<header><h1><bdi>{name}</bdi></h1>{sections.headline(record)}<nav aria-label="Parts of this page"><ul>'
        f'{links}</ul></nav></header><main id="main">{body}</main>'
        f"<footer>{sections.footer(record)}</footer><script>{inner}</script></body></html>\n"
    )


def _part(part: Part, record: Record) -> str:
    """A part of the page; where it cannot be made a line that says why, and the rest of the page stands."""
    try:
        return part(record)
    except NbllmError as error:
        return f'<p class="quiet">{escape(shown(str(error)))}</p>'
    except (OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
        return f'<p class="quiet">This part could not be made: {escape(shown(one_line(error)))}.</p>'

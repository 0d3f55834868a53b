"""Text and data as they stand in the page: nothing in them is markup, and nothing out of sight."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from nbllm.dashboards.tables import table
from nbllm.plots.maps import written_out

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_KANA = re.compile("[\u3040-\u30ff]")


def shown(text: str) -> str:
    """A line of text with what would be out of sight or turn it around written out."""
    return written_out(text)


def block(text: str) -> str:
    """Running text as HTML: its lines stay, the rest as `shown`; with its language where that is Chinese."""
    lines = escape("\n".join(written_out(line) for line in text.split("\n")))
    return f'<span dir="auto"{language(text)}>{lines}</span>'


def language(text: str) -> str:
    """The attribute that lets a browser choose fonts and voice: Chinese, where the text has its signs."""
    return ' lang="zh"' if _HAN.search(text) and not _KANA.search(text) else ""


def facts(rows: Mapping[str, Any], caption: str) -> str:
    """A table of two columns; what is None or empty is left out."""
    told = {shown(str(name)): shown(str(value)) for name, value in rows.items() if value not in (None, "", [])}
    frame = pd.DataFrame({"value": list(told.values())}, index=pd.Index(list(told), name="what"))
    return table(frame, caption, across=True)


def folded(summary: str, content: str) -> str:
    """What opens at a click."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def payload(kind: str, content: Any, packed: str = "") -> str:
    """Data for the script, in elements that never run: JSON, and packed bytes."""
    told = json.dumps(content, ensure_ascii=False, allow_nan=False)
    told = told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    bytes_ = f'<script type="text/plain" class="packed">{packed}</script>' if packed else ""
    return f'<div class="live" data-kind="{kind}" hidden><script type="application/json">{told}</script>{bytes_}</div>'

"""What a suggestion holds, and how it looks."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.handles.rules import RULES
from nbllm.store.folder import free_name, runs_root

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Suggestion:
    """What to train, and why. `settings` are dotted keys, `reasons` (what, value, why) a line each; `cell` is ready to
    run; `expected` tells steps and passes, and whether they were measured."""

    task: str
    data: str
    minutes: float
    settings: dict[str, Any]
    reasons: list[tuple[str, str, str]]
    expected: str
    cell: str
    notes: list[str] = field(default_factory=list)
    steps: int = 0
    passes: float = 0.0
    tokens_per_second: float = 0.0
    measured: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """What is suggested, a row each: value and reason."""
        import pandas as pd

        what, values, why = zip(*self.reasons, strict=True)
        return pd.DataFrame({"value": values, "why": why}, index=pd.Index(what, name="what"))

    @property
    def rules(self) -> pd.DataFrame:
        """The rules behind it: number, meaning and source."""
        import pandas as pd

        rows = {name: [rule.value, rule.says, rule.source] for name, rule in RULES.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "says", "source"])

    @property
    def command(self) -> str:
        """The same as a line for a terminal."""
        first, *rest = self.cell.splitlines()[0].removeprefix("%%llm_").split(" ", 1)
        words = [f"{key}={_yaml(value)}" for key, value in self.settings.items()]
        return " ".join(["nbllm", first, *rest, *map(shlex.quote, words)])

    def __repr__(self) -> str:
        return self.text(self.cell)

    def text(self, ready: str) -> str:
        """As plain text, with what is ready to run at the end."""
        wide = max(len(f"{what} {value}") for what, value, _ in self.reasons)
        lines = [f"{self.task} with {self.data}, {minutes_in_words(self.minutes)}", ""]
        lines += [f"{f'{what} {value}':<{wide}}  {why}" for what, value, why in self.reasons]
        return "\n".join([*lines, "", self.expected, *self.notes, "", ready])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left;font-weight:normal;opacity:.75">{escape(what)}</th>'
            f'<td style="text-align:left"><strong>{escape(value)}</strong></td>'
            f'<td style="text-align:left">{escape(why)}</td></tr>'
            for what, value, why in self.reasons
        )
        notes = "".join(f'<p style="margin:4px 0">{escape(line)}</p>' for line in (self.expected, *self.notes))
        head = f"{self.task} with {self.data}, {minutes_in_words(self.minutes)}"
        return (
            f'<div class="nbllm-suggestion"><p style="margin:4px 0">{escape(head)}</p>'
            f'<table style="margin:4px 0"><tbody>{rows}</tbody></table>{notes}'
            '<p style="margin:6px 0 2px;opacity:.75">Run this cell</p>'
            f'<pre style="white-space:pre-wrap;margin:2px 0;user-select:all">{escape(self.cell)}</pre></div>'
        )


def minutes_in_words(minutes: float) -> str:
    """1 minute, 3 minutes, 0.5 minutes."""
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def cell_text(shown: str, minutes: float, settings: Mapping[str, Any]) -> str:
    """A %%llm_train cell with these settings, by dotted key, under a name that is free."""
    stem = re.sub(r"[^\w-]+", "-", Path(shown.strip("\"'{}")).stem).strip("-_") or "first"
    lines = [f"%%llm_train {free_name(stem, runs_root())} --data {shown} --minutes {minutes:g}"]
    sections: dict[str, list[str]] = {}
    for key, value in settings.items():
        section, _, leaf = key.rpartition(".")
        sections.setdefault(section, []).append(f"{leaf}: {_yaml(value)}")
    lines += sections.pop("", [])
    lines += [f"{section}: {{{', '.join(leaves)}}}" for section, leaves in sections.items() if "." not in section]
    return "\n".join(lines)


def _yaml(value: Any) -> str:
    """A value in YAML's flow style; words that YAML would take for something else are quoted."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w-]*", value)
    if plain and value.lower() not in ("yes", "no", "on", "off", "true", "false", "null", "y", "n"):
        return str(value)
    return json.dumps(value, ensure_ascii=False)

"""What an explanation of a run holds and how it looks, and what it is made from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nbllm.config import RunConfig
from nbllm.errors import NbllmError
from nbllm.store.events import Event, read_events
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder
from nbllm.store.metrics import Metrics
from nbllm.store.status import Status


@dataclass
class Explanation:
    """What has happened to a run: a headline, the evidence a line each, what to type next, the end of its log."""

    run: str
    state: str
    headline: str
    evidence: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.run} ({self.state}): {self.headline}"]
        parts += [f"  - {line}" for line in self.evidence]
        parts += ["What to do:", *(f"  {line}" for line in self.next)] if self.next else []
        parts += ["The end of its log:", *(f"  | {line}" for line in self.log)] if self.log else []
        return "\n".join(parts)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        evidence = "".join(f"<li>{escape(line)}</li>" for line in self.evidence)
        todo = "".join(f'<li style="margin:2px 0">{_marked(line)}</li>' for line in self.next)
        log = escape("\n".join(self.log))
        name = f'<strong>{escape(self.run)}</strong> <span style="opacity:.75">{escape(self.state)}</span>'
        parts = [
            f'<p style="margin:4px 0">{name}<br>{escape(self.headline)}</p>',
            f'<ul style="margin:4px 0">{evidence}</ul>' if evidence else "",
            f'<p style="margin:6px 0 2px;opacity:.75">What to do</p><ul style="margin:2px 0">{todo}</ul>'
            if todo
            else "",
            '<p style="margin:6px 0 2px;opacity:.75">The end of its log</p><pre style="white-space:pre-wrap;'
            f'overflow-wrap:anywhere;max-height:16em;overflow:auto;font-size:12px;margin:2px 0">{log}</pre>'
            if log
            else "",
        ]
        return f'<div class="nbllm-why">{"".join(parts)}</div>'


@dataclass(frozen=True)
class Facts:
    """What the folder of a run says, read once."""

    folder: RunFolder
    status: Status
    config: RunConfig | None
    events: list[Event]
    environment: dict[str, Any]

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def resume(self) -> str:
        """How to go on."""
        return f"%llm_resume {self.name}"

    def happened(self, kind: str) -> list[Event]:
        """The events of that kind."""
        return [event for event in self.events if event.get("event") == kind]

    @property
    def source(self) -> str:
        """The source of the data, quoted where a line needs it."""
        source = self.config.data.source if self.config else "SOURCE"
        return f'"{source}"' if " " in source else source

    @property
    def metrics(self) -> Metrics:
        """The recorded series."""
        metrics = Metrics()
        metrics.update(self.events)
        return metrics

    @classmethod
    def read(cls, folder: RunFolder) -> Facts:
        """Read the folder. What is damaged is left out."""
        environment = read_json(folder.environment, {})
        return cls(
            folder,
            folder.status(),
            _config(folder),
            read_events(folder.metrics),
            environment if isinstance(environment, dict) else {},
        )

    def explained(self, headline: str, evidence: Iterable[str] = (), todo: Iterable[str] = ()) -> Explanation:
        """An explanation of this run."""
        return Explanation(self.name, self.status.state, headline, list(evidence), list(todo))


def _config(folder: RunFolder) -> RunConfig | None:
    try:
        return RunConfig.from_yaml(folder.config.read_text(encoding="utf-8"), folder.name)
    except (OSError, UnicodeDecodeError, NbllmError):
        return None


def _marked(line: str) -> str:
    """A line with what is to be typed in it set as code."""
    parts = re.split(r"(%llm_\w+(?: [^:;,]*)?)", line)
    return "".join(f"<code>{escape(part)}</code>" if part.startswith("%llm_") else escape(part) for part in parts)

"""The part of a model card about responsible use: what the model is for and not for, and what was found about it.

The headings are those of Mitchell et al. 2019, Model Cards for Model Reporting, https://arxiv.org/abs/1810.03993.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbllm.config import goal_of
from nbllm.handles.markdown import plain, table
from nbllm.handles.readable import readable
from nbllm.inspection.finding import Finding
from nbllm.registry import VIEWS
from nbllm.store.files import write_text

if TYPE_CHECKING:
    from nbllm.handles.model import Model

_FOR = {
    "next": "writing text like the one it learned from, and seeing how such a model works",
    "masked": "filling in hidden words of such text, and as a start for fine-tuning",
    "labels": "labelling texts of the kind it learned from, where a person looks at what matters",
    "target": "answering texts of the kind it learned from, where a person reads the answer",
    "latent": "drawing sentences like those it learned from, and seeing how such a model works",
}  # fmt: skip
_NOT_FOR = (
    "Decisions about people, as in hiring, credit, health, law or school marks.",
    "Statements of fact that nobody checks, and text that passes for a person's.",
    "Texts of another language, subject or kind than those it learned from, without measuring there first.",
)
_MEASURES = {
    "balance": "run.balance()", "bias": "model.bias()", "memorization": "model.memorization()",
    "membership": "model.membership()", "exposure": "model.exposure()", "personal-data": "run.scan()",
    "toxicity": "model.toxicity(words)", "robustness": "model.robustness()",
}  # fmt: skip
_ROWS = 12  # of a finding's table


def intended(model: Model) -> str:
    """What it is for, by whom, and what it is not for: a start, for whoever publishes it to go on from."""
    head = goal_of(model.config.objective).head
    uses = _FOR.get(head, "study")
    lines = [
        f"**For:** {uses}.",
        "**By:** people who know what it learned from and have measured it on their own texts.",
        "**Not for:**\n\n" + "\n".join(f"- {line}" for line in _NOT_FOR),
        "**To be filled in by whoever publishes it:** the purpose, whom it may affect, and whom to tell of harm.",
    ]
    return "\n\n".join(lines)


def found(model: Model, findings: Sequence[Finding], folder: Path) -> str:
    """Each finding with its paragraph, picture, table and limits; and what was not looked into."""
    parts = [_section(finding, model.step, folder) for finding in findings]
    kinds = {kind for finding in findings for kind in (finding.kind, finding.kind.partition("-")[0])}
    left = [
        f"{kind.replace('-', ' ')} (`{call}`)"
        for kind, call in _MEASURES.items()
        if kind not in kinds and _fits(kind, model)
    ]
    if left:
        parts.append(f"Not looked into: {', '.join(left)}.")
    return "\n\n".join(parts)


def _fits(kind: str, model: Model) -> bool:
    """Whether such a model can be asked this."""
    head = goal_of(model.config.objective).head
    if kind == "exposure" and not model.config.data.canaries:
        return False
    needs = {"robustness": ("labels",), "toxicity": ("next", "target", "latent"), "memorization": ("next",)}
    return head in needs.get(kind, (head,)) and not (kind == "bias" and head in ("target", "latent"))


def _section(finding: Finding, step: int, folder: Path) -> str:
    drawn = VIEWS.get("finding_svg")(finding, alone=True)
    finding = VIEWS.get("finding_readied")(finding)
    parts = [f"### {plain(finding.title)}", plain(finding.says)]
    if finding.step is not None and step and finding.step != step:
        parts.insert(1, f"Of the checkpoint at step {finding.step:,}; this is that at step {step:,}.")
    if drawn:
        write_text(folder / f"{finding.kind}.svg", drawn)
        parts.append(f"![{plain(finding.title)}]({finding.kind}.svg)")
    parts += [_figures(finding), f"*What this does not show.* {plain(finding.limits)}"]
    return "\n\n".join(parts)


def _figures(finding: Finding) -> str:
    """The first rows of its table."""
    frame = finding.table
    shown = readable(frame.iloc[:_ROWS])
    header = [plain(str(frame.index.name or "")), *(plain(str(name)) for name in shown.columns)]
    rows = [
        [plain(str(name)), *(plain("" if value is None else str(value)) for value in values)]
        for name, values in zip(shown.index, shown.to_numpy(dtype=object).tolist(), strict=True)
    ]
    more = "" if len(frame) <= _ROWS else f"\n\nThe first {_ROWS} of {len(frame):,} rows."
    return table(header, rows) + more

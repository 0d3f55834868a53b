"""The model card: README.md beside an exported model. What it learned from, how, how well, what it is for
and what was found about it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nbllm.config import goal_of
from nbllm.handles import card_use
from nbllm.handles.markdown import code, plain, table
from nbllm.handles.readable import heading, number
from nbllm.handles.record import Record
from nbllm.inspection.finding import kept
from nbllm.models.huggingface.classes import auto_class
from nbllm.registry import VIEWS
from nbllm.store.files import read_json, write_text
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from nbllm.handles.model import Model

_PIPELINES = {
    "next": "text-generation", "masked": "fill-mask", "labels": "text-classification", "target": "text2text-generation",
}  # fmt: skip
_DOES = {
    "next": "goes on from a text", "masked": "fills in hidden tokens", "labels": "labels texts",
    "tags": "marks entities in texts", "target": "answers a text with another",
    "latent": "draws sentences from a latent space",
}  # fmt: skip
_ALIKE = {"val_loss": "best_val_loss"}  # read as in the table of a comparison
_NOT_METRICS = ("t", "seconds", "tokens")


def write_card(model: Model, architecture: str, reason: str, folder: Path, license: str | None) -> None:
    """README.md, and curve.png where a run was there to read."""
    record = _record(model)
    picture = None if record is None else VIEWS.get("curve_picture")(record)
    if picture is not None:
        (folder / "curve.png").write_bytes(picture)
    parts = [
        _front(model, architecture, license),
        f"# {_title(model)}",
        _what(model, architecture, reason),
        "## How to use it",
        code("python", _usage(model, architecture)),
        "## What it learned from",
        _data(model, license),
        "## How it was trained",
        _training(model),
        *(["![Loss while training](curve.png)"] if picture is not None else []),
        "## How well",
        _results(record),
        "## Limits",
        _limits(model),
        "## Intended use",
        card_use.intended(model),
        "## Responsible use: what was found",
        card_use.found(model, kept(model.folder), folder),
    ]
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _front(model: Model, architecture: str, license: str | None) -> str:
    """The YAML that the hub reads."""
    head = goal_of(model.config.objective).head
    about: dict[str, Any] = {"library_name": "transformers" if architecture else "nbllm", "tags": ["nbllm"]}
    if architecture:
        about["tags"].append(re.sub(r"(For|LMHead|MTModel).*", "", architecture).lower())
        if head in _PIPELINES:
            about["pipeline_tag"] = _PIPELINES[head]
    parent = str(model.config.init_from or "")
    if re.fullmatch(r"hf:[\w.-]+/[\w.-]+", parent):
        about["base_model"] = parent.removeprefix("hf:")
    if license:
        about["license"] = license
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    to_fill = "" if license else "# license: fill in, as in mit, apache-2.0 or cc-by-4.0\n"
    return f"---\n{text}{to_fill}---"


def _title(model: Model) -> str:
    return plain(model.folder.name)


def _what(model: Model, architecture: str, reason: str) -> str:
    count = sum(
        p.numel() for name, p in model.module.named_parameters() if ".lora_" not in name
    )  # merged on the way out
    head = goal_of(model.config.objective).head
    does, learned = _DOES.get(head, "was trained on text"), plain(model.config.objective.kind)
    lines = [
        f"A small language model of {count:,} parameters that {does}.",
        f"nbllm trained it, {model.step:,} steps of {learned}.",
    ]
    if model.config.init_from:
        lines.append(f"It began with the weights of {plain(str(model.config.init_from))}.")
    if architecture:
        lines.append(f"It is a `{architecture}` of transformers.")
    else:
        lines.append(f"{plain(reason)} Its weights lie here under nbllm's own names.")
    return " ".join(lines)


def _usage(model: Model, architecture: str) -> str:
    if not architecture:
        return 'import nbllm\n\nmodel = nbllm.load("FOLDER")   # the folder of this file'
    auto = auto_class(architecture) or "AutoModel"
    return (
        f"from transformers import {auto}, AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER_OR_NAME")\n'
        f'model = {auto}.from_pretrained("FOLDER_OR_NAME")'
    )


def _data(model: Model, license: str | None) -> str:
    """What is known of the text."""
    report = read_json(model.folder / "data" / "report.json", {}) or {}
    rows = {
        "source": report.get("source", model.config.data.source),
        "documents": report.get("documents"),
        "examples": report.get("examples"),
        "bytes": report.get("bytes"),
        "tokens": report.get("tokens"),
        "held out": f"{model.config.data.held_out:.0%}",
        "share used": f"{model.config.data.use:.0%}" if model.config.data.use < 1 else None,
        "vocabulary": report.get("vocab_size", model.tokenizer.get_vocab_size()),
        "labels": ", ".join(model.objective.task.labels) or None,
        "fingerprint": report.get("fingerprint"),
        "licence of the text": "fill in",
    }
    return table(("what", "value"), [(name, _shown(value)) for name, value in rows.items() if value is not None])


def _training(model: Model) -> str:
    environment = read_json(model.folder / "environment.json", {}) or {}
    versions = environment.get("versions", {})
    told = ", ".join(f"{name} {versions[name]}" for name in ("nbllm", "torch", "transformers") if name in versions)
    lines = [f"With {plain(told)}." if told else "", f"On {plain(str(environment.get('device', '')))}."]
    about = " ".join(line for line in lines if not line.endswith("On ."))
    body = (
        f"<details><summary>The whole configuration</summary>\n\n{code('yaml', model.config.to_yaml())}\n\n</details>"
    )
    return f"{about.strip()}\n\n{body}".strip()


def _results(record: Record | None) -> str:
    """The measurements on held-out text: the best, and the last."""
    if record is None or not record.metrics.evaluation.steps:
        return "Nothing was measured on held-out text by nbllm."
    measured, best = record.metrics.evaluation, record.best
    names = [name for name in measured.columns if name not in _NOT_METRICS]
    columns = {"last": -1}
    if best is not None:
        columns = {"best": measured.steps.index(best[0]), **columns}
    known = {name: _ALIKE.get(name, name) for name in names}
    rows = [(heading(known[n]), *(number(measured.columns[n][i], known[n]) for i in columns.values())) for n in names]
    steps = ("step", *(f"{measured.steps[i]:,}" for i in columns.values()))
    return "On text that it was not trained on:\n\n" + table(("measure", *columns), [steps, *rows])


def _limits(model: Model) -> str:
    context = model.objective.task.context
    lines = [
        f"It reads at most {context:,} tokens at a time.",
        "It is small, and knows only what the text above holds.",
        "It makes things up, and repeats what is wrong, biased or hurtful in that text.",
        "It was measured on text of the same kind alone; elsewhere it will do worse.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _record(model: Model) -> Record | None:
    from nbllm.handles.run import Run

    if not RunFolder(model.folder).exists():
        return None
    record = Record(Run(model.folder))
    return record if record.metrics.train.steps else None


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else plain(str(value))

"""The parts of a report, each a piece of HTML that stands without script. Empty where there is nothing to tell."""

from __future__ import annotations

import base64
import importlib.metadata
import time
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from nbllm.config import goal_of
from nbllm.dashboards import cost as cost_page
from nbllm.dashboards import findings as findings_page
from nbllm.dashboards.report.text import block, facts, folded, language, payload, shown
from nbllm.dashboards.snapshot import clock
from nbllm.dashboards.strip import strip
from nbllm.dashboards.tables import table
from nbllm.handles.cost import cost_of_run
from nbllm.handles.readable import number, readable
from nbllm.handles.record import Record
from nbllm.inspection.finding import kept
from nbllm.plots.curves import running_mean, x_of
from nbllm.plots.decimate import decimate
from nbllm.plots.overlay import Chart, Line, svg
from nbllm.plots.palette import HELD_OUT, TRAIN
from nbllm.store.events import read_events
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder

POINTS = 1200  # of a curve
_ROWS = 60  # of the table behind the curves
_SAMPLES = 40
_SAMPLE = 2000  # characters of a sample
_STRIP = 160  # tokens of the strip of predictions
_SMOOTHING = 0.2
_MEASURES = {
    "loss": "train loss", "lr": "learning rate", "grad_norm": "gradient norm", "val_loss": "held-out loss",
    "bits_per_byte": "bits per byte",
}  # fmt: skip
_NO_CURVE = ("step", "tokens", "seconds", "t")


def headline(record: Record) -> str:
    """What it is and how it went, in a line and some figures."""
    config, status = record.config, record.status
    what = ""
    if config is not None:
        model = config.model
        layers = f" {model.layers}x{model.width}" if model.kind != "huggingface" else f" {config.init_from}"
        what = f"{model.kind}{layers}, trained on {config.data.source} (objective {config.objective.kind})"
    best = record.best
    told = {
        "state": status.state,
        "parameters": f"{record.parameters:,}" if record.parameters else "",
        "steps": f"{record.step:,}" + (f" of {status.steps:,}" if status.steps and status.steps != record.step else ""),
        "tokens": number(record.tokens, "tokens") if np.isfinite(record.tokens) else "",
        "time": clock(record.seconds) if record.seconds else "",
        "best held-out loss": f"{best[1]:.4g} at step {best[0]:,}" if best else "",
        "bits per byte": f"{best[2]:.3g}" if best and np.isfinite(best[2]) else "",
    }
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(shown(v))}</dd></div>" for k, v in told.items() if v)
    error = record.run.error
    fault = "".join(f'<p class="warn">{escape(shown(line))}</p>' for line in (error, record.fault) if line)
    return f'<p class="what" dir="auto">{escape(shown(what))}</p>{fault}<dl class="figures">{cells}</dl>'


def curves(record: Record) -> str:
    """Loss over the training: a still picture, the data for the interactive one, and the measurements as a table."""
    train, held = record.metrics.train, record.metrics.evaluation
    if not train.steps:
        return '<p class="quiet">No step was done.</p>'
    steps, loss = train.array("step").astype(float), train.array("loss")
    held_steps, held_loss = held.array("step").astype(float), held.array("val_loss")
    lines = [Line(*decimate(steps, loss, 400), TRAIN, "train loss", width=1.2, opacity=0.45)]
    if len(loss) > 20:
        smooth = running_mean(steps, loss, _SMOOTHING)
        lines.append(Line(*decimate(steps, smooth, 400), TRAIN, "smoothed", width=2.0))
    if np.isfinite(held_loss).any():
        lines.append(Line(held_steps, held_loss, HELD_OUT, "held-out loss", width=1.8, dots=True))
    ends = f"from {loss[0]:.3g} to {loss[-1]:.3g} in {record.step:,} steps"
    best = record.best
    spoken = f"Train loss {ends}" + (f"; held-out loss {best[1]:.3g} at best, at step {best[0]:,}." if best else ".")
    still = f'<figure class="still">{svg(Chart(lines, spoken), width=760, height=300)}</figure>'
    return f"<p>{escape(spoken)}</p>{still}{payload('curves', _curve_data(record))}" + folded(
        "The measurements as a table", _measurements(record)
    )


def _curve_data(record: Record) -> dict[str, Any]:
    """The curves, thinned; each point with its step, tokens and seconds."""
    train, held = record.metrics.train, record.metrics.evaluation
    all_steps = train.array("step").astype(float)
    found = []
    for table_, names, colour in ((train, train.columns, TRAIN), (held, held.columns, HELD_OUT)):
        for name in names:
            values = table_.array(name)
            if name in _NO_CURVE or values.dtype.kind not in "fiu" or not np.isfinite(values.astype(float)).any():
                continue
            x, y = decimate(table_.array("step").astype(float), values.astype(float), POINTS)
            keep = np.isfinite(y)
            x, y = x[keep], y[keep]
            row: dict[str, Any] = {"name": name, "title": _MEASURES.get(name, name.replace("_", " ")), "colour": colour}
            row |= {"dots": table_ is held, "step": _numbers(x), "y": _numbers(y)}
            for axis in ("tokens", "seconds"):
                row[axis] = _numbers(np.interp(x, all_steps, np.nan_to_num(train.array(axis).astype(float))))
            found.append(row)
    return {"series": found}


def _measurements(record: Record) -> str:
    held = record.metrics.evaluation
    if not held.steps:
        return "<p>Nothing was measured on held-out text.</p>"
    train = record.metrics.train
    at = np.array(held.steps, dtype=float)
    frame = pd.DataFrame({"train loss": np.interp(at, train.array("step"), train.array("loss"))})
    for name in held.columns:
        if name not in _NO_CURVE:
            frame[_MEASURES.get(name, name)] = held.array(name)
    frame["seconds"] = x_of(record.metrics, "seconds")
    frame.index = pd.Index([f"{step:,}" for step in held.steps], name="step")
    rows = np.unique(np.linspace(0, len(frame) - 1, min(_ROWS, len(frame))).round().astype(int))
    caption = "Measured on held-out text" + (f"; {len(rows)} of {len(frame)} rows" if len(rows) < len(frame) else "")
    return table(readable(frame.iloc[rows]), caption)


def samples(record: Record) -> str:
    """Texts written while training: the first and the last in sight, those between behind."""
    found = [e for e in read_events(RunFolder(record.run.folder).samples) if e.get("event") == "sample"]
    if not found:
        return ""
    if len(found) > _SAMPLES:
        rows = np.unique(np.linspace(0, len(found) - 1, _SAMPLES).round().astype(int))
        found = [found[i] for i in rows]
    drawn = [_sample(event) for event in found]
    between = drawn[1:-1]
    earlier = folded(f"{len(between)} between", "".join(between)) if between else ""
    first = drawn[0] if len(drawn) > 1 else ""
    return f"{first}{earlier}{drawn[-1]}"


def _sample(event: dict[str, Any]) -> str:
    prompt, text = str(event.get("prompt", ""))[:_SAMPLE], str(event.get("text", ""))[:_SAMPLE]
    text = text.removeprefix(prompt) if prompt else text
    step = event.get("step", 0)
    label = f"step {step:,}" if isinstance(step, int) else "a step"
    return (
        f'<div class="sample"><h3>{label}</h3><pre tabindex="0"{language(prompt + text)}>'
        f'<span class="prompt">{block(prompt)}</span>{block(text)}</pre></div>'
    )


def predictions(record: Record) -> str:
    """What the model expected at each place of its own last sample."""
    config = record.config
    folder = RunFolder(record.run.folder)
    if config is None or not folder.checkpoint_steps() or goal_of(config.objective).head not in ("next", "masked"):
        return ""
    text = ""
    if record.sample:
        prompt, text = str(record.sample.get("prompt", "")), str(record.sample.get("text", ""))
        text = prompt + text.removeprefix(prompt)
    text = text or str(read_json(folder.probes / "probe.json", {}).get("text", ""))
    if not text.strip():
        return ""
    model = record.run.load()
    try:
        ids = model.tokenizer.encode(text, add_special_tokens=False).ids[: min(_STRIP, config.train.context)]
        found = model.predictions(model.tokenizer.decode(ids, skip_special_tokens=False), top=5)
        told = "its last sample" if record.sample else "the probe text"
        return f"<p>How well the model foresaw each token of {told}. Step {model.step:,}.</p>{strip(found)}"
    finally:
        model.close()


def findings(record: Record) -> str:
    """What was measured of bias, memory and privacy, as it is kept in the folder."""
    found = kept(record.run.folder)
    if not found:
        return (
            '<p class="quiet">Nothing was measured yet. Ask the model, as in <code>%llm_bias</code>, '
            "<code>%llm_memorization</code> or <code>%llm_balance</code>: what they find stands here.</p>"
        )
    return "".join(f'<article class="finding">{findings_page.page(each)}</article>' for each in found)


def cost(record: Record) -> str:
    """Parameters, arithmetic and memory."""
    found = cost_of_run(record.run)
    told = "".join(f"<p>{escape(shown(line))}</p>" for line in cost_page.said(found)[:-1])
    return f'<figure class="still">{cost_page.svg(found)}</figure>{told}{cost_page.behind(found)}'


def data(record: Record) -> str:
    """What it learned from, as preparing it found."""
    report = read_json(RunFolder(record.run.folder).data / "report.json", {})
    report = report if isinstance(report, dict) else {}
    config = record.config
    names = {
        "source": "source", "documents": "documents", "examples": "examples", "bytes": "bytes",
        "characters": "characters", "tokens": "tokens", "train_tokens": "tokens to learn from",
        "held_out_tokens": "tokens held out", "vocab_size": "vocabulary", "fingerprint": "fingerprint",
    }  # fmt: skip
    rows: dict[str, Any] = {title: _fact(report.get(name)) for name, title in names.items()}
    if config is not None:
        rows.setdefault("source", None)
        rows["source"] = rows["source"] or config.data.source
        rows |= {"tokenizer": config.tokenizer.kind, "labels": ", ".join(config.objective.labels or [])}
        rows["held out"] = f"{config.data.held_out:.0%}"
    counts = report.get("label_counts")
    if isinstance(counts, dict):
        rows["texts a label"] = ", ".join(f"{name} {value}" for name, value in counts.items())
    return facts(rows, "As it was prepared")


def configuration(record: Record) -> str:
    """The main settings, and all of them as YAML."""
    config = record.config
    if config is None:
        return f'<p class="quiet">{escape(shown(record.fault or "There is no configuration."))}</p>'
    model, train = config.model, config.train
    budget = next((f"{name} {value:g}" for name in ("steps", "tokens", "epochs", "minutes")
                   if (value := getattr(train, name))), "")  # fmt: skip
    rows = {
        "model": model.kind, "size": config.size, "preset": config.preset, "begins with": config.init_from,
        "blocks": ", ".join(model.blocks or []) or None, "layers": model.layers, "width": model.width,
        "heads": model.heads if "attention" in model.all_mixers() else None, "objective": config.objective.kind,
        "context": train.context, "batch": train.batch_size, "optimizer": train.optimizer,
        "learning rate": f"{train.lr:g}", "budget": budget, "seed": train.seed,
    }  # fmt: skip
    whole = f'<pre class="code" tabindex="0">{block(config.to_yaml())}</pre>'
    return facts(rows, "The main settings") + folded("All settings, as config.yaml", whole)


def environment(record: Record) -> str:
    """Machine, versions, and the command that made it. Names of the user's folders are left out."""
    found = read_json(RunFolder(record.run.folder).environment, {})
    found = found if isinstance(found, dict) else {}
    versions = found.get("versions")
    rows = {
        "python": found.get("python"), "platform": found.get("platform"), "device": found.get("device"),
        "threads": found.get("threads"), "seed": found.get("seed"),
        **(versions if isinstance(versions, dict) else {}),
    }  # fmt: skip
    command = str(found.get("command") or "")
    typed = f"<p>It was made by</p><pre class='code' tabindex='0'>{block(command)}</pre>" if command else ""
    return typed + facts(rows, "Where it was trained")


def footer(record: Record) -> str:
    """Where the page comes from."""
    made, version = time.strftime("%Y-%m-%d %H:%M %Z"), importlib.metadata.version("nbllm")
    told = f"Written by nbllm {version} on {made}. The page is whole: it asks nothing of a network."
    return escape(told)


def image(png: bytes, alt: str) -> str:
    """A picture inside the page."""
    coded = base64.b64encode(png).decode("ascii")
    return f'<img alt="{escape(alt, quote=True)}" src="data:image/png;base64,{coded}">'


def _fact(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _numbers(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]

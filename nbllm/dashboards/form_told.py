"""What a form tells of its settings: the fields as the page takes them, and the estimates in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nbllm.config import PRESETS, RunConfig, forms, own_presets
from nbllm.handles.forecast import RUNTIME, Forecast
from nbllm.handles.rules import RULES
from nbllm.models.cost import size

_DEVICES = {"cpu": "a CPU", "cuda": "a GPU", "mps": "Apple's GPU"}


def schema() -> list[dict[str, Any]]:
    """Every group with its fields, as the page needs them."""
    return [
        {"title": title, "fields": [{**asdict(each), "limits": each.limits} for each in fields]}
        for title, fields in forms.fields()
    ]


def shown(config: RunConfig) -> dict[str, Any]:
    """What every setting is, by dotted key."""
    return {each.path: forms.leaf(config, each.path) for _, fields in forms.fields() for each in fields}


def safe(values: dict[str, Any]) -> dict[str, Any]:
    """The same with whole numbers that JavaScript would round as texts."""
    large = 2**53
    return {key: str(each) if isinstance(each, int) and abs(each) >= large else each for key, each in values.items()}


def presets() -> list[list[Any]]:
    """The names of all presets, and whether each is the user's own."""
    return [*([name, False] for name in PRESETS), *([name, True] for name in own_presets.names())]


def estimates(found: Forecast) -> list[dict[str, Any]]:
    """A row each: what, how much, and what it rests on; `warn` where something is amiss."""
    return [_parameters(found), _memory(found), _time(found), *_tokens(found)]


def in_words(seconds: float) -> str:
    """A stretch of time: 40 s, 12 min, 3 h, 2 days."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    for least, unit in ((60 * 90, ("min", 60)), (3600 * 36, ("h", 3600))):
        if seconds < least:
            return (
                f"{seconds / unit[1]:.2g} {unit[0]}" if seconds / unit[1] < 10 else f"{seconds / unit[1]:.0f} {unit[0]}"
            )
    return f"{seconds / 86400:,.2g} days" if seconds < 864000 else f"{seconds / 86400:,.0f} days"


def _row(name: str, value: str, note: str, warn: bool = False) -> dict[str, Any]:
    return {"name": name, "value": value, "note": note, "warn": warn}


def _parameters(found: Forecast) -> dict[str, Any]:
    if found.parameters is None:
        return _row("Parameters", "not known yet", "known once the network is built")
    largest = max(found.parts, key=lambda part: found.parts[part]) if found.parts else ""
    share = found.parts[largest] / found.parameters if largest and found.parameters else 0
    guess = f"with about {found.vocabulary:,} tokens; {share:.0%} of them in the {_PARTS.get(largest, largest)}"
    return _row("Parameters", f"{found.parameters:,}", guess)


_PARTS = {"mixers": "layers that mix tokens", "mlps": "MLPs", "embedding": "embedding"}


def _memory(found: Forecast) -> dict[str, Any]:
    if found.memory is None:
        return _row("Memory", "not known yet", f"{size(found.room)} are free here")
    whole = found.memory + RUNTIME
    note = f"of {size(found.room)} that are free here; {size(RUNTIME)} of it are the libraries"
    if found.fits:
        return _row("Memory", f"about {size(whole)}", note)
    return _row("Memory", f"about {size(whole)}", f"more than the {size(found.room)} that are free here", True)


def _time(found: Forecast) -> dict[str, Any]:
    if found.per_second is None or found.seconds is None:
        return _row("Time", "not known yet", "known once the text is read and some steps are done")
    about = "at most " if found.at_most else "about "
    rate = f"{found.per_second:,.0f}" if found.per_second >= 100 else f"{found.per_second:.2g}"
    like = f"as run {found.like} shows" if found.like else f"assumed of {_DEVICES.get(found.device, found.device)}"
    return _row("Time", about + in_words(found.seconds), f"at {rate} tokens a second, {like}")


def _tokens(found: Forecast) -> list[dict[str, Any]]:
    if found.tokens is None:
        return [_row("Tokens", "not known yet", "known once the text is read")]
    about = "at most " if found.at_most else ""
    passes = f"{found.passes:.2g} passes over the text" if found.passes else ""
    rows = [_row("Tokens to learn from", f"{about}{found.tokens:,.0f}", passes)]
    if found.a_parameter is not None:
        rule = RULES["tokens_per_parameter"]
        few = f"under {rule.value:g} a smaller network learns more in the same time"
        note = few if found.too_few else "20 is usual for large models (Hoffmann et al. 2022)"
        rows.append(_row("Tokens a parameter", f"{about}{_short(found.a_parameter)}", note, found.too_few))
    return rows


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"

"""What a task answers under a cell and in a terminal: an answer with the tokens that moved it, scores, tables.

Shades are translucent, so that light and dark pages stay readable: blue speaks for the answer, orange against it. All
text is escaped.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from nbllm.dashboards.strip import in_text
from nbllm.dashboards.tables import lines, table
from nbllm.dashboards.tiers import tier
from nbllm.handles.readable import number, plain, readable
from nbllm.plots.maps import visible

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 20  # of a table on the page
_FOR, _AGAINST = "0,114,178", "213,94,0"  # of the palette's TRAIN and HELD_OUT
_KINDS = ("0,114,178", "213,94,0", "0,158,115", "204,121,167", "86,180,233", "230,159,0")
_STRONGEST = 0.55  # opacity at which white and black text can be read
_FACE = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.9"


def show(done: Any) -> None:
    """Display what a task was asked: a `Done` of the magic, but for a run."""
    from IPython.display import display

    if tier() == "text":
        print(text(done))
    else:
        display({"text/html": page(done), "text/plain": text(done)}, raw=True)


def page(done: Any) -> str:
    """As HTML without script."""
    if done.kind == "answer":
        return _answer(done)
    if done.kind == "evaluate":
        return _scores(done.found)
    count = len(done.found)
    more = f"the first {_ROWS} of {count:,} rows" if count > _ROWS else f"{count:,} rows"
    if done.kind == "leaderboard":
        more = f"runs of {done.task.name}"
    said = f"{_wrong(done.found)}: {more}" if done.kind == "errors" else more
    return table(readable(done.found.iloc[:_ROWS]), said, across=True)


def text(done: Any) -> str:
    """The same as lines of text."""
    if done.kind == "answer":
        return _answer_text(done)
    if done.kind == "evaluate":
        return "\n".join([plain(readable(done.found)), *facts(done.found)])
    said = [_wrong(done.found)] if done.kind == "errors" else []
    return "\n".join([*said, plain(readable(done.found.iloc[:_ROWS]))])


def _answer(done: Any) -> str:
    row = done.found.iloc[0]
    answer = escape(str(row[done.task.answered]))
    sure = f' <span style="opacity:.75">{row["probability"]:.1%}</span>' if "probability" in row else ""
    parts = [f'<div style="font-size:larger;white-space:pre-wrap"><strong>{answer}</strong>{sure}</div>']
    if done.task.answered == "spans":
        parts = [_marked(done.found.iloc[0])]
    if done.influence is not None:
        parts.append(_strip(done.influence, str(row[done.task.answered])))
    others = {name: value for name, value in row.items() if str(name).startswith("p(")}
    if len(others) > 2:
        ranked = sorted(others.items(), key=lambda each: -each[1])[:8]
        said = ", ".join(f"{escape(str(name)[2:-1])} {value:.1%}" for name, value in ranked)
        parts.append(f'<div style="opacity:.75;font-size:smaller">{said}</div>')
    return f'<div class="nbllm-answer">{"".join(parts)}</div>'


def _marked(row: Any) -> str:
    """A text with its entities marked by kind, and the triples below."""
    text, spans, at, parts = str(row["text"]), json.loads(row["spans"]), 0, []
    kinds = list(dict.fromkeys(str(kind).partition("#")[0] for _, _, kind in spans))
    for start, end, kind in spans:
        plain_kind, _, part = str(kind).partition("#")
        colour = _KINDS[kinds.index(plain_kind) % len(_KINDS)]
        said = escape(plain_kind + (f" · {part}" if part else ""))
        parts.append(escape(text[at:start]))
        parts.append(
            f'<mark style="background:rgba({colour},.25);color:inherit;border-radius:3px;padding:0 .2em"><bdi>'
            f'{escape(text[start:end])}</bdi> <small style="opacity:.75">{said}</small></mark>'
        )
        at = end
    below = f'<div style="opacity:.8">{escape(str(row["triples"]))}</div>' if row["triples"] else ""
    return f'<div style="{_FACE}">{"".join(parts)}{escape(text[at:])}</div>{below}'


def _answer_text(done: Any) -> str:
    row = done.found.iloc[0]
    if done.task.answered == "spans":
        return "\n".join(filter(None, (str(row["entities"]) or "no entity", str(row["triples"]))))
    found = str(row[done.task.answered]) + (f"  ({row['probability']:.1%})" if "probability" in row else "")
    if done.influence is None:
        return found
    shares = shares_of(done.influence, str(row[done.task.answered]))
    order = np.argsort(-np.abs(shares), kind="stable")[:5]
    moved = ", ".join(f"{visible(done.influence.inputs[i])} {shares[i]:+.0%}" for i in order if shares[i])
    return f"{found}\nmoved by: {moved}" if moved else found


def shares_of(influence: Any, answer: str) -> np.ndarray:
    """(T,) how far each token that was read speaks for the answer, in shares of the whole; the mean over the answers'
    tokens where they are several."""
    if answer in influence.outputs:
        return np.asarray(influence.shares[influence.outputs.index(answer)])
    return np.asarray(influence.shares.mean(0))


def _strip(influence: Any, answer: str) -> str:
    """The tokens that were read, in the shades of their influence."""
    shares = shares_of(influence, answer)
    most = float(np.abs(shares).max(initial=0.0)) or 1.0
    spans = []
    for token, share in zip(influence.inputs, shares, strict=True):
        shade = f"rgba({_FOR if share > 0 else _AGAINST},{_STRONGEST * abs(share) / most:.2f})"
        hover = escape(f"{visible(token)}  {share:+.1%}", quote=True)
        shown = escape(in_text(token))
        spans.append(f'<bdi title="{hover}" style="background:{shade};border-radius:2px">{shown}</bdi>')
    between = " " if not any("␣" in token for token in influence.inputs) and spaced(influence.inputs) else ""
    return (
        f'<div style="{_FACE}">{between.join(spans)}</div>'
        f'<div style="opacity:.75;font-size:smaller">blue speaks for {escape(answer[:60])}, orange against it</div>'
    )


def spaced(tokens: list[str]) -> bool:
    """Whether tokens are whole words that lost their spaces; Chinese has none."""
    return sum(len(token) for token in tokens) > 2.2 * len(tokens) and all(
        ord(token[:1] or " ") < 0x2E80 for token in tokens
    )


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """An evaluation's table as text: value, interval, baselines."""
    shown = readable(frame.drop(columns=["low", "high"]))
    shown.insert(
        1,
        "95 % interval",
        [f"{number(a)} to {number(b)}" if a == a else "" for a, b in zip(frame.low, frame.high, strict=True)],
    )
    return shown


def _scores(frame: pd.DataFrame) -> str:
    attrs, shown = frame.attrs, scored(frame)
    behind = ""
    if attrs.get("confusion"):
        import pandas as pd

        names = attrs["labels"]
        counts = pd.DataFrame(attrs["confusion"], index=pd.Index(names, name="true \\ said"), columns=names)
        matrix = table(readable(counts), "Rows: the true label; columns: what was said")
        behind = f"<details><summary>Confusion matrix</summary>{matrix}</details>" if len(names) <= 20 else ""
    return table(shown, facts(frame)[0]) + lines(facts(frame)[1:]) + behind


def facts(frame: pd.DataFrame) -> list[str]:
    """What the figures are of, then what is to be known of them, a line each."""
    attrs = frame.attrs
    of = f" of {attrs['of']:,}" if attrs["of"] != attrs["rows"] else ""
    found = [f"{attrs['task']} by {attrs['run']}: {attrs['rows']:,}{of} {attrs['kind']}"]
    if attrs.get("signature"):
        found[0] += f"; {attrs['signature']}"
    if attrs["interrupted"]:
        found.append("Interrupted: the figures are of the rows that were done.")
    if attrs["missing"]:
        found.append("Left out: " + ", ".join(f"{n:,} rows without {role}" for role, n in attrs["missing"].items()))
    if attrs["advice"]:
        found.append(attrs["advice"])
    return found


def _wrong(frame: pd.DataFrame) -> str:
    return (
        f"{frame.attrs.get('wrong', len(frame)):,} of {frame.attrs.get('rows', len(frame)):,} rows are answered wrongly"
    )

"""The lens's widget: a text, what else might have stood at each place, and branches that the page asks for.

The page has the logits of every place, so that its sliders answer at once; the kernel writes the branches, in a thread
of its own, while the notebook stays free.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import traitlets

from nbllm.dashboards.worker_thread import Working
from nbllm.handles.threads import shared_threads
from nbllm.inspection.branches import TEMPERATURES, Branches, Token
from nbllm.plots.maps import visible, visible_text

_PERIOD = 0.25  # s between two looks of the page at what is being written
_SETTINGS = ("temperature", "top_k", "top_p", "min_p", "max_tokens")
MOST = 24  # branches in the page


class Widget(Working):
    """All that the page needs. `logits` holds float32 numbers, and each token says where its own begin and how many
    they are; a branch has the tokens from the place on where it parts from its parent."""

    _js = "lens.js"
    _sheet = "lens.css"
    _wishes = ("branch", "again", "remove", "prompt")

    title = traitlets.Unicode().tag(sync=True)
    prompt = traitlets.Unicode().tag(sync=True)
    given = traitlets.Int().tag(sync=True)
    joint = traitlets.Unicode().tag(sync=True)
    vocabulary = traitlets.Int().tag(sync=True)
    branches: traitlets.List[Any] = traitlets.List().tag(sync=True)
    logits = traitlets.Bytes().tag(sync=True)
    temperatures: traitlets.List[Any] = traitlets.List(list(TEMPERATURES)).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    view = traitlets.Dict({"branch": 0, "place": None, "colour": "surprise"}).tag(sync=True)

    def __init__(self, branches: Branches, title: str):
        self._branches = branches
        self._at: dict[int, int] = {}
        self._parts: list[bytes] = []
        self._length = 0
        self._tokens: list[Token] = []  # of which the logits are kept, so that their ids stay theirs
        super().__init__(
            title=title,
            vocabulary=branches.tokenizer.get_vocab_size(),
            settings={name: branches.settings[name] for name in _SETTINGS},
        )
        first = branches.all[0].own[len(branches.given) : len(branches.given) + 1] if branches.all else []
        self.view = {"branch": 0, "place": len(branches.given) if first else None, "colour": "surprise"}
        self._tell()

    def _grant(self, wish: dict[str, Any]) -> None:
        """The page wishes for a branch, for the end of one, or for another prompt."""
        kind = wish["kind"]
        if kind == "remove":
            self._branches.remove(int(wish["branch"]))
            self._tell()
            return
        settings = _sampling(wish.get("settings"))
        self._branches.settings.update(settings)
        self._say(settings={name: self._branches.settings[name] for name in _SETTINGS})
        old = self._branches
        if kind == "prompt":
            self._say(busy="reading the prompt")
            with shared_threads():
                new = Branches(old.module, old.objective, str(wish["prompt"]), old.usual, **old.settings)
            self._branches, self._at, self._parts, self._length, self._tokens = new, {}, [], 0, []
            self.view = {**self.view, "branch": 0, "place": None}
            self._write(new.write())
        elif len(old.all) >= MOST:
            self._say(fault=f"There are {MOST} branches. Remove one first.")
        elif kind == "again":
            seed = 1 + max(each.settings["seed"] for each in old.all)
            self._write(old.write(seed=seed))
        else:
            token = wish.get("token")
            self._write(old.branch(int(wish["branch"]), int(wish["place"]), None if token is None else int(token)))

    def _write(self, tokens: Iterator[Token]) -> None:
        """Show what is written while it is."""
        branch = self._branches.all[-1]
        told = time.monotonic()
        self._say(busy=f"writing branch {branch.number}")
        self._tell()
        with shared_threads():
            for _ in tokens:
                if self._stopped:
                    break
                if time.monotonic() - told > _PERIOD:
                    self._tell()
                    told = time.monotonic()
        self._tell()
        if not self._gone and branch.own:
            self.view = {**self.view, "branch": branch.number, "place": branch.at if branch.parent is not None else
                         min(len(self._branches.given), len(branch.own) - 1)}  # fmt: skip

    def _tell(self) -> None:
        """Give the page what there is: numbers first, so that none is looked for in vain."""
        if self._gone:
            return
        known = self._branches
        told = [
            {
                "n": each.number, "from": each.parent, "at": each.at, "ended": each.ended,
                "tokens": [self._token(token) for token in each.own], "text": visible_text(known.text(each)),
                "said": _said(each.settings),
            }
            for each in known.all
        ]  # fmt: skip
        with self.hold_sync():
            self.prompt, self.joint, self.given = known.prompt, known.joint, len(known.given)
            if sum(map(len, self._parts)) != len(self.logits):
                self.logits = b"".join(self._parts)
            self.branches = told

    def _token(self, token: Token) -> dict[str, Any]:
        told: dict[str, Any] = {"id": token.id, "label": visible(token.label), "bits": token.bits, "rank": token.rank}
        spread = token.spread
        if spread is None:
            return told
        if id(spread) not in self._at:
            self._at[id(spread)] = self._length
            self._tokens.append(token)
            self._parts.append(spread.logits.astype(np.float32).tobytes())
            self._length += len(spread.logits)
        best = [[token_id, visible(label)] for token_id, label in zip(spread.ids, spread.labels, strict=True)]
        place = {"first": self._at[id(spread)], "count": len(spread.logits), "size": spread.size, "rest": spread.rest}
        return {**told, **place, "best": best}


def _sampling(asked: Any) -> dict[str, Any]:
    """The settings that the page sends, as numbers."""
    found: dict[str, Any] = {}
    for name in _SETTINGS:
        if not isinstance(asked, dict) or name not in asked:
            continue
        value = asked[name]
        whole = name in ("top_k", "max_tokens")
        found[name] = None if value is None else int(value) if whole else float(value)
    return found


def _said(settings: dict[str, Any]) -> str:
    """The settings of a branch in words."""
    parts = [f"temperature {settings['temperature']:g}"]
    parts += [f"{name.replace('_', '-')} {settings[name]:g}" for name in ("top_k", "top_p", "min_p") if settings[name]]
    return ", ".join(parts)

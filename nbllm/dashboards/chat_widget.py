"""The chat's widget: who said what, the reply as it is written, and how much of it the model reads, all in traits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import traitlets

from nbllm.dashboards.worker_thread import Working
from nbllm.handles.conversation import BOT, USER, Conversation, Turn
from nbllm.handles.threads import shared_threads
from nbllm.plots.maps import visible_text

_PERIOD = 0.1  # s between two looks of the page at what is being written
_LONGEST = 50_000  # characters of a message
_RANGES = {"temperature": (float, 0.0, 2.0), "max_tokens": (int, 1, 2000)}


class Widget(Working):
    """All that the page shows. `turns` are told and done; `writing` is the reply that is being written. The first
    `budget["left_out"]` turns are no longer read by the model."""

    _js = "chat.js"
    _sheet = "chat.css"
    _wishes = ("say", "again", "edit", "clear")

    title = traitlets.Unicode().tag(sync=True)
    about = traitlets.Unicode().tag(sync=True)
    roles = traitlets.Dict().tag(sync=True)
    turns: traitlets.List[Any] = traitlets.List().tag(sync=True)
    writing = traitlets.Dict().tag(sync=True)
    system = traitlets.Unicode().tag(sync=True)
    template = traitlets.Bool().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    budget = traitlets.Dict().tag(sync=True)
    draft = traitlets.Unicode().tag(sync=True)
    view = traitlets.Dict({"settings": False}).tag(sync=True)

    def __init__(self, conversation: Conversation, title: str):
        self._conversation = conversation
        self.keep: Callable[[], Any] | None = None
        """Called when a turn is done, so that a saved notebook has it too."""
        speaker = conversation.speaker
        chosen = {**conversation._usual, **conversation.settings}
        parameters = sum(p.numel() for p in speaker.model.module.parameters())
        super().__init__(
            title=title, system=conversation.system, template=speaker.takes_system,
            about=f"{parameters:,} parameters{', with its chat template' if speaker.takes_system else ''}",
            roles={USER: "You", BOT: visible_text(title)},
            settings={name: chosen[name] for name in _RANGES},
        )  # fmt: skip
        self.tell()
        self.observe(self._measure, ["draft"])
        self.observe(self._set, ["system", "settings"])

    def tell(self) -> None:
        """Give the page what was said."""
        if self._gone:
            return
        with self.hold_sync():
            self.turns = [
                {"role": each.role, "text": visible_text(each.text), "stopped": each.stopped, "tokens": each.tokens}
                for each in self._conversation.turns
            ]
            self.writing = {}
            self._measure()
        if self.keep is not None:
            self.keep()

    def _grant(self, wish: dict[str, Any]) -> None:
        """The page says something, wants a reply anew or a turn changed, or a fresh start."""
        talk, kind = self._conversation, wish["kind"]
        text = str(wish.get("text", ""))[:_LONGEST].strip()
        if kind == "clear":
            talk.turns.clear()
            self.tell()
            return
        if kind == "again":
            if talk.turns and talk.turns[-1].role == BOT:
                talk.turns.pop()
        elif not text:
            return
        elif kind == "edit":
            place = int(wish["place"])
            if not 0 <= place < len(talk.turns):
                return
            talk.back_to(place)
        if kind in ("say", "edit"):
            talk.turns.append(Turn(USER, text))
            if kind == "say":
                self._say(draft="")
        if talk.turns:
            self._reply()

    def _reply(self) -> None:
        self.tell()
        self._say(busy="reading", writing={"text": "", "tokens": 0})
        told = 0.0

        def heard(text: str, tokens: int) -> bool:
            nonlocal told
            if time.monotonic() - told > _PERIOD:
                told = time.monotonic()
                self._say(busy="writing", writing={"text": visible_text(text), "tokens": tokens})
            return self._stopped

        try:
            with shared_threads():
                self._conversation.reply(heard)
        finally:
            self.tell()

    def _measure(self, _change: Any = None) -> None:
        """How many tokens the model would be given now, with what is being typed, of how many it can read."""
        talk = self._conversation
        turns = [*talk.turns, *([Turn(USER, self.draft)] if self.draft.strip() else [])]
        if not turns:
            self.budget = {"used": 0, "room": talk.speaker.room(self._most), "left_out": 0}
            return
        given = talk.speaker.given(turns, talk.system, self._most)
        self.budget = {"used": given.tokens, "room": given.room, "left_out": given.left_out}

    @property
    def _most(self) -> int:
        return int(self.settings["max_tokens"])

    def _set(self, _change: Any) -> None:
        """The page has changed the system text or the settings."""
        self._conversation.system = self.system.strip()
        for name, (kind, least, most) in _RANGES.items():
            try:
                value = kind(self.settings[name])
            except (KeyError, TypeError, ValueError):
                continue
            self._conversation.settings[name] = max(least, min(most, value))
        self._measure()

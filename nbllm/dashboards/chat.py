"""A chat with a model: its history, system text and settings in a widget, and the same from Python.

chat = nbllm.chat("support")        the newest run of the task chat where none is named; hf:NAME_OR_PATH too
chat.say("A table for two, please")     the reply; the page shows it as well
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from nbllm.dashboards.shown import Shown, saved
from nbllm.errors import ConfigError
from nbllm.handles.conversation import BOT, Conversation, Speaker
from nbllm.plots.maps import visible_text

if TYPE_CHECKING:
    from nbllm.dashboards.chat_widget import Widget

_SETTINGS = ("max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed")


class Chat(Shown):
    """What `chat` gives: shown by the last line of a cell, or by `show`.

    .say(text)       say something: the reply
    .again()         the last reply anew
    .back_to(place)  take back the turns from a place on (0 is the first)
    .messages        what was said: [{"role": "user", "content": ...}, ...]
    """

    _kind = "chat"

    def __init__(self, conversation: Conversation, title: str):
        super().__init__()
        self.conversation = conversation
        self.title = title
        self._widget: Widget | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """What was said, the system text first."""
        said = [{"role": each.role, "content": each.text} for each in self.conversation.turns]
        system = self.conversation.system
        return [{"role": "system", "content": system}, *said] if system else said

    def say(self, text: str) -> str:
        """Say something: the model's reply."""
        return self._changed(lambda: self.conversation.say(text).text)

    def again(self) -> str:
        """The model's last reply written anew, which differs where the temperature is above 0."""

        def anew() -> str:
            turns = self.conversation.turns
            if not turns or turns[-1].role != BOT:
                raise ConfigError("There is no reply to write anew.", "Say something first.")
            turns.pop()
            return self.conversation.reply().text

        return self._changed(anew)

    def back_to(self, place: int) -> None:
        """Take back all turns from a place on."""
        self._changed(lambda: self.conversation.back_to(place))

    def __repr__(self) -> str:
        return f"<Chat with {self.title}, {len(self.conversation.turns)} turns>"

    def __str__(self) -> str:
        return text(self)

    def widget(self) -> Widget:
        from nbllm.dashboards.chat_widget import Widget

        self._widget = Widget(self.conversation, self.title)
        return self._widget

    def _page(self) -> str:
        return page(self)

    def _show_kept(self, widget: Any) -> None:
        """It follows the dialogue."""
        from IPython.display import display

        handle = display(self._kept(), raw=True, display_id=True)
        if handle is not None:
            widget.keep = lambda: handle.update(self._kept(), raw=True)

    def _changed(self, act: Any) -> Any:
        if self._widget is None:
            return act()
        self._widget.wait()
        try:
            return act()
        finally:
            self._widget.tell()


def chat(model: Any = None, *, system: str = "", **settings: Any) -> Chat:
    """Chat with a model that writes: a run, a Model, or what `nbllm.load` takes (hf:NAME_OR_PATH, whose chat template
    is used); the newest run of the task chat where none is given.

    `system` stands before the dialogue. Settings: max_tokens, temperature, top_k, top_p, min_p, repetition_penalty,
    seed. A dialogue that is longer than what the model reads loses its oldest turns.
    """
    from nbllm import tasks
    from nbllm.errors import did_you_mean
    from nbllm.handles.run import Run
    from nbllm.store.folder import list_runs
    from nbllm.tasks.choose import choose

    for name in settings:
        if name not in _SETTINGS:
            raise ConfigError(f"There is no setting '{name}'.", did_you_mean(name, _SETTINGS))
    named = isinstance(model, Run) or (isinstance(model, str) and model in ["last", *(run.name for run in list_runs())])
    opened = choose(tasks.get("chat"), model if named else None, None if named else model)
    return Chat(Conversation(Speaker(opened), system, settings=dict(settings)), opened.folder.name)


def page(shown: Chat) -> str:
    """The turns, as a saved notebook keeps them. All text is escaped."""
    turns = "".join(
        f'<div style="margin:6px 0"><span style="opacity:.7;font-size:smaller">{escape(message["role"])}</span>'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere"><bdi>{escape(visible_text(message["content"]))}'
        "</bdi></div></div>"
        for message in shown.messages
    )
    return saved(
        "chat",
        f'<p style="margin:4px 0"><strong>Chat with {escape(shown.title)}</strong></p>{turns}'
        '<p style="margin:4px 0;opacity:.75">The chat lives as long as its kernel. Run the cell again for a new one.'
        "</p>",
    )


def text(shown: Chat) -> str:
    """The same as lines of text."""
    lines = [f"{message['role']}: {visible_text(message['content'])}" for message in shown.messages]
    how = "In a script or a terminal: chat = nbllm.chat(NAME); chat.say('...')"
    return "\n".join([f"Chat with {shown.title}", *(lines or [how])])

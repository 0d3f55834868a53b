"""A conversation with a model: turns by role, what of them the model is given, and its reply as it is written.

A model of Hugging Face is given its own chat template; an encoder-decoder the dialogue so far, a line a turn ("user:
...", "bot: ..."); any other language model those lines and the beginning of the bot's. Where a dialogue is longer than
what the model reads, its oldest turns are left out, never the system text nor the last message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import goal_of
from nbllm.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from nbllm.handles.model import Model
    from nbllm.models.huggingface.chat import ChatTemplate

USER, BOT, SYSTEM = "user", "bot", "system"
REPLY = 120
"""Tokens of a reply at most, where nothing is said."""
_THEIRS = {USER: "user", BOT: "assistant", SYSTEM: "system"}
_STOPS = ["\nuser:", "\nbot:", "\nsystem:"]
_UNTRAINED = ("masked", "latent", "labels", "tags", "ends")


@dataclass(frozen=True)
class Turn:
    """What one of the two said. `stopped`: its end was not waited for."""

    role: str
    text: str
    stopped: bool = False
    tokens: int = 0


@dataclass(frozen=True)
class Given:
    """What a model is given of a dialogue: a text, or the ids of its tokens; how many tokens it is of how many that it
    can read, and how many of the oldest turns were left out."""

    prompt: str | list[int]
    tokens: int
    room: int
    left_out: int


class Speaker:
    """How a model takes part in a dialogue. ModelError for a model that does not write."""

    def __init__(self, model: Model):
        model._check_open()
        self.model = model
        self.head = goal_of(model.config.objective).head
        if self.head in _UNTRAINED:
            raise ModelError(
                f"{model.folder.name} does not write, and a conversation needs a model that replies.",
                "Train one: %llm_task chat --train",
            )
        self.template = model.chat_template if self.head == "next" else None

    @property
    def takes_system(self) -> bool:
        """Whether a system text is likely to be understood: by a chat template."""
        return self.template is not None

    def room(self, reply: int) -> int:
        """Tokens of a dialogue that can be read: of a language model its context without the reply."""
        from nbllm.data.tokenizers import source_frame

        context = self.model.config.train.context
        if self.head == "target":
            before, behind = source_frame(self.model.tokenizer)
            return context - len(before) - len(behind)
        return max(1, context - min(reply, context // 2))

    def given(self, turns: Sequence[Turn], system: str, reply: int = REPLY) -> Given:
        """The dialogue as the model is given it, the oldest turns left out where it is too long for it; where even the
        last message is, all of that is given."""
        room, kept = self.room(reply), list(turns)
        while True:
            prompt = self._prompt(kept, system)
            count = len(prompt) if isinstance(prompt, list) else self._count(prompt)
            if count <= room or len(kept) <= 1:
                return Given(prompt, count, room, len(turns) - len(kept))
            kept = kept[1:]
            if self.template is not None and kept[0].role == BOT and len(kept) > 1:
                kept = kept[1:]  # templates want the user to begin

    def pieces(self, given: Given, **settings: Any) -> Iterator[Any]:
        """The reply token by token, each with .text .token_id .probability."""
        if self.head == "target":
            yield from self.model.pieces(given.prompt, **settings)
            return
        own = {"ends": self.template.ends} if self.template is not None else {"stop": _STOPS}
        yield from self.model.pieces(given.prompt, **{**settings, **own})

    def _prompt(self, turns: Sequence[Turn], system: str) -> str | list[int]:
        said = [Turn(SYSTEM, system), *turns] if system.strip() else list(turns)
        if self.template is not None:
            return self.template.ids([{"role": _THEIRS[each.role], "content": each.text} for each in said])
        lines = "\n".join(f"{each.role}: {' '.join(each.text.split())}" for each in said)
        return lines if self.head == "target" else f"{lines}\n{BOT}:"

    def _count(self, text: str) -> int:
        return len(self.model.tokenizer.encode(text, add_special_tokens=False).ids)


@dataclass
class Conversation:
    """The turns so far, and the settings of what is written next: temperature, top_k, top_p, max_tokens, seed, ..."""

    speaker: Speaker
    system: str = ""
    turns: list[Turn] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def say(self, text: str, heard: Callable[[str, int], bool | None] | None = None) -> Turn:
        """Say something, and have the model reply. `heard` is called with the reply so far and its tokens; where it
        answers True, the reply ends there."""
        if not text.strip():
            raise ConfigError("There is nothing to say.", "Write a message.")
        self.turns.append(Turn(USER, text.strip()))
        return self.reply(heard)

    def reply(self, heard: Callable[[str, int], bool | None] | None = None) -> Turn:
        """The model's reply to the last message. ModelError for a message that is longer than what it reads."""
        given = self.given
        if given.tokens > given.room:
            raise ModelError(
                f"The message has {given.tokens:,} tokens, and {self.speaker.model.folder.name} reads {given.room:,}.",
                "Write a shorter one.",
            )
        said, count = "", 0
        for piece in self.speaker.pieces(given, **{**self._usual, **self.settings}):
            said, count = said + piece.text, count + 1
            if heard is not None and heard(said.strip(), count):
                self.turns.append(Turn(BOT, said.strip(), True, count))
                return self.turns[-1]
        self.turns.append(Turn(BOT, said.strip(), False, count))
        return self.turns[-1]

    def back_to(self, place: int) -> None:
        """Take back all turns from a place on. ConfigError where there is none."""
        if not 0 <= place < len(self.turns):
            raise ConfigError(f"There is no turn {place}.", f"The turns are 0 to {len(self.turns) - 1}.")
        del self.turns[place:]

    @property
    def given(self) -> Given:
        """What the model would be given now."""
        return self.speaker.given(self.turns, self.system, int({**self._usual, **self.settings}["max_tokens"]))

    @property
    def _usual(self) -> dict[str, Any]:
        return {"max_tokens": REPLY, "temperature": 0.0 if self.speaker.head == "target" else 0.7}


def template_of(model: Model) -> ChatTemplate | None:
    """The chat template of a model of Hugging Face, also of a run that went on from one; None where there is none."""
    from nbllm.models.huggingface import source
    from nbllm.models.huggingface.chat import ChatTemplate

    if not source.is_hugging_face(model.config.init_from) or model.config.model.kind != "huggingface":
        return None
    try:
        place = source.locate(str(model.config.init_from), Path.cwd())
    except ModelError:  # a run that stands alone, its parent gone
        return None
    return ChatTemplate.of(place, model.tokenizer)


def turns_in(text: str) -> tuple[list[Turn], str]:
    """The turns of a dialogue written as lines with roles, and its system text. A line without a role goes on; a text
    without any is the user's."""
    found: list[Turn] = []
    for line in text.split("\n"):
        role, colon, said = line.partition(":")
        if colon and role in (USER, BOT, SYSTEM):
            found.append(Turn(role, said.strip()))
        elif found:
            found[-1] = replace(found[-1], text=f"{found[-1].text}\n{line}".strip())
        else:
            found.append(Turn(USER, line.strip()))
    system = "\n".join(each.text for each in found if each.role == SYSTEM)
    return [each for each in found if each.role != SYSTEM], system

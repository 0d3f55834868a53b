"""Chat templates: how a model of Hugging Face was trained to be given a dialogue, as tokens.

The library fills in the template (Jinja, in its own sandbox). What people write is text: a special token's name in a
message never becomes the token, so that nobody can speak in another's role.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from nbllm.errors import ModelError, one_line
from nbllm.models.huggingface.quiet import quiet

Message = Mapping[str, str]
"""role (system, user, assistant) and content."""
_MARK = "\ue000{}\ue001"
_MARKED = re.compile("\ue000(\\d+)\ue001")


class ChatTemplate:
    """A template, and the ids that end a reply (`ends`)."""

    def __init__(self, theirs: Any, tokenizer: Tokenizer, ends: Sequence[int] = ()):
        self._theirs = theirs
        self._tokenizer = tokenizer  # of ours, which takes the names of special tokens as text
        self._special = Tokenizer.from_str(tokenizer.to_str())
        self._special.encode_special_tokens = False
        self._names = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        self.ends = tuple(dict.fromkeys([*ends, *self._turn_end()]))

    @classmethod
    def of(cls, folder: Path, tokenizer: Tokenizer) -> ChatTemplate | None:
        """The template of the model in a folder; None where it has none."""
        if not has_template(folder):
            return None
        import transformers

        with quiet():
            try:
                theirs = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True)
            except (ValueError, OSError, ImportError, KeyError):
                return None
        if not theirs.chat_template:
            return None
        found = [theirs.eos_token_id, *_generation_ends(folder)]
        return cls(theirs, tokenizer, [each for each in found if isinstance(each, int)])

    @property
    def source(self) -> str:
        """The template's own text (Jinja); empty where the tokenizer has several."""
        text = self._theirs.chat_template
        return text if isinstance(text, str) else ""

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a dialogue with the beginning of the assistant's next turn. ModelError where the template
        refuses it."""
        if any(name in message["content"] for message in messages for name in self._names):
            return self._apart(messages)
        return self._special.encode(self.text(messages), add_special_tokens=False).ids

    def text(self, messages: Sequence[Message], *, onward: bool = True) -> str:
        """The dialogue in the template. One that knows no system role has its text before the first message."""
        try:
            return self._filled(messages, onward)
        except ModelError:
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise
            first = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
            return self._filled([first, *messages[2:]], onward)

    def _filled(self, messages: Sequence[Message], onward: bool) -> str:
        try:
            found = self._theirs.apply_chat_template(
                [dict(message) for message in messages], tokenize=False, add_generation_prompt=onward
            )
        except Exception as error:  # Jinja's own kinds, and whatever a template raises
            raise ModelError(
                f"The model's chat template refuses this: {one_line(error)[:200]}.", "Change the roles."
            ) from None
        return str(found)

    def _apart(self, messages: Sequence[Message]) -> list[int]:
        """The template's text with its special tokens, and what people wrote without any."""
        marked = [{**message, "content": _MARK.format(place)} for place, message in enumerate(messages)]
        found: list[int] = []
        for place, part in enumerate(_MARKED.split(self.text(marked))):
            tokenizer = self._tokenizer if place % 2 else self._special
            text = messages[int(part)]["content"] if place % 2 else part
            found += tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def _turn_end(self) -> list[int]:
        """The special token that the template puts behind a reply."""
        try:
            said = self.text(
                [{"role": "user", "content": "a"}, {"role": "assistant", "content": _MARK.format(0)}], onward=False
            )
        except ModelError:
            return []
        behind = said.partition(_MARK.format(0))[2].lstrip()
        special = [t.content for t in self._tokenizer.get_added_tokens_decoder().values() if t.special]
        name = next((name for name in sorted(special, key=len, reverse=True) if behind.startswith(name)), None)
        found = None if name is None else self._tokenizer.token_to_id(name)
        return [] if found is None else [found]


def has_template(folder: Path) -> bool:
    """Whether a model's folder brings a chat template, as a file of its own or in its tokenizer's settings."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    return bool(_read(folder / "tokenizer_config.json").get("chat_template"))


def _generation_ends(folder: Path) -> list[Any]:
    found = _read(folder / "generation_config.json").get("eos_token_id")
    return found if isinstance(found, list) else [found]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

"""Dialogues of the user's, an object each, as rows of a dialogue so far and its reply.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}
    {"dialog": ["Hi", "Hello!"]}                                           turn and turn about, the user first

A row has `source` (a line a turn: "user: Hi"), `target` ("Hello!") and `dialogue_split`, so that turns of one dialogue
stand on the same side. A system text stays the first line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbllm.data.sides import side_of

KEYS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "utterances")
SPLIT = "dialogue_split"
HELD_OUT = 10  # of 100 dialogues
_ANSWERED = ("source", "target", "summary", "label", "labels")  # columns of a table that is for another task
_ROLE, _TEXT = ("role", "from", "speaker"), ("content", "value", "text", "utterance")
_BOT, _USER = ("assistant", "bot", "gpt", "model", "agent", "chatbot"), ("user", "human", "customer")


def turns_of(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The turns of a dialogue, each with user, bot or system; [] where the object holds none."""
    if any(key in row for key in _ANSWERED):
        return []
    found: Any = next((row[key] for key in KEYS if isinstance(row.get(key), list)), [])
    if len(found) > 1 and all(isinstance(each, str) for each in found):
        return [(("user", "bot")[place % 2], text) for place, text in enumerate(found)]
    turns = []
    for each in found:
        role = next((each[key] for key in _ROLE if key in each), None) if isinstance(each, dict) else None
        text = next((each[key] for key in _TEXT if key in each), None) if isinstance(each, dict) else None
        if not isinstance(role, str) or not isinstance(text, str):
            return []
        turns.append((role.lower(), text))
    replies = any(role in _BOT for role, _ in turns)
    names = {**dict.fromkeys(_BOT, "bot"), **dict.fromkeys(_USER, "user"), "system": "system" if replies else "bot"}
    return [(names.get(role, "user"), text) for role, text in turns]


def turn_rows(turns: list[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """A row for each reply of the bot to something."""
    whole = "\n".join(text for _, text in turns)
    side = side_of(whole, validation=HELD_OUT)
    lines: list[str] = []
    for role, text in turns:
        if role == "bot" and lines and text.strip():
            yield {"source": "\n".join(lines), "target": text.strip(), SPLIT: side}
        lines.append(f"{role}: {' '.join(text.split())}")

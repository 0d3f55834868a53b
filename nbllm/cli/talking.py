"""nbllm chat: a dialogue with a model in the terminal, a line a turn."""

from __future__ import annotations

from nbllm.magics.command import Command
from nbllm.magics.parse import Parsed


def chat(command: Command, parsed: Parsed) -> None:
    """Read lines until the input ends, and write the model's reply to each as it comes."""
    from nbllm import api
    from nbllm.plots.maps import visible_text

    talk = api.chat(*parsed.names, **parsed.flags)
    print(f"Chat with {talk.title}. An empty line ends it.")
    while True:
        try:
            said = input("you: ")
        except EOFError:
            print()
            return
        if not said.strip():
            return
        shown = 0

        def heard(text: str, _tokens: int) -> None:
            nonlocal shown
            print(visible_text(text[shown:]), end="", flush=True)
            shown = len(text)

        print(f"{talk.title}: ", end="", flush=True)
        print(visible_text(talk.conversation.say(said, heard).text[shown:]))

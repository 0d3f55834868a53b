"""Help while coding: the rest of a cell, and a docstring for a function. What a model writes is shown, never run."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbllm.errors import ConfigError, ModelError
from nbllm.magics.parse import Parsed

_OPENS = (":", '"""', "'''")  # a cell that ends so wants what stands below


@dataclass
class Completion:
    """Code with what a model wrote behind it, and how likely it held a token of that."""

    code: str
    completion: str
    probability: float

    @property
    def whole(self) -> str:
        """Both, as the next cell shows them."""
        return self.code + self.completion.rstrip("\n")

    def __repr__(self) -> str:
        return self.completion


@dataclass
class Explanation:
    """A function, and the docstring that a model wrote for it."""

    name: str
    docstring: str
    probability: float

    def __repr__(self) -> str:
        return f'{self.name}: """{self.docstring}"""'


def complete_cell(parsed: Parsed, cell: str) -> Completion:
    """The cell gone on from: below a line that opens a block its body, else the rest of its last line. ConfigError for
    an empty cell."""
    code = cell.removesuffix("\n")
    if not code.strip():
        raise ConfigError("The cell is empty.", "Write the beginning of some code below %%llm_complete.")
    if code.endswith(_OPENS):
        code += "\n"
    text, probability = _asked("code", parsed, code)
    return Completion(code, text, probability)


def explain(parsed: Parsed, names: Mapping[str, Any]) -> Explanation:
    """A docstring for a function of the notebook. ConfigError where there is no such function, or no source of it."""
    from nbllm.data.functions import MARK, without_docstring

    name = str(parsed.names[0])
    thing = names.get(name.partition(".")[0])
    for part in name.split(".")[1:]:
        thing = inspect.getattr_static(thing, part, None)
    thing = getattr(thing, "__func__", thing)
    if not inspect.isfunction(thing):
        raise ConfigError(f"There is no function '{name}' in the notebook.", "Run the cell that defines it first.")
    try:
        source = without_docstring(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, SyntaxError, TypeError):
        raise ConfigError(
            f"The source of '{name}' is not to be had.", "Name a function that a cell or a .py file defines by def."
        ) from None
    text, probability = _asked("explain", parsed, source + MARK)
    return Explanation(name, text.strip(), probability)


def _asked(name: str, parsed: Parsed, prompt: str) -> tuple[str, float]:
    """What the run that is named says, or the task's newest one."""
    from nbllm import tasks

    task = tasks.get(name)
    settings = {key: parsed.flags[key] for key in ("max_tokens", "temperature", "seed") if key in parsed.flags}
    run = parsed.flags.get("run") or (parsed.names[0] if name == "code" and parsed.names else None)
    found = task.predict([prompt], run=None if run is None else str(run), **settings).iloc[0]
    if not str(found["completion"]).strip():
        raise ModelError("The model wrote nothing.", "Write some more of the code, or set --temperature 0.8.")
    return str(found["completion"]), float(found["probability"])

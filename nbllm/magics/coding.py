"""Help while coding: the rest of a cell, and a docstring for a function. What a model writes is shown, never run."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbllm.errors import ConfigError, ModelError
from nbllm.magics.parse import Parsed

GAP = "<fill>"
_OPENS = (":", '"""', "'''")  # a cell that ends so wants what stands below


@dataclass
class Completion:
    """Code with what a model wrote behind it, and how likely it held a token of that."""

    code: str
    completion: str
    probability: float
    behind: str = ""

    @property
    def whole(self) -> str:
        """All of it, as the next cell shows it."""
        return self.code + (self.completion + self.behind if self.behind else self.completion.rstrip("\n"))

    def __repr__(self) -> str:
        return self.completion


@dataclass
class Explanation:
    """A function, and the docstring that a model wrote for it; `whole` is its source with that, where a cell has
    defined it."""

    name: str
    docstring: str
    probability: float
    whole: str = ""

    def __repr__(self) -> str:
        return f'{self.name}: """{self.docstring}"""'


def complete_cell(parsed: Parsed, cell: str) -> Completion:
    """The cell gone on from: below a line that opens a block its body, else the rest of its last line. ConfigError for
    an empty cell."""
    code = cell.removesuffix("\n")
    if not code.strip():
        raise ConfigError("The cell is empty.", "Write the beginning of some code below %%llm_complete.")
    if GAP in code:
        return _filled(parsed, code)
    if code.endswith(_OPENS):
        code += "\n"
    text, probability = _asked("code", parsed, code)
    return Completion(code, text, probability)


def _filled(parsed: Parsed, code: str) -> Completion:
    """The cell with its first gap filled in, by a model that has learned so."""
    from nbllm import tasks
    from nbllm.data.middle import middle_prompt
    from nbllm.tasks.choose import choose

    run = parsed.flags.get("run") or (str(parsed.names[0]) if parsed.names else None)
    model = choose(tasks.get("code"), run, parsed.flags.get("model"))
    before, _, behind = code.partition(GAP)
    text = before.rstrip(" \t")  # the white space before a word is a part of its token: the model writes it itself
    space = before[len(text) :]
    settings = {"max_tokens": 80, "temperature": 0.0, **_settings(parsed)}
    context = model.config.train.context
    ids = middle_prompt(model.tokenizer, text, behind, context - min(settings["max_tokens"], context // 2))
    pieces = list(model.pieces(ids, **settings))
    sure = math.exp(sum(math.log(max(piece.probability, 1e-30)) for piece in pieces) / max(1, len(pieces)))
    said = "".join(piece.text for piece in pieces)
    return Completion(before, said.removeprefix(space) if said.startswith(space) else said.lstrip(" \t"), sure, behind)


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
        original = textwrap.dedent(inspect.getsource(thing))
        source = without_docstring(original)
    except (OSError, SyntaxError, TypeError):
        raise ConfigError(
            f"The source of '{name}' is not to be had.", "Name a function that a cell or a .py file defines by def."
        ) from None
    text, probability = _asked("explain", parsed, source + MARK)
    own = any(thing.__globals__ is each for each in getattr(names, "maps", [names])) and "." not in name
    return Explanation(name, text.strip(), probability, with_docstring(original, text.strip()) if own else "")


def with_docstring(source: str, docstring: str) -> str:
    """A function's source with this docstring, in place of the one that it has."""
    tree = ast.parse(source)
    node = next(each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    lines, first = source.rstrip("\n").split("\n"), node.body[0]
    quoted = docstring.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    text = f'"""{quoted}{" " if quoted.endswith(chr(34)) else ""}"""'
    row = lines[first.lineno - 1].encode()
    before, rest = row[: first.col_offset].decode(), row[first.col_offset :].decode()
    if before.strip():  # def area(w): return w
        indent = " " * (node.col_offset + 4)
        return "\n".join(
            [*lines[: first.lineno - 1], before.rstrip(), indent + text, indent + rest, *lines[first.lineno :]]
        )
    if ast.get_docstring(node) is not None:
        return "\n".join([*lines[: first.lineno - 1], before + text, *lines[(first.end_lineno or first.lineno) :]])
    return "\n".join([*lines[: first.lineno - 1], before + text, *lines[first.lineno - 1 :]])


def _settings(parsed: Parsed) -> dict[str, Any]:
    return {key: parsed.flags[key] for key in ("max_tokens", "temperature", "seed") if key in parsed.flags}


def _asked(name: str, parsed: Parsed, prompt: str) -> tuple[str, float]:
    """What the run that is named says, or the task's newest one."""
    from nbllm import tasks

    task = tasks.get(name)
    run = parsed.flags.get("run") or (parsed.names[0] if name == "code" and parsed.names else None)
    model = parsed.flags.get("model")
    found = task.predict([prompt], run=None if run is None else str(run), model=model, **_settings(parsed)).iloc[0]
    if not str(found["completion"]).strip():
        raise ModelError("The model wrote nothing.", "Write some more of the code, or set --temperature 0.8.")
    return str(found["completion"]), float(found["probability"])

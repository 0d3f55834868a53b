"""What %llm_task asks of a task: shared by the magic and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nbllm.config import resolve
from nbllm.errors import ConfigError
from nbllm.magics.expand import expand_prompt
from nbllm.magics.layers import config_layers
from nbllm.magics.parse import Parsed

ACTIONS = ("train", "evaluate", "errors", "leaderboard")
_EXECUTING = ("execute", "samples")
_WRITING = ("beams", "max_tokens", "temperature")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """What was asked, and what came of it: a run, or a DataFrame; for one text also what moved the answer."""

    kind: Literal["train", "evaluate", "errors", "leaderboard", "answer", "answers"]
    task: Any
    found: Any
    influence: Any = None


def apply(
    parsed: Parsed, cell: str | None, names: Mapping[str, Any], command: str, say: Say = lambda line: None
) -> Done:
    """Train, score, or answer. ConfigError where the line says too much or too little."""
    from nbllm import tasks

    name, *words = (each for each in parsed.names)
    task = tasks.get(str(name))
    chosen = [action for action in ACTIONS if parsed.flags.get(action)]
    if len(chosen) > 1:
        raise ConfigError(f"--{chosen[0]} and --{chosen[1]} are two things to do.", "Keep one of the two.")
    if chosen == ["train"]:
        return _train(task, parsed, words, cell, names, command)
    action = chosen[0] if chosen else ""
    data, asked = _asked(parsed, action)
    if action and (words or cell):
        raise ConfigError(f"--{action} takes no text.", f"For a table write --{action} --data FILE.")
    if action == "leaderboard":
        return Done("leaderboard", task, tasks.leaderboard(task.name, data, **asked))
    if action == "evaluate":
        return Done("evaluate", task, task.evaluate(data, progress=_progress(say), **asked))
    if action == "errors":
        return Done("errors", task, task.errors(data, **asked))
    if "documents" in parsed.flags:
        return _from_documents(task, data, words, cell, names, {**asked, "documents": parsed.flags["documents"]})
    return _answer(task, data, _typed(task, words, cell, names), asked)


def _train(
    task: Any, parsed: Parsed, words: list[Any], cell: str | None, names: Mapping[str, Any], command: str
) -> Done:
    flags = parsed.flags
    if words:
        raise ConfigError(f"--train takes no text ('{words[0]}').", "A run is named by --name NAME.")
    for flag in ("run", "limit", "documents", *_EXECUTING, *_WRITING):
        if flag in flags:
            raise ConfigError(f"--{flag.replace('_', '-')} does not go with --train.", "Leave it out.")
    layers, thing = config_layers(parsed, cell or "", names)
    own = {word: flags[word] for word in ("source", "target") if word in flags}
    if not flags.get("resume"):
        resolve(task.layers(layers, thing, own))  # a wrong key or value is said before anything is made
    run = task.start(
        layers, thing, own, name=flags.get("name"), runner=flags.get("runner", "process"),
        resume=bool(flags.get("resume")), replace=bool(flags.get("replace")), command=command,
    )  # fmt: skip
    return Done("train", task, run)


def _asked(parsed: Parsed, action: str) -> tuple[Any, dict[str, Any]]:
    """The data, and the arguments of the task's method, as flags and settings say."""
    settings = dict(parsed.settings)
    known = ("run", "limit", *_EXECUTING, *_WRITING)
    asked: dict[str, Any] = {key: parsed.flags[key] for key in known if key in parsed.flags}
    for word in ("source", "target"):
        if word in parsed.flags:
            asked[f"{word}_column"] = parsed.flags[word]
    data = settings.pop("data.source", None)
    if "model.kind" in settings:
        asked["model"] = settings.pop("model.kind")
    for path, value in settings.items():
        section, _, name = path.partition(".")
        if section != "data":
            raise ConfigError(f"{path} is a setting of the training.", "Add --train, or leave it out.")
        asked[name] = value
    if action == "leaderboard" and set(asked) - {"limit"}:
        raise ConfigError(f"--{min(set(asked) - {'limit'})} does not go with --leaderboard.", "Leave it out.")
    for flag in _EXECUTING:
        if flag in asked and action != "evaluate":
            raise ConfigError(f"--{flag} is for --evaluate.", "Leave it out, or add --evaluate.")
    if not action and "limit" in asked:
        raise ConfigError("--limit is for --evaluate and --errors.", "Leave it out.")
    return data, asked


def _typed(task: Any, words: list[Any], cell: str | None, names: Mapping[str, Any]) -> Any:
    """The text to ask about, or a value for each input: the words of the line, the body of the cell before them."""
    texts = [str(each).replace("\\n", "\n") for each in words]
    body = [] if cell is None else [expand_prompt(cell.removesuffix("\n"), names)]
    if len(task.inputs) == 1:
        if body and texts:
            raise ConfigError("A text stands in the line and in the cell.", "Keep one of the two.")
        return "\n".join(body) or " ".join(texts) or None
    given = [*body, *texts]
    if not given:
        return None
    if len(given) != len(task.inputs):
        raise ConfigError(
            f"{task.name} takes {' and '.join(task.inputs)}, and {len(given)} were given.",
            "Put each in quotes, as in: " + " ".join(f'"{name}"' for name in task.inputs),
        )
    return tuple(given)


def _from_documents(
    task: Any, data: Any, words: list[Any], cell: str | None, names: Mapping[str, Any], asked: dict[str, Any]
) -> Done:
    """A question to documents that are searched first."""
    if not hasattr(task, "ask"):
        raise ConfigError(f"{task.name} has no documents.", "They are for qa: %llm_task qa QUESTION --documents FOLDER")
    if data is not None:
        raise ConfigError("--documents and --data are both given.", "Keep one of the two.")
    question = " ".join([*([] if cell is None else [expand_prompt(cell.strip(), names)]), *map(str, words)])
    return Done("answers", task, task.ask(question, asked.pop("documents"), **asked))


def _answer(task: Any, data: Any, typed: Any, asked: dict[str, Any]) -> Done:
    if data is not None:
        if typed is not None:
            raise ConfigError("A text and --data are both given.", "Keep one of the two.")
        return Done("answers", task, task.predict(_table(data, asked), **asked))
    if typed is None:
        example = task.examples[0]
        shown = " ".join(f'"{part}"' for part in (example if isinstance(example, tuple) else (example,)))
        raise ConfigError(
            "There is nothing to ask.", f"Write a text, as in: %llm_task {task.name} {shown}, or --train first."
        )
    from nbllm.tasks.choose import choose

    model = choose(task, asked.pop("run", None), asked.pop("model", None))
    found = task.predict([typed], model=model, **asked)
    row = dict(zip(task.inputs, typed if isinstance(typed, tuple) else (typed,), strict=True))
    return Done("answer", task, found, task.explain(model, row))


def _table(data: Any, asked: dict[str, Any]) -> Any:
    """A file of the user's as a DataFrame; what the notebook holds as it is."""
    if not isinstance(data, str):
        return data
    from nbllm.tasks.rows import read_frame

    reading: dict[str, Any] = {key: asked.pop(key) for key in ("format", "encoding") if key in asked}
    return read_frame(data, reading)


def _progress(say: Say) -> Callable[[int, int, float], None]:
    def told(done: int, of: int, seconds: float) -> None:
        left = seconds / done * (of - done)
        say(f"{done:,} of {of:,} rows, {left:,.0f} s left")

    return told

"""What a parsed line asks for, apart from how it is shown: shared by the magics and the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nbllm.errors import ConfigError
from nbllm.magics.command import Command
from nbllm.magics.expand import expand_prompt
from nbllm.magics.parse import Parsed
from nbllm.store.status import ENDED


def run_name(parsed: Parsed) -> str | None:
    """The run's name: the first word, or --name."""
    word = str(parsed.names[0]) if parsed.names else None
    flag = parsed.flags.get("name")
    if word and flag and word != flag:
        raise ConfigError(f"The run is called '{word}' and '{flag}'.", "Keep one of the two names.")
    return word or (None if flag is None else str(flag))


def series_arguments(command: str, line: str, flags: Mapping[str, Any], data_object: Any) -> dict[str, Any]:
    """How runs that belong together are to be trained, as the flags say."""
    return {
        "data_object": data_object,
        "runner": flags.get("runner", "process"),
        "replace": bool(flags.get("replace")),
        "command": f"%llm_{command} {line}".strip(),
        **({"resume": True} if flags.get("resume") else {}),
    }


def run_and_prompt(
    parsed: Parsed, cell: str | None, names: Mapping[str, Any], command: str = "generate"
) -> tuple[str, str]:
    """Which run is asked, and the text that it is given: the rest of the line, or the body of the cell."""
    if cell is not None:
        if len(parsed.names) > 1:
            raise ConfigError(
                "A prompt stands in the line and in the cell.", f"Write %%llm_{command} RUN, and the text below it."
            )
        return str(parsed.names[0]) if parsed.names else "last", expand_prompt(cell.removesuffix("\n"), names)
    if not parsed.names:
        raise ConfigError("No run is named.", 'Write a run and a prompt, as in: last "The "')
    run, *prompt = (str(each) for each in parsed.names)
    return run, _newlines(" ".join(prompt))


def sampling(parsed: Parsed) -> dict[str, Any]:
    """The settings of generation, with line breaks in the stop strings."""
    settings = dict(parsed.flags)
    if "stop" in settings:
        settings["stop"] = [_newlines(str(text)) for text in settings["stop"]]
    return settings


def look(command: Command, parsed: Parsed, cell: str | None = None, names: Mapping[str, Any] | None = None) -> Any:
    """What the command asks of a model about a text: its attention, its predictions, or the influence of tokens."""
    from nbllm import api

    if command.name == "tokens":
        return _cut(parsed, cell, names or {})
    if command.name == "embeddings":
        return _embeddings(parsed)
    if command.name == "similarity":
        return _similarity(parsed, cell, names or {})
    run, text = run_and_prompt(parsed, cell, names or {}, command.name)
    settings = dict(parsed.flags)
    if command.name == "attention":
        return _attention(command, run, text, settings)
    if command.name == "latent_map":
        return _latent_map(run, text, settings)
    kept = {"gates": ("gate", "layer", "sort"), "filters": ("layer",)}.get(command.name, ())
    shown = {key: settings.pop(key) for key in kept if key in settings}
    model = api.load(run, step=settings.pop("step", None))
    found = getattr(model, command.name)(text, **settings)
    return found.of(**shown) if shown else found


def _cut(parsed: Parsed, cell: str | None, names: Mapping[str, Any]) -> Any:
    """The text of the line or of the cell as tokenizers cut it."""
    from nbllm import api

    if cell is not None and parsed.names:
        raise ConfigError("A text stands in the line and in the cell.", "Keep one of the two.")
    line = _newlines(" ".join(str(each) for each in parsed.names))
    text = line if cell is None else expand_prompt(cell.removesuffix("\n"), names)
    asked = [str(each) for each in parsed.flags.get("tokenizers", ())]
    if "corpus" in parsed.flags:
        return api.tokens(text, *asked, corpus=[str(each) for each in parsed.flags["corpus"]])
    return api.tokens(text, *asked)


def _embeddings(parsed: Parsed) -> Any:
    """Neighbours of a token, an analogy, or a map."""
    from nbllm import api

    run, *words = [str(each) for each in parsed.names] or ["last"]
    flags = dict(parsed.flags)
    found = api.load(run, step=flags.pop("step", None)).embeddings()
    top = flags.pop("top", 10)
    analogy = flags.pop("analogy", None)
    if analogy is not None:
        if words or flags:
            raise ConfigError("An analogy stands alone.", "Leave the token and the map out.")
        a, b, c = (str(each) for each in analogy)
        return found.analogy(a, b, c, k=top)
    if words and not flags:
        return found.nearest(" ".join(words), top)
    if words and "search" not in flags:
        flags["search"] = " ".join(words)
    return found.map(flags.pop("map", "pca"), **flags)


def _similarity(parsed: Parsed, cell: str | None, names: Mapping[str, Any]) -> Any:
    """Of the texts of the line, or of the lines of the cell."""
    from nbllm import api

    run, *texts = [str(each) for each in parsed.names] or ["last"]
    if cell is not None:
        if texts:
            raise ConfigError("Texts stand in the line and in the cell.", "Write them in one of the two.")
        texts = [line for line in expand_prompt(cell, names).splitlines() if line.strip()]
    return api.load(run, **parsed.flags).similarity(texts)


def _latent_map(run: str, text: str, settings: dict[str, Any]) -> Any:
    """The map of the lines of the text, each a sentence, or of a table given by name."""
    from nbllm import api

    texts = settings.pop("texts", None)
    lines = [line for line in text.splitlines() if line.strip()]
    if (texts is None) == (not lines):
        raise ConfigError(
            "A map needs sentences.", f"Write %%llm_latent_map {run} and one a line below, or --texts {{{{name}}}}."
        )
    model = api.load(run, step=settings.pop("step", None))
    return model.latent_map(lines if texts is None else texts, **settings)


def _attention(command: Command, run: str, text: str, settings: dict[str, Any]) -> Any:
    """The maps of a text, those of one layer or head where that is said; without a text what the run has kept. Of all
    checkpoints, or beside another run, an explorer of them."""
    from nbllm import api

    if not text and set(settings) - {"beside"}:
        raise ConfigError("There is no text to look at.", f'Write one, as in {command.call} {run} "To be, or not".')
    beside, steps = settings.pop("beside", None), settings.pop("steps", False)
    if beside is not None or steps or not text:
        wrong = sorted(set(settings) - {"target", "part"})
        if wrong:
            raise ConfigError(f"--{wrong[0]} is for the maps of one step.", "Leave it out, or --steps and --beside.")
        other = None if beside is None else api.attach(beside)
        return api.attach(run).explore(text or None, beside=other, **settings)
    layer, head, path = (settings.pop(name, None) for name in ("layer", "head", "save"))
    model = api.load(run, step=settings.pop("step", None))
    chosen: dict[str, Any] = {} if layer is None else {"layers": [layer]}
    maps = model.attention(text, **settings, **chosen).of(head=head)
    if path is not None:
        maps.save(str(path))
    return maps


def cost(parsed: Parsed, say: Any = lambda line: None) -> Any:
    """The cost of a run, or of what the settings would train."""
    from nbllm import api
    from nbllm.magics.layers import config_layers

    layers, data_object = config_layers(parsed, "", {})
    measure = bool(parsed.flags.get("measure"))
    run = str(parsed.names[0]) if parsed.names else None
    return api.cost_layers(run, layers, data_object=data_object, measure=measure, say=say)


def report(parsed: Parsed) -> Any:
    """The page of a run; where it lies."""
    from nbllm import api

    run, *file = [str(each) for each in parsed.names] or ["last"]
    return api.attach(run).report(*file)


def preview_arguments(parsed: Parsed) -> tuple[Any, dict[str, Any]]:
    """The source to look at, as a word or by --data, and the other settings."""
    settings = dict(parsed.settings)
    sources = [*parsed.names, *([settings.pop("data.source")] if "data.source" in settings else [])]
    if len(sources) > 1:
        raise ConfigError("Two sources are given.", "Keep one of SOURCE and --data SOURCE.")
    return sources[0] if sources else "python-docs", settings


def suggest_arguments(parsed: Parsed, line: str) -> dict[str, Any]:
    """Task, data, minutes and what is settled; a variable of the notebook is named in the cell as it was here."""
    settings = dict(parsed.settings)
    task, *sources = [*parsed.names, *([settings.pop("data.source")] if "data.source" in settings else [])]
    if len(sources) > 1:
        raise ConfigError("Two sources are given.", "Keep one of SOURCE and --data SOURCE.")
    variable = re.search(r"\{\{\s*\w+\s*\}\}", line)
    named = variable[0] if variable and sources and not isinstance(sources[0], str) else None
    bounds = {"minutes": parsed.flags["minutes"]} if "minutes" in parsed.flags else {}
    return {"task": str(task), "data": sources[0] if sources else None, "settings": settings, "shown": named, **bounds}


def ask(command: Command, parsed: Parsed) -> str:
    """Pause, resume, stop, checkpoint or set; returns the sentence that says what was asked."""
    from nbllm import api

    if command.name == "set" and not parsed.flags:
        raise ConfigError("There is nothing to set.", f"Write {command.call} NAME lr=1e-3 or steps=2000.")
    run = api.attach(run_name(parsed) or "last")
    if command.name == "stop" and (state := run.state) in ENDED:
        return f"{run.name} has ended already ({state})."
    getattr(run, command.name)(**parsed.flags)
    changes = ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value:g}" for key, value in parsed.flags.items()
    )
    said = {
        "pause": f"Asked {run.name} to pause. Go on: {command.prefix}resume {run.name}",
        "resume": f"{run.name} goes on. Watch it: {command.prefix}attach {run.name}",
        "stop": f"Asked {run.name} to stop with a checkpoint. Go on later: {command.prefix}resume {run.name}",
        "checkpoint": f"Asked {run.name} for a checkpoint.",
        "set": f"Asked {run.name} for {changes}.",
    }
    return said[command.name]


def carry_out(command: Command, flags: Mapping[str, Any]) -> Iterator[str]:
    """Do what the flags ask in their order, and say in a line each what was done."""
    if flags.get("yes") and not flags.get("prune"):
        raise ConfigError("--yes goes with --prune.", f"Write {command.call} --prune --yes.")
    for action, values in flags.items():
        if action == "prune":
            yield _prune(command, bool(flags.get("yes")))
        elif action != "yes":
            yield from _upkeep(action, [str(each) for each in values])


def _upkeep(action: str, words: list[str]) -> Iterator[str]:
    from nbllm import api

    name, *rest = words
    if action == "delete":
        for each in words:
            api.attach(each).delete()
            yield f"Deleted {each}."
    elif action == "rename":
        yield f"{name} is now {api.attach(name).rename(rest[0]).name}."
    elif action == "tag":
        run = api.attach(name)
        run.label(tags=[*run.tags, *rest])
        yield f"Tagged {name}: {', '.join(rest)}."
    elif action == "untag":
        run = api.attach(name)
        run.label(tags=[tag for tag in run.tags if tag not in rest])
        yield f"{name} is tagged: {', '.join(run.tags) or 'not at all'}."
    elif action == "note":
        api.attach(name).label(note=" ".join(rest))
        yield f"Noted on {name}."
    elif action == "pack":
        yield f"Wrote {api.attach(name).pack(rest[0])}."
    elif action == "unpack":
        yield f"{name} is now the run {api.unpack(name, *rest).name}."


def _prune(command: Command, apply: bool) -> str:
    from nbllm import api

    found = api.prune(apply=apply)
    megabytes = float(found["mb"].sum()) if len(found) else 0.0
    what = f"{len(found)} older checkpoints, {megabytes:,.1f} MB"
    if not len(found):
        return "Nothing to remove: ended runs keep only their last and best checkpoints."
    return f"Removed {what}." if apply else f"--prune would remove {what}. To do it: {command.call} --prune --yes"


def _newlines(text: str) -> str:
    """A line cannot hold a line break: `\\n` and `\\t` are typed for them."""
    return text.replace("\\n", "\n").replace("\\t", "\t")

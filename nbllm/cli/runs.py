"""The terminal's commands that make runs, and those of runs that are there."""

from __future__ import annotations

from nbllm.cli.shown import follow, follow_all, in_terminal, say
from nbllm.magics.command import Command
from nbllm.magics.parse import Parsed


def train(command: Command, parsed: Parsed) -> int:
    """Train, or go on, and show how it goes until it ends."""
    from nbllm import api
    from nbllm.config import resolve
    from nbllm.magics.layers import config_layers
    from nbllm.magics.requests import run_name, series_arguments
    from nbllm.runners import quota

    layers, _ = config_layers(parsed, "", {})
    resolve(layers)
    if "seeds" in parsed.flags:
        settings = series_arguments("train", "", parsed.flags, None) | {"command": "nbllm train"}
        return follow_all(api.repeat_layers(run_name(parsed), layers, parsed.flags["seeds"], **settings))
    run = api.train_layers(
        run_name(parsed),
        layers,
        runner=parsed.flags.get("runner", "process"),
        resume=bool(parsed.flags.get("resume")),
        replace=bool(parsed.flags.get("replace")),
        command="nbllm train",
    )
    if nearly_full := quota.note():
        print(nearly_full)
    return follow(run)


def learning_curve(command: Command, parsed: Parsed) -> int:
    """Train on growing parts of a text."""
    from nbllm import api
    from nbllm.magics.layers import config_layers
    from nbllm.magics.requests import run_name, series_arguments

    layers, _ = config_layers(parsed, "", {})
    settings = series_arguments("learning_curve", "", parsed.flags, None) | {"command": "nbllm learning_curve"}
    if "fractions" in parsed.flags:
        settings["fractions"] = parsed.flags["fractions"]
    return follow_all(api.learning_curve_layers(run_name(parsed), layers, **settings))


def lr_find(command: Command, parsed: Parsed) -> None:
    """Which learning rate to take."""
    from nbllm import api
    from nbllm.magics.layers import config_layers
    from nbllm.magics.requests import run_name

    layers, _ = config_layers(parsed, "", {})
    bounds = {key: parsed.flags[key] for key in ("steps", "seconds") if key in parsed.flags}
    print(in_terminal(repr(api.find_lr_layers(run_name(parsed), layers, say=say, **bounds))))


def suggest(command: Command, parsed: Parsed) -> None:
    """What to train on this device in the time that is there."""
    from nbllm import api
    from nbllm.magics.requests import suggest_arguments

    found = api.suggest_layers(**suggest_arguments(parsed, ""), say=say)
    print(found.text(found.command))


def why(command: Command, parsed: Parsed) -> None:
    """What is wrong with a run, and what to do."""
    from nbllm import api
    from nbllm.magics.requests import run_name

    print(in_terminal(str(api.why(run_name(parsed) or "last"))))


def cost(command: Command, parsed: Parsed) -> None:
    """What a model costs."""
    from nbllm.magics.requests import cost

    print(in_terminal(str(cost(parsed, say))))


def compare(command: Command, parsed: Parsed) -> None:
    """Runs beside each other."""
    from nbllm import api

    print(api.compare(*parsed.names, sort=parsed.flags.get("sort")))


def report(command: Command, parsed: Parsed) -> None:
    """All that is known of a run as one page."""
    from nbllm.magics.requests import report

    print(report(parsed))


def attach(command: Command, parsed: Parsed) -> int:
    """Show how a run goes until it ends."""
    from nbllm import api
    from nbllm.magics.requests import run_name

    return follow(api.attach(run_name(parsed) or "last"))


def runs(command: Command, parsed: Parsed) -> None:
    """All runs, after what is to be done with one."""
    from nbllm import api
    from nbllm.magics.requests import carry_out

    for said in carry_out(command, parsed.flags):
        print(said)
    table = api.runs()
    print(table.to_string() if len(table) else "No run yet. Train one: nbllm train")


def ask(command: Command, parsed: Parsed) -> None:
    """Pause, resume, stop, keep or change a run."""
    from nbllm.magics.requests import ask

    print(ask(command, parsed))


def data(command: Command, parsed: Parsed) -> None:
    """What a source of text holds."""
    from nbllm import api
    from nbllm.magics.preview import PreviewView
    from nbllm.magics.requests import preview_arguments

    source, settings = preview_arguments(parsed)
    print(PreviewView(api.preview(source, **settings)))


def export(command: Command, parsed: Parsed) -> None:
    """A folder for transformers."""
    from nbllm import api

    print(api.export(*(str(each) for each in parsed.names), **parsed.flags))


def doctor(command: Command, parsed: Parsed) -> int:
    """Whether all is well here."""
    from nbllm import api

    report = api.doctor()
    print(report)
    return 0 if report.ok else 1

"""nbllm in a terminal: the same commands as the magics, and demo, lab and tour for the notebooks.

nbllm train shakespeare --data input.txt --minutes 3
nbllm generate shakespeare "To be, or"
nbllm lab
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nbllm.errors import ConfigError, NbllmError, RunError, did_you_mean
from nbllm.magics.command import Command, Flag, help_text
from nbllm.magics.commands import COMMANDS
from nbllm.magics.errors import system_error
from nbllm.magics.parse import Parsed, from_arguments, parse
from nbllm.magics.tables import auditing, looking

_POLL = 0.2
_QUIET_SECONDS = 10.0  # between lines where the output is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 1 after a one-line error, 130 after an interrupt."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character must not end the command
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except NbllmError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Error: {system_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(_overview(), end="")
        return 0
    if words[0] in ("--version", "-V"):
        from nbllm import __version__

        print(f"nbllm {__version__}")
        return 0
    words = [words[0].replace("-", "_"), *words[1:]]
    if words[0] not in _COMMANDS:
        hint = did_you_mean(words[0], _COMMANDS)
        raise ConfigError(
            f"There is no command '{words[0]}'.", hint if hint.startswith("Did") else "Type: nbllm --help"
        )
    command, action = _COMMANDS[words[0]]
    parsed = parse(command, list(from_arguments(words[1:])))
    if parsed.help:
        print(help_text(command), end="")
        return 0
    return action(command, parsed) or 0


def _overview() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"    nbllm {name:<{width}}  {command.summary}" for name, (command, _) in _COMMANDS.items()]
    return "\n".join(
        ["Train, watch and use small language models.", "", *lines, "", "nbllm COMMAND --help says more.", ""]
    )


def _train(command: Command, parsed: Parsed) -> int:
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


def _learning_curve(command: Command, parsed: Parsed) -> int:
    from nbllm import api
    from nbllm.magics.layers import config_layers
    from nbllm.magics.requests import run_name, series_arguments

    layers, _ = config_layers(parsed, "", {})
    settings = series_arguments("learning_curve", "", parsed.flags, None) | {"command": "nbllm learning_curve"}
    if "fractions" in parsed.flags:
        settings["fractions"] = parsed.flags["fractions"]
    return follow_all(api.learning_curve_layers(run_name(parsed), layers, **settings))


def _lr_find(command: Command, parsed: Parsed) -> None:
    from nbllm import api
    from nbllm.magics.layers import config_layers
    from nbllm.magics.requests import run_name

    layers, _ = config_layers(parsed, "", {})
    bounds = {key: parsed.flags[key] for key in ("steps", "seconds") if key in parsed.flags}
    print(in_terminal(repr(api.find_lr_layers(run_name(parsed), layers, say=_say, **bounds))))


def _suggest(command: Command, parsed: Parsed) -> None:
    from nbllm import api
    from nbllm.magics.requests import suggest_arguments

    found = api.suggest_layers(**suggest_arguments(parsed, ""), say=_say)
    print(found.text(found.command))


def _why(command: Command, parsed: Parsed) -> None:
    from nbllm import api
    from nbllm.magics.requests import run_name

    print(in_terminal(str(api.why(run_name(parsed) or "last"))))


def _say(line: str) -> None:
    """What goes on, on one line of a terminal that is written over."""
    if sys.stdout.isatty():
        print(f"\r{line:<60}\r", end="", flush=True)


def in_terminal(text: str) -> str:
    """What a notebook is told to type, as it is typed in a terminal."""
    return text.replace("%%llm_", "nbllm ").replace("%llm_", "nbllm ")


def _compare(command: Command, parsed: Parsed) -> None:
    from nbllm import api

    print(api.compare(*parsed.names, sort=parsed.flags.get("sort")))


def _look(command: Command, parsed: Parsed) -> None:
    from nbllm.magics.requests import look

    found = look(command, parsed)
    from nbllm.dashboards.looking import text

    print(text(found))


def _audit(command: Command, parsed: Parsed) -> None:
    from nbllm.magics.audits import audit

    print(audit(command, parsed))


def _cost(command: Command, parsed: Parsed) -> None:
    from nbllm.magics.requests import cost

    print(in_terminal(str(cost(parsed, _say))))


def _report(command: Command, parsed: Parsed) -> None:
    from nbllm.magics.requests import report

    print(report(parsed))


def _task(command: Command, parsed: Parsed) -> int:
    from nbllm.dashboards.tasks import text
    from nbllm.magics.applied import apply

    done = apply(parsed, None, {}, "nbllm task", _say)
    if done.kind == "train":
        return follow(done.found, f'Try it: nbllm task {done.task.name} "TEXT"; score it: --evaluate')
    print(in_terminal(text(done)))
    return 0


def _playground(command: Command, parsed: Parsed) -> int:
    from nbllm import api

    print(in_terminal(str(api.playground(*parsed.names))))
    return 0


def _predict(command: Command, parsed: Parsed) -> None:
    from nbllm.tasks.files import predict_file

    run, source, target = (str(each) for each in parsed.names)
    print(predict_file(run, source, target, parsed.flags.get("task"), parsed.settings))


def _attach(command: Command, parsed: Parsed) -> int:
    from nbllm import api
    from nbllm.magics.requests import run_name

    return follow(api.attach(run_name(parsed) or "last"))


def follow(run: Any, afterwards: str = "") -> int:
    """Show how the run goes on one line until it ends, then what to do with it; an interrupt ends the looking, not the
    run."""
    from nbllm.runners.inline import progress_line
    from nbllm.store.folder import RunFolder
    from nbllm.store.status import LIVE

    folder = RunFolder(run.folder)
    live = sys.stdout.isatty()
    shown, state, told = 0, "", 0.0
    try:
        while True:
            now = folder.status().state
            line = progress_line(folder)
            if live:
                print(f"\r{line:<{shown}}", end="", flush=True)
                shown = len(line)
            elif now != state or time.monotonic() - told > _QUIET_SECONDS:
                print(line, flush=True)
                told = time.monotonic()
            state = now
            if state not in LIVE:
                break
            time.sleep(_POLL)
    except KeyboardInterrupt:
        print(f"\n{run.name} goes on. Watch it: nbllm attach {run.name}; stop it: nbllm stop {run.name}")
        return 0
    print(end="\n" if live else "")
    if state in ("failed", "lost"):
        raise RunError(f"Run '{run.name}' {state}: {run.error}")
    print(afterwards or f'Write with it: nbllm generate {run.name} "PROMPT"')
    return 0


def follow_all(series: Any) -> int:
    """Show how each of the runs goes, one after another, and their tables at the end."""
    for run in series:
        follow(run)
    print(series)
    return 0


def _runs(command: Command, parsed: Parsed) -> None:
    from nbllm import api
    from nbllm.magics.requests import carry_out

    for said in carry_out(command, parsed.flags):
        print(said)
    table = api.runs()
    print(table.to_string() if len(table) else "No run yet. Train one: nbllm train")


def _generate(command: Command, parsed: Parsed) -> None:
    from nbllm import api
    from nbllm.magics.requests import run_and_prompt, sampling

    run, prompt = run_and_prompt(parsed, None, {})
    settings = sampling(parsed)
    model = api.load(run, step=settings.pop("step", None))
    if settings.get("samples", 1) != 1:
        for number, text in enumerate(model.generate(prompt, **settings), 1):
            print(f"--- {number}\n{prompt}{model.joint}{text}")
        return
    settings.pop("samples", None)
    print(prompt + model.joint, end="", flush=True)
    if "beams" in settings:
        print(model.generate(prompt, **settings))
        return
    for piece in model.stream(prompt, **settings):
        print(piece, end="", flush=True)
    print()


def _ask(command: Command, parsed: Parsed) -> None:
    from nbllm.magics.requests import ask

    print(ask(command, parsed))


def _data(command: Command, parsed: Parsed) -> None:
    from nbllm import api
    from nbllm.magics.preview import PreviewView
    from nbllm.magics.requests import preview_arguments

    source, settings = preview_arguments(parsed)
    print(PreviewView(api.preview(source, **settings)))


def _export(command: Command, parsed: Parsed) -> None:
    from nbllm import api

    print(api.export(*(str(each) for each in parsed.names), **parsed.flags))


def _doctor(command: Command, parsed: Parsed) -> int:
    from nbllm import api

    report = api.doctor()
    print(report)
    return 0 if report.ok else 1


def _demo(command: Command, parsed: Parsed) -> None:
    folder = Path(parsed.flags.get("output", "output"))
    from nbllm.runners.notebook import execute

    page = execute(notebooks() / "quickstart.ipynb", folder)
    print(f"The executed notebook: {page}\nOpen the same notebook live: make lab (in the checkout), or: nbllm lab")


def notebooks() -> Path:
    """The notebooks: of the checkout, or those that came with the package."""
    package = Path(__file__).resolve().parent
    for folder in (package.parent / "notebooks", package / "_notebooks"):
        if (folder / "quickstart.ipynb").is_file():
            return folder
    raise NbllmError(
        "The notebooks did not come with this nbllm.", "Install it anew: pip install --force-reinstall nbllm"
    )


def _tour(command: Command, parsed: Parsed) -> None:
    folder = Path(parsed.names[0] if parsed.names else "nbllm-tour")
    print(f"The notebooks are in {_copy_tour(folder)}. Open them: nbllm lab {folder}")


def _copy_tour(folder: Path) -> Path:
    """The notebooks as files of the user's own; those that are there already stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(notebooks().glob("*.ipynb")):
        if not (folder / source.name).exists():
            shutil.copyfile(source, folder / source.name)
    return folder


def _lab(command: Command, parsed: Parsed) -> int:
    if parsed.names:
        folder = Path(parsed.names[0])
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {folder}.", "Write nbllm lab [FOLDER].")
    else:
        there = notebooks()
        folder = there if there.name == "notebooks" else _copy_tour(Path("nbllm-tour"))
    first = folder / "quickstart.ipynb"
    call = [sys.executable, "-m", "jupyterlab", str(first if first.is_file() else folder)]
    if parsed.flags.get("no_browser"):
        call.append("--no-browser")
    if "port" in parsed.flags:
        call.append(f"--port={parsed.flags['port']}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        call.append("--allow-root")
    return subprocess.call(call)


_OWN = (
    Command(
        "demo",
        "",
        "Run the quickstart notebook and leave the page it makes.",
        ("%llm_demo", "%llm_demo --output my-demo"),
        flags=(Flag("--output", "FOLDER", "where the executed notebook goes [output]"),),
    ),
    Command(
        "lab",
        "[FOLDER]",
        "Open JupyterLab on the notebooks.",
        ("%llm_lab", "%llm_lab --no-browser --port 9000"),
        flags=(
            Flag("--no-browser", "", "print the address and open nothing", "bool"),
            Flag("--port", "N", "port of the server", "int"),
        ),
    ),
    Command(
        "predict",
        "RUN IN OUT",
        "Answer every row of a table with the model of a run, into a CSV file.",
        ("%llm_predict sentiment reviews.csv labelled.csv --text-column review",),
        flags=(Flag("--task", "NAME", "the task; that of the run where not given"),),
        sections=("data",),
    ),
    Command("tour", "[FOLDER]", "Copy the notebooks to a folder of yours.", ("%llm_tour", "%llm_tour ./lessons")),
)


def _in_terminal(command: Command) -> Command:
    """A command of the notebook as it is typed in a terminal."""
    lines = (each for each in command.examples if each.startswith("%llm_") and "{{" not in each)
    examples = tuple(line.replace("%llm_", "nbllm ") for line in lines) or (f"nbllm {command.name}",)
    return dataclasses.replace(command, prefix="nbllm ", examples=examples, cell="", notes="")


Action = Callable[[Command, Parsed], int | None]
_ACTIONS: dict[str, Action] = {
    "demo": _demo, "lab": _lab, "tour": _tour, "predict": _predict, "task": _task,
    "playground": _playground,
    "train": _train, "learning_curve": _learning_curve, "compare": _compare,
    **{command.name: _look for command in looking.TABLE},
    **{command.name: _audit for command in auditing.TABLE},
    "lr_find": _lr_find, "cost": _cost, "report": _report, "why": _why, "suggest": _suggest,
    "attach": _attach, "runs": _runs, "generate": _generate, "data": _data, "export": _export,
    "pause": _ask, "resume": _ask, "stop": _ask, "checkpoint": _ask, "set": _ask,
    "doctor": _doctor,
}  # fmt: skip
_TABLE = {command.name: _in_terminal(command) for command in (*_OWN, *COMMANDS.values())}
_COMMANDS: dict[str, tuple[Command, Action]] = {name: (_TABLE[name], action) for name, action in _ACTIONS.items()}

if __name__ == "__main__":
    sys.exit(main())

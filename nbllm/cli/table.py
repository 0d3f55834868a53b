"""Every command of the terminal with what it does: those of the notebook, and the terminal's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from nbllm.cli import looking, runs, studio, talking, tour
from nbllm.magics.command import Command, Flag
from nbllm.magics.commands import COMMANDS as MAGICS
from nbllm.magics.parse import Parsed
from nbllm.magics.tables import auditing
from nbllm.magics.tables import looking as looking_table

Action = Callable[[Command, Parsed], int | None]

_OWN = (
    Command(
        "demo",
        "",
        "Run the first notebook of the tour and leave the page it makes.",
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


_ACTIONS: dict[str, Action] = {
    "demo": tour.demo, "lab": tour.lab, "tour": tour.tour, "predict": looking.predict, "task": looking.task,
    "config": studio.config, "studio": studio.studio, "playground": looking.playground, "chat": talking.chat,
    "train": runs.train, "learning_curve": runs.learning_curve, "compare": runs.compare,
    **{command.name: looking.look for command in looking_table.TABLE},
    **{command.name: looking.audit for command in auditing.TABLE},
    "lr_find": runs.lr_find, "cost": runs.cost, "report": runs.report, "why": runs.why, "suggest": runs.suggest,
    "attach": runs.attach, "runs": runs.runs, "generate": looking.generate, "data": runs.data, "export": runs.export,
    "pause": runs.ask, "resume": runs.ask, "stop": runs.ask, "checkpoint": runs.ask, "set": runs.ask,
    "doctor": runs.doctor,
}  # fmt: skip
_TABLE = {command.name: _in_terminal(command) for command in (*_OWN, *MAGICS.values())}
COMMANDS: dict[str, tuple[Command, Action]] = {name: (_TABLE[name], action) for name, action in _ACTIONS.items()}

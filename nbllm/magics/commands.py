"""All commands: the one table that parsing, help, completion and the command line read."""

from __future__ import annotations

from nbllm.magics.command import Command
from nbllm.magics.tables import auditing, coding, looking, runs, studio, tasks, training, writing

_TABLES = (
    *(training.TABLE, writing.TABLE, studio.TABLE, runs.TABLE, looking.TABLE),
    *(auditing.TABLE, tasks.TABLE, coding.TABLE),
)

COMMANDS: dict[str, Command] = {command.name: command for table in _TABLES for command in table}

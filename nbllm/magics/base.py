"""What all magics share: each parses its line, makes one call to the facade, and shows what comes back."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, needs_local_scope, no_var_expand
from IPython.display import display

from nbllm.errors import RunError
from nbllm.magics.command import help_text
from nbllm.magics.commands import COMMANDS
from nbllm.magics.errors import one_line_errors
from nbllm.magics.parse import Parsed, parse
from nbllm.runners import quota


@dataclass(frozen=True)
class Asked:
    """What a magic is asked: the parsed line, its text, the cell's body, and the variables that {{name}} may mean."""

    parsed: Parsed
    line: str
    cell: str | None
    names: Mapping[str, Any]

    @property
    def flags(self) -> dict[str, Any]:
        """The flags of the line."""
        return self.parsed.flags


def magic(call: Callable[[Any, Asked], Any]) -> Any:
    """Decorator: the method `llm_NAME(self, asked)` as the magic of the command NAME.

    The line is parsed first; one that asks for help gets it, and no call is made. An error is one line. Whether the
    magic takes a cell stands in the table of commands, as does its help.
    """
    command = COMMANDS[call.__name__.removeprefix("llm_")]

    def said(self: Base, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        names = ChainMap(dict(local_ns or {}), self.shell.user_ns)  # a function's own before the notebook's
        parsed = parse(command, line, names)
        if parsed.help:
            print(help_text(command), end="")
            return None
        return call(self, Asked(parsed, line, cell, names))

    said.__name__ = call.__name__  # IPython goes by it
    said.__doc__ = help_text(command)
    kind = line_cell_magic if command.cell else line_magic
    return no_var_expand(needs_local_scope(kind(one_line_errors(said))))


class Base(Magics):
    """A class of magics: methods under `@magic`, which take what is asked."""

    shell: InteractiveShell

    def _trained(self, run: Any, wait: bool) -> Any:
        """Show a run that was begun, and wait for it where that was asked."""
        display(run.dashboard())
        if nearly_full := quota.note():
            print(nearly_full)
        if wait:
            run.wait()
        if (state := run.state) in ("failed", "lost"):
            raise RunError(f"Run '{run.name}' {'failed' if state == 'failed' else 'is lost'}: {run.error}")
        return self._quiet(run)

    def _quiet(self, thing: Any) -> Any:
        """The same thing, not shown again by the cell that has shown it; afterwards it shows itself as ever."""

        def speak_again(*_: Any) -> None:
            self.shell.events.unregister("post_run_cell", speak_again)
            vars(thing).pop("_ipython_display_", None)

        vars(thing)["_ipython_display_"] = lambda: None
        self.shell.events.register("post_run_cell", speak_again)
        return thing

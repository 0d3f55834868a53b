"""What all magics share: each parses its line, makes one call to the facade, and shows what comes back."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics
from IPython.display import display

from nbllm.errors import RunError
from nbllm.magics.command import help_text
from nbllm.magics.commands import COMMANDS
from nbllm.magics.parse import Parsed, parse
from nbllm.runners import quota


class Base(Magics):
    """A class of magics; their docstrings come from the table of commands."""

    shell: InteractiveShell

    @classmethod
    def documented(cls) -> type[Base]:
        """The class, each of its magics with the help of its command."""
        for name, command in COMMANDS.items():
            if magic := vars(cls).get(f"llm_{name}"):
                magic.__doc__ = help_text(command)
        return cls

    def _names(self, local_ns: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The variables that {{name}} may mean: a function's own before the notebook's."""
        return ChainMap(dict(local_ns or {}), self.shell.user_ns)

    def _parse(self, command: str, line: str, names: Mapping[str, Any]) -> Parsed | None:
        """The parsed line; None where it asked for help, which is printed."""
        parsed = parse(COMMANDS[command], line, names)
        if parsed.help:
            print(help_text(COMMANDS[command]), end="")
            return None
        return parsed

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

"""The magics of models: looking inside, responsible use, the tasks, help while coding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from IPython.core.magic import line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display

from nbllm.errors import ConfigError
from nbllm.magics.applied import apply
from nbllm.magics.audits import audit
from nbllm.magics.base import Base
from nbllm.magics.coding import complete_cell, explain
from nbllm.magics.commands import COMMANDS
from nbllm.magics.errors import one_line_errors
from nbllm.magics.live_line import LiveLine
from nbllm.magics.requests import look


def _looks(command: str) -> Any:
    """The magic of a command that asks a model about a text, and shows what it says."""

    def magic(self: ModelMagics, line: str, cell: str | None = None, local_ns: Any = None) -> Any:
        return self._look(command, line, cell, local_ns)

    magic.__name__ = f"llm_{command}"  # IPython goes by it
    kind = line_cell_magic if COMMANDS[command].cell else line_magic
    return no_var_expand(needs_local_scope(kind(one_line_errors(magic))))


def _audits(command: str) -> Any:
    """The magic of a command of responsible use, which shows what it found."""

    def magic(self: ModelMagics, line: str, local_ns: Any = None) -> Any:
        return self._audit(command, line, local_ns)

    magic.__name__ = f"llm_{command}"  # IPython goes by it
    return no_var_expand(needs_local_scope(line_magic(one_line_errors(magic))))


@magics_class
class ModelMagics(Base):
    """%llm_attention, %llm_bias, %llm_task and their kin: what a model is asked."""

    llm_attention = _looks("attention")
    llm_predictions = _looks("predictions")
    llm_influence = _looks("influence")
    llm_gates = _looks("gates")
    llm_units = _looks("units")
    llm_filters = _looks("filters")
    llm_latent_map = _looks("latent_map")
    llm_lens = _looks("lens")
    llm_tokens = _looks("tokens")
    llm_embeddings = _looks("embeddings")
    llm_similarity = _looks("similarity")

    llm_bias = _audits("bias")
    llm_toxicity = _audits("toxicity")
    llm_robustness = _audits("robustness")
    llm_balance = _audits("balance")
    llm_memorization = _audits("memorization")
    llm_exposure = _audits("exposure")
    llm_membership = _audits("membership")
    llm_scan = _audits("scan")

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @one_line_errors
    def llm_task(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        names = self._names(local_ns)
        parsed = self._parse("task", line, names)
        if parsed is None:
            return None
        from nbllm.dashboards import tasks

        with LiveLine(self.shell, str(parsed.names[0])) as line_shown:
            done = apply(parsed, cell, names, f"%llm_task {line}".strip(), line_shown.say)
        if done.kind == "train":
            return self._trained(done.found, bool(parsed.flags.get("wait")))
        tasks.show(done)
        return self._quiet(done.found)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_playground(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("playground", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        return api.playground(*parsed.names)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @one_line_errors
    def llm_complete(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("complete", line, self._names(local_ns))
        if parsed is None:
            return None
        if cell is None:
            raise ConfigError("There is no code to complete.", "Write %%llm_complete as a cell's first line.")
        found = complete_cell(parsed, cell)
        self.shell.set_next_input(found.whole)
        print(f"Written by a model ({found.probability:.0%} sure of a token), not run: read the next cell first.")
        return self._quiet(found)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_explain(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        names = self._names(local_ns)
        parsed = self._parse("explain", line, names)
        return None if parsed is None else explain(parsed, names)

    def _audit(self, command: str, line: str, local_ns: Mapping[str, Any] | None) -> Any:
        """Ask about responsible use, and show what was found."""
        parsed = self._parse(command, line, self._names(local_ns))
        if parsed is None:
            return None
        found = audit(COMMANDS[command], parsed)
        display(found)
        return self._quiet(found)

    def _look(self, command: str, line: str, cell: str | None, local_ns: Mapping[str, Any] | None) -> Any:
        """Ask a model about a text, and show what it says."""
        names = self._names(local_ns)
        parsed = self._parse(command, line, names)
        if parsed is None:
            return None
        found = look(COMMANDS[command], parsed, cell, names)
        from nbllm.dashboards.looking import show

        show(found)
        return self._quiet(found)

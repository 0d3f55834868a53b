"""The magics of models: looking inside, responsible use, the tasks, help while coding."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import magics_class
from IPython.display import display

from nbllm.errors import ConfigError
from nbllm.magics.applied import apply
from nbllm.magics.audits import audit
from nbllm.magics.base import Asked, Base, magic
from nbllm.magics.coding import complete_cell, explain
from nbllm.magics.commands import COMMANDS
from nbllm.magics.live_line import LiveLine
from nbllm.magics.requests import look


def _looks(name: str) -> Any:
    """The magic of a command that asks a model about a text, and shows what it says."""

    def call(self: ModelMagics, asked: Asked) -> Any:
        from nbllm.dashboards.looking import show

        found = look(COMMANDS[name], asked.parsed, asked.cell, asked.names)
        show(found)
        return self._quiet(found)

    call.__name__ = f"llm_{name}"
    return magic(call)


def _audits(name: str) -> Any:
    """The magic of a command of responsible use, which shows what it found."""

    def call(self: ModelMagics, asked: Asked) -> Any:
        found = audit(COMMANDS[name], asked.parsed)
        display(found)
        return self._quiet(found)

    call.__name__ = f"llm_{name}"
    return magic(call)


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

    @magic
    def llm_task(self, asked: Asked) -> Any:
        from nbllm.dashboards import tasks

        with LiveLine(self.shell, str(asked.parsed.names[0])) as line:
            done = apply(asked.parsed, asked.cell, asked.names, f"%llm_task {asked.line}".strip(), line.say)
        if done.kind == "train":
            return self._trained(done.found, bool(asked.flags.get("wait")))
        tasks.show(done)
        return self._quiet(done.found)

    @magic
    def llm_playground(self, asked: Asked) -> Any:
        from nbllm import api

        return api.playground(*asked.parsed.names)

    @magic
    def llm_chat(self, asked: Asked) -> Any:
        from nbllm import api

        return api.chat(*asked.parsed.names, **asked.flags)

    @magic
    def llm_complete(self, asked: Asked) -> Any:
        if asked.cell is None:
            raise ConfigError("There is no code to complete.", "Write %%llm_complete as a cell's first line.")
        found = complete_cell(asked.parsed, asked.cell)
        self.shell.set_next_input(found.whole)
        print(f"Written by a model ({found.probability:.0%} sure of a token), not run: read the next cell first.")
        return self._quiet(found)

    @magic
    def llm_explain(self, asked: Asked) -> Any:
        found = explain(asked.parsed, asked.names)
        if found.whole:
            self.shell.set_next_input(found.whole)
        return found

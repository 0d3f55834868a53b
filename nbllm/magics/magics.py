"""The magics: each parses its line, makes one call to the facade, and shows what comes back.

`import nbllm` and this module are quick; torch, pandas and plotly are imported by the calls that need them.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display

from nbllm.config import resolve
from nbllm.dashboards.tiers import tier
from nbllm.errors import ConfigError, RunError
from nbllm.magics.applied import apply
from nbllm.magics.audits import audit
from nbllm.magics.coding import complete_cell, explain
from nbllm.magics.command import help_text
from nbllm.magics.commands import COMMANDS
from nbllm.magics.errors import one_line_errors
from nbllm.magics.layers import config_layers
from nbllm.magics.live_line import LiveLine
from nbllm.magics.live_text import LiveText, Texts
from nbllm.magics.parse import Parsed, parse
from nbllm.magics.preview import PreviewView
from nbllm.magics.requests import (
    ask,
    carry_out,
    cost,
    look,
    preview_arguments,
    report,
    run_and_prompt,
    run_name,
    sampling,
    series_arguments,
    suggest_arguments,
)
from nbllm.magics.streaming import stream_generation
from nbllm.runners import quota


def _looks(command: str) -> Any:
    """The magic of a command that asks a model about a text, and shows what it says."""

    def magic(self: NbllmMagics, line: str, cell: str | None = None, local_ns: Any = None) -> Any:
        return self._look(command, line, cell, local_ns)

    magic.__name__ = f"llm_{command}"  # IPython goes by it
    kind = line_cell_magic if COMMANDS[command].cell else line_magic
    return no_var_expand(needs_local_scope(kind(one_line_errors(magic))))


def _audits(command: str) -> Any:
    """The magic of a command of responsible use, which shows what it found."""

    def magic(self: NbllmMagics, line: str, local_ns: Any = None) -> Any:
        return self._audit(command, line, local_ns)

    magic.__name__ = f"llm_{command}"  # IPython goes by it
    return no_var_expand(needs_local_scope(line_magic(one_line_errors(magic))))


@magics_class
class NbllmMagics(Magics):
    """%llm_train, %llm_generate and their kin. Their docstrings come from the table of commands."""

    shell: InteractiveShell

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @one_line_errors
    def llm_train(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        names = self._names(local_ns)
        parsed = self._parse("train", line, names)
        if parsed is None:
            return None
        from nbllm import api

        name = run_name(parsed)
        flags = parsed.flags
        layers, data_object = config_layers(parsed, cell or "", names)
        resume = bool(flags.get("resume"))
        resolve(layers)  # a wrong key or value is said before anything else is looked at, as is a wrong $NBLLM_DISPLAY
        tier()
        if "seeds" in flags:
            return self._series(
                api.repeat_layers(name, layers, flags["seeds"], **series_arguments("train", line, flags, data_object)),
                flags,
            )
        run = api.train_layers(
            name,
            layers,
            data_object=data_object,
            runner=flags.get("runner", "process"),
            resume=resume,
            replace=bool(flags.get("replace")),
            command=f"%llm_train {line}".strip(),
        )
        return self._trained(run, bool(flags.get("wait")))

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @one_line_errors
    def llm_generate(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        names = self._names(local_ns)
        parsed = self._parse("generate", line, names)
        if parsed is None:
            return None
        from nbllm import api

        run, prompt = run_and_prompt(parsed, cell, names)
        settings = sampling(parsed)
        model = api.load(run, step=settings.pop("step", None))
        if settings.get("samples", 1) != 1:
            return Texts(model.generate(prompt, **settings))
        settings.pop("samples", None)
        if "beams" in settings:
            return model.generate(prompt, **settings)
        return self._quiet(self._stream(model, prompt, settings))

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @one_line_errors
    def llm_learning_curve(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        names = self._names(local_ns)
        parsed = self._parse("learning_curve", line, names)
        if parsed is None:
            return None
        from nbllm import api

        layers, data_object = config_layers(parsed, cell or "", names)
        flags = parsed.flags
        settings = series_arguments("learning_curve", line, flags, data_object)
        if "fractions" in flags:
            settings["fractions"] = flags["fractions"]
        return self._series(api.learning_curve_layers(run_name(parsed), layers, **settings), flags)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @one_line_errors
    def llm_lr_find(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        names = self._names(local_ns)
        parsed = self._parse("lr_find", line, names)
        if parsed is None:
            return None
        from nbllm import api

        layers, data_object = config_layers(parsed, cell or "", names)
        bounds = {key: parsed.flags[key] for key in ("steps", "seconds") if key in parsed.flags}
        with LiveLine(self.shell, "learning-rate test") as line_shown:
            found = api.find_lr_layers(run_name(parsed), layers, data_object=data_object, say=line_shown.say, **bounds)
            line_shown.finish(found)
        return self._quiet(found) if line_shown.showed else found

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_compare(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("compare", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        return api.compare(*parsed.names, sort=parsed.flags.get("sort"))

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_cost(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("cost", line, self._names(local_ns))
        if parsed is None:
            return None
        with LiveLine(self.shell, "cost") as line_shown:
            found = cost(parsed, line_shown.say)
        display(found)
        return self._quiet(found)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_report(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("report", line, self._names(local_ns))
        return None if parsed is None else report(parsed)

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

    def _series(self, series: Any, flags: Mapping[str, Any]) -> Any:
        """Show runs that belong together, and wait for them where that was asked."""
        display(series)
        if flags.get("wait"):
            series.wait()
        return self._quiet(series)

    def _stream(self, model: Any, prompt: str, settings: dict[str, Any]) -> Any:
        shown = LiveText(self.shell, prompt + model.joint)
        try:
            result = stream_generation(model, prompt, shown.add, **settings)
        except BaseException:
            shown.flush()  # what was written before an interrupt stays
            raise
        shown.finish(result)
        return result

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_runs(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("runs", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        for said in carry_out(COMMANDS["runs"], parsed.flags):
            print(said)
        return api.runs()

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_attach(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("attach", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        run = api.attach(run_name(parsed) or "last")
        display(run.dashboard())
        return self._quiet(run)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_pause(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        self._command("pause", line, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_resume(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        self._command("resume", line, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_stop(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        self._command("stop", line, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_checkpoint(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        self._command("checkpoint", line, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_set(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        self._command("set", line, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_data(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("data", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        source, settings = preview_arguments(parsed)
        return PreviewView(api.preview(source, **settings))

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_export(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        parsed = self._parse("export", line, self._names(local_ns))
        if parsed is None:
            return
        from nbllm import api

        print(api.export(*(str(each) for each in parsed.names), **parsed.flags))

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_suggest(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("suggest", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        with LiveLine(self.shell, "suggestion") as line_shown:
            found = api.suggest_layers(**suggest_arguments(parsed, line), say=line_shown.say)
            line_shown.finish(found)
        return self._quiet(found) if line_shown.showed else found

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_why(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("why", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        return api.why(run_name(parsed) or "last")

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_doctor(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        if self._parse("doctor", line, self._names(local_ns)) is None:
            return None
        from nbllm import api

        return api.doctor()

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

    def _command(self, command: str, line: str, local_ns: Mapping[str, Any] | None) -> None:
        """Ask a run for something, and say so."""
        parsed = self._parse(command, line, self._names(local_ns))
        if parsed is not None:
            print(ask(COMMANDS[command], parsed))

    def _quiet(self, thing: Any) -> Any:
        """The same thing, not shown again by the cell that has shown it; afterwards it shows itself as ever."""

        def speak_again(*_: Any) -> None:
            self.shell.events.unregister("post_run_cell", speak_again)
            vars(thing).pop("_ipython_display_", None)

        vars(thing)["_ipython_display_"] = lambda: None
        self.shell.events.register("post_run_cell", speak_again)
        return thing


for _name, _command in COMMANDS.items():
    getattr(NbllmMagics, f"llm_{_name}").__doc__ = help_text(_command)

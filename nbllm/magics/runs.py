"""The magics of runs: training, writing, comparing, controlling.

`import nbllm` and this module are quick; torch, pandas and plotly are imported by the calls that need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from IPython.core.magic import line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display

from nbllm.config import resolve
from nbllm.dashboards.tiers import tier
from nbllm.magics.base import Base
from nbllm.magics.commands import COMMANDS
from nbllm.magics.errors import one_line_errors
from nbllm.magics.layers import config_layers
from nbllm.magics.live_line import LiveLine
from nbllm.magics.live_text import LiveText, Texts
from nbllm.magics.preview import PreviewView
from nbllm.magics.requests import (
    ask,
    carry_out,
    cost,
    preview_arguments,
    report,
    run_and_prompt,
    run_name,
    sampling,
    series_arguments,
    suggest_arguments,
)
from nbllm.magics.streaming import stream_generation


@magics_class
class RunMagics(Base):
    """%llm_train, %llm_generate and their kin: what makes runs, and what is done with them."""

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

    def _command(self, command: str, line: str, local_ns: Mapping[str, Any] | None) -> None:
        """Ask a run for something, and say so."""
        parsed = self._parse(command, line, self._names(local_ns))
        if parsed is not None:
            print(ask(COMMANDS[command], parsed))

"""The magics: each parses its line, makes one call to the facade, and shows what comes back.

`import nbllm` and this module are quick; torch, pandas and plotly are imported by the calls that need them.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display

from nbllm.errors import ConfigError, RunError
from nbllm.magics.commands import COMMANDS, help_text
from nbllm.magics.errors import one_line_errors
from nbllm.magics.expand import expand_prompt
from nbllm.magics.layers import config_layers
from nbllm.magics.live_text import LiveText, stream_generation
from nbllm.magics.parse import Parsed, parse
from nbllm.magics.preview import PreviewView
from nbllm.magics.settings import NbLLM


@magics_class
class NbllmMagics(Magics):
    """%llm_train, %llm_generate and their kin. Their docstrings come from the table of commands."""

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

        name = _run_name(parsed)
        flags = parsed.flags
        layers, data_object = config_layers(parsed, cell or "", names)
        resume = bool(flags.get("resume"))
        run = api.train_layers(
            name,
            layers if resume else [*NbLLM.instance().layers(), *layers],
            data_object=data_object,
            runner=flags.get("runner", "process"),
            resume=resume,
            replace=bool(flags.get("replace")),
            command=f"%llm_train {line}".strip(),
        )
        display(run.dashboard())
        if flags.get("wait"):
            run.wait()
        if run.state == "failed":
            raise RunError(f"Run '{run.name}' failed: {run.error}")
        return self._quiet(run)

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

        run, prompt = _run_and_prompt(parsed, cell, names)
        settings = dict(parsed.flags)
        model = api.load(run, step=settings.pop("step", None))
        if "stop" in settings:
            settings["stop"] = [_newlines(text) for text in settings["stop"]]
        if settings.get("samples", 1) != 1:
            return model.generate(prompt, **settings)
        settings.pop("samples", None)
        return self._quiet(self._stream(model, prompt, settings))

    def _stream(self, model: Any, prompt: str, settings: dict[str, Any]) -> Any:
        shown = LiveText(self.shell, prompt)
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
        from nbllm.magics.upkeep import carry_out

        for said in carry_out(parsed.flags):
            print(said)
        return api.runs()

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_attach(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        run = self._run("attach", line, local_ns)
        if run is None:
            return None
        display(run.dashboard())
        return self._quiet(run)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_pause(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        if run := self._run("pause", line, local_ns):
            run.pause()
            print(f"Asked {run.name} to pause. Go on: %llm_resume {run.name}")

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_resume(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        if run := self._run("resume", line, local_ns):
            run.resume()
            print(f"{run.name} goes on. Watch it: %llm_attach {run.name}")

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_stop(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        if run := self._run("stop", line, local_ns):
            run.stop()
            print(f"Asked {run.name} to stop; it keeps a checkpoint. Go on later: %llm_resume {run.name}")

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_checkpoint(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        if run := self._run("checkpoint", line, local_ns):
            run.checkpoint()
            print(f"Asked {run.name} for a checkpoint.")

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_set(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        parsed = self._parse("set", line, self._names(local_ns))
        if parsed is None:
            return
        if not parsed.flags:
            raise ConfigError("%llm_set has nothing to set.", "Write %llm_set NAME lr=1e-3 or steps=2000.")
        run = self._attached(parsed)
        run.set(**parsed.flags)
        said = ", ".join(f"{key} {value:g}" for key, value in parsed.flags.items())
        print(f"Asked {run.name} for {said}.")

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_data(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        parsed = self._parse("data", line, self._names(local_ns))
        if parsed is None:
            return None
        from nbllm import api

        return PreviewView(api.preview(parsed.names[0], **parsed.settings))

    @no_var_expand
    @needs_local_scope
    @line_magic
    @one_line_errors
    def llm_export(self, line: str, local_ns: Mapping[str, Any] | None = None) -> None:
        parsed = self._parse("export", line, self._names(local_ns))
        if parsed is None:
            return
        from nbllm import api

        name, folder = (str(each) for each in parsed.names)
        api.attach(name).export(Path(folder).expanduser())
        print(f"Wrote {folder}. Load it: AutoModelForCausalLM.from_pretrained({folder!r})")

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

    def _run(self, command: str, line: str, local_ns: Mapping[str, Any] | None) -> Any:
        parsed = self._parse(command, line, self._names(local_ns))
        return None if parsed is None else self._attached(parsed)

    def _attached(self, parsed: Parsed) -> Any:
        from nbllm import api

        return api.attach(str(parsed.names[0]) if parsed.names else "last")

    def _quiet(self, thing: Any) -> Any:
        """The same thing, not shown again by the cell that has shown it; afterwards it shows itself as ever."""

        def speak_again(*_: Any) -> None:
            self.shell.events.unregister("post_run_cell", speak_again)
            vars(thing).pop("_ipython_display_", None)

        vars(thing)["_ipython_display_"] = lambda: None
        self.shell.events.register("post_run_cell", speak_again)
        return thing


def _run_name(parsed: Parsed) -> str | None:
    """The run's name: the first word, or --name."""
    word = str(parsed.names[0]) if parsed.names else None
    flag = parsed.flags.get("name")
    if word and flag and word != flag:
        raise ConfigError(f"The run is called '{word}' and '{flag}'.", "Keep one of the two names.")
    return word or (None if flag is None else str(flag))


def _run_and_prompt(parsed: Parsed, cell: str | None, names: Mapping[str, Any]) -> tuple[str, str]:
    """Which run is asked, and the text to go on from: the rest of the line, or the body of the cell."""
    if cell is not None:
        if len(parsed.names) > 1:
            raise ConfigError("A prompt stands in the line and in the cell.", "Keep one of the two.")
        return str(parsed.names[0]) if parsed.names else "last", expand_prompt(cell.removesuffix("\n"), names)
    if not parsed.names:
        raise ConfigError("%llm_generate has no run.", 'Write %llm_generate RUN "prompt", as in %llm_generate last "The "')
    run, *prompt = (str(each) for each in parsed.names)
    return run, _newlines(" ".join(prompt))


def _newlines(text: str) -> str:
    """A line of a cell cannot hold a line break: `\\n` and `\\t` are typed for them."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


for _name, _command in COMMANDS.items():
    getattr(NbllmMagics, f"llm_{_name}").__doc__ = help_text(_command)

"""The magics of runs: training, writing, comparing, controlling.

`import nbllm` and this module are quick; torch, pandas and plotly are imported by the calls that need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from IPython.core.magic import magics_class
from IPython.display import display

from nbllm.magics.base import Asked, Base, magic
from nbllm.magics.cells import begin
from nbllm.magics.commands import COMMANDS
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

    @magic
    def llm_train(self, asked: Asked) -> Any:
        made = begin(asked.parsed, asked.cell or "", asked.names, asked.line)
        if "seeds" in asked.flags:
            return self._series(made, asked.flags)
        return self._trained(made, bool(asked.flags.get("wait")))

    @magic
    def llm_generate(self, asked: Asked) -> Any:
        from nbllm import api

        run, prompt = run_and_prompt(asked.parsed, asked.cell, asked.names)
        settings = sampling(asked.parsed)
        model = api.load(run, step=settings.pop("step", None), weights=settings.pop("weights", "float32"))
        if settings.get("samples", 1) != 1:
            return Texts(model.generate(prompt, **settings))
        settings.pop("samples", None)
        if "beams" in settings:
            return model.generate(prompt, **settings)
        return self._quiet(self._stream(model, prompt, settings))

    @magic
    def llm_learning_curve(self, asked: Asked) -> Any:
        from nbllm import api

        layers, data_object = config_layers(asked.parsed, asked.cell or "", asked.names)
        settings = series_arguments("learning_curve", asked.line, asked.flags, data_object)
        if "fractions" in asked.flags:
            settings["fractions"] = asked.flags["fractions"]
        return self._series(api.learning_curve_layers(run_name(asked.parsed), layers, **settings), asked.flags)

    @magic
    def llm_lr_find(self, asked: Asked) -> Any:
        from nbllm import api

        layers, data_object = config_layers(asked.parsed, asked.cell or "", asked.names)
        bounds = {key: asked.flags[key] for key in ("steps", "seconds") if key in asked.flags}
        name = run_name(asked.parsed)
        with LiveLine(self.shell, "learning-rate test") as line:
            found = api.find_lr_layers(name, layers, data_object=data_object, say=line.say, **bounds)
            line.finish(found)
        return self._quiet(found) if line.showed else found

    @magic
    def llm_compare(self, asked: Asked) -> Any:
        from nbllm import api

        return api.compare(*asked.parsed.names, sort=asked.flags.get("sort"))

    @magic
    def llm_cost(self, asked: Asked) -> Any:
        with LiveLine(self.shell, "cost") as line:
            found = cost(asked.parsed, line.say)
        display(found)
        return self._quiet(found)

    @magic
    def llm_report(self, asked: Asked) -> Any:
        return report(asked.parsed)

    @magic
    def llm_runs(self, asked: Asked) -> Any:
        from nbllm import api

        for said in carry_out(COMMANDS["runs"], asked.flags):
            print(said)
        found = api.runs()
        if not len(found):
            print("No run yet. Train one: %llm_train")
        return found

    @magic
    def llm_attach(self, asked: Asked) -> Any:
        from nbllm import api

        run = api.attach(run_name(asked.parsed) or "last")
        display(run.dashboard())
        return self._quiet(run)

    @magic
    def llm_pause(self, asked: Asked) -> None:
        print(ask(COMMANDS["pause"], asked.parsed))

    @magic
    def llm_resume(self, asked: Asked) -> None:
        print(ask(COMMANDS["resume"], asked.parsed))

    @magic
    def llm_stop(self, asked: Asked) -> None:
        print(ask(COMMANDS["stop"], asked.parsed))

    @magic
    def llm_checkpoint(self, asked: Asked) -> None:
        print(ask(COMMANDS["checkpoint"], asked.parsed))

    @magic
    def llm_set(self, asked: Asked) -> None:
        print(ask(COMMANDS["set"], asked.parsed))

    @magic
    def llm_data(self, asked: Asked) -> Any:
        from nbllm import api

        source, settings = preview_arguments(asked.parsed)
        return PreviewView(api.preview(source, **settings))

    @magic
    def llm_export(self, asked: Asked) -> None:
        from nbllm import api

        print(api.export(*(str(each) for each in asked.parsed.names), **asked.flags))

    @magic
    def llm_suggest(self, asked: Asked) -> Any:
        from nbllm import api

        with LiveLine(self.shell, "suggestion") as line:
            found = api.suggest_layers(**suggest_arguments(asked.parsed, asked.line), say=line.say)
            line.finish(found)
        return self._quiet(found) if line.showed else found

    @magic
    def llm_why(self, asked: Asked) -> Any:
        from nbllm import api

        return api.why(run_name(asked.parsed) or "last")

    @magic
    def llm_doctor(self, asked: Asked) -> Any:
        from nbllm import api

        return api.doctor()

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

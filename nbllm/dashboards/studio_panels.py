"""The tabs of the studio: each opens a panel that exists, of the run that is chosen. None is made unseen.

A panel is a function of the studio that gives back the widgets of its tab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import goal_of
from nbllm.dashboards.shown import close
from nbllm.dashboards.studio_ask import Ask
from nbllm.errors import RunError

if TYPE_CHECKING:
    from nbllm.dashboards.studio_widget import Studio

_PROMPT = "The "
_LOOKS = {
    "attention": "attention", "predictions": "what was expected at each place",
    "influence": "which token moved which answer",
    "gates": "gates and states", "filters": "filters", "embeddings": "a map of the tokens",
}  # fmt: skip


def configure(studio: Studio) -> list[Any]:
    """The form. A run that it begins is chosen, and watched."""
    from nbllm.dashboards.form import configure as form

    return [form().widget(on_start=studio.started)]


def watch(studio: Studio) -> list[Any]:
    """The live dashboard of the run."""
    from nbllm.dashboards.live import Dashboard

    return [Dashboard(studio.chosen()).widget()]


def sample(studio: Studio) -> list[Any]:
    """The lens, in which the model goes on from a prompt; of a model that does not go on with a text, its answer."""
    run = studio.chosen()
    head, prompt = goal_of(run.config.objective).head, run.config.sample.prompt or _PROMPT
    if head == "next":
        return [studio.model().lens(prompt, temperature=run.config.sample.temperature).widget()]
    below = _box()

    def act(key: str, values: Mapping[str, Any]) -> str:
        model, asked = studio.model(), str(values["prompt"])
        answers: dict[str, Callable[[str], Any]] = {
            "labels": model.classify, "tags": model.mark, "masked": model.fill,
        }  # fmt: skip
        answer = answers.get(head, model.generate)
        put(below, [shown(answer(asked))])
        return ""

    texts = {"target": "source", "masked": "text with <mask>"}
    field = {"name": "prompt", "label": texts.get(head, "text"), "kind": "long", "value": prompt}
    return [Ask(f"Ask {run.name}", [field], [("write", "Answer")], act), below]


def look(studio: Studio) -> list[Any]:
    """Attention, predictions, influence, states: of a text, or of the maps that were kept while training."""
    below = _box()
    run = studio.chosen()
    mixers = run.config.model.all_mixers()
    fitting = {
        "attention": "attention" in mixers,
        "gates": bool(mixers & {"rnn", "lstm", "gru"}),
        "filters": "conv" in mixers,
    }
    choices = [[key, text] for key, text in _LOOKS.items() if fitting.get(key, True)]

    def act(key: str, values: Mapping[str, Any]) -> str:
        what, text = str(values["what"]), str(values["text"])
        if what == "attention":
            source = run.explore(text or None)
            put(below, [source.widget()])
            return "" if text else "These are the maps that were kept while it trained: the slider goes over the steps."
        model = studio.model()
        found = model.embeddings().map() if what == "embeddings" else getattr(model, what)(text or _PROMPT)
        put(below, [shown(found)])
        return ""

    fields: list[dict[str, Any]] = [
        {"name": "what", "label": "look at", "kind": "choice", "choices": choices, "value": choices[0][0]},
        {"name": "text", "label": "text", "kind": "long", "value": "", "help": "empty: what was kept while training"},
    ]
    return [Ask(f"Look inside {run.name}", fields, [("look", "Look")], act), below]


def tasks(studio: Studio) -> list[Any]:
    """The playground."""
    from nbllm.dashboards.playground import playground

    return [playground().widget()]


def compare(studio: Studio) -> list[Any]:
    """Runs over each other."""
    from nbllm.handles.compare import compare as comparison

    below = _box()

    def act(key: str, values: Mapping[str, Any]) -> str:
        names = [str(name) for name in values["runs"]]
        if not names:
            raise RunError("No run is chosen.", "Choose two or more.")
        put(below, [shown(comparison(*names))])
        return ""

    names = [name for name, _ in studio.bar.runs]
    broken = [name for name, said in studio.bar.runs if said.endswith(("(failed)", "(lost)"))]
    first = sorted(names, key=lambda name: (name in broken, name != studio.bar.run))  # else the newest first
    field = {
        "name": "runs",
        "label": "runs",
        "kind": "many",
        "choices": [[name, name] for name in names],
        "value": first[:2],
    }
    ask = Ask("Compare runs", [field], [("compare", "Compare")], act)
    return [ask, below]


def export(studio: Studio) -> list[Any]:
    """The report of the run, its folder for Hugging Face, or all of it in one file."""
    run = studio.chosen()

    def act(key: str, values: Mapping[str, Any]) -> str:
        if key == "report":
            page = Path(run.report(str(values["report"])))
            ask.offer(page)
            return f"Wrote {page}."
        if key == "export":
            return str(run.export(str(values["folder"])))
        file = Path(run.pack(str(values["file"])))
        ask.offer(file)
        return f"Wrote {file}. On another machine: %llm_runs --unpack {file.name}"

    fields = [
        {
            "name": "report",
            "label": "report",
            "kind": "text",
            "value": f"{run.name}.html",
            "help": "one page of all that is known",
        },
        {
            "name": "folder",
            "label": "for transformers",
            "kind": "text",
            "value": f"{run.name}-hf",
            "help": "a folder for Hugging Face",
        },
        {
            "name": "file",
            "label": "whole run",
            "kind": "text",
            "value": f"{run.name}.zip",
            "help": "to go on with elsewhere",
        },
    ]
    actions = [("report", "Write the report"), ("export", "Export for Hugging Face"), ("pack", "Pack the run")]
    ask = Ask(f"Take {run.name} along", fields, actions, act)
    return [ask]


# A tab: its title, its panel, and whether that is of the chosen run.
TABS: dict[str, tuple[str, Any, bool]] = {
    "configure": ("Configure", configure, False),
    "watch": ("Watch", watch, True),
    "sample": ("Sample", sample, True),
    "look": ("Look inside", look, True),
    "tasks": ("Tasks", tasks, False),
    "compare": ("Compare", compare, False),
    "export": ("Report and export", export, True),
}


def put(box: Any, widgets: list[Any]) -> None:
    """Other widgets in a box; those that stood there are let go of."""
    before = box.children
    box.children = tuple(widgets)
    for widget in before:
        close(widget)


def shown(thing: Any) -> Any:
    """What a cell would show of a thing, as a widget."""
    import ipywidgets
    from IPython.display import display
    from IPython.utils.capture import capture_output

    from nbllm.dashboards import looking
    from nbllm.dashboards.states import KINDS

    with capture_output() as caught:
        if isinstance(thing, KINDS) or type(thing).__name__ in ("Predictions", "Influence"):
            looking.show(thing)
        else:
            display(thing)
    outputs = [
        {"output_type": "display_data", "data": each.data, "metadata": each.metadata or {}} for each in caught.outputs
    ]
    if caught.stdout:
        outputs.append({"output_type": "stream", "name": "stdout", "text": caught.stdout})
    return ipywidgets.Output(outputs=tuple(outputs))


def _box() -> Any:
    import ipywidgets

    return ipywidgets.VBox([])

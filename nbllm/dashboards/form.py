"""The form that writes the cell: settings with their help and limits, what they will take, and the network drawn.

nbllm.configure()                    an empty form
nbllm.configure("words", model="lstm", size="tiny", steps=200)
form.cell, form.config, form.train()         the same without a page
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nbllm.config import PRESETS, RunConfig
from nbllm.dashboards import form_told
from nbllm.dashboards.form_draft import Draft, is_run, over
from nbllm.dashboards.shown import Shown, saved
from nbllm.errors import NbllmError, RunError
from nbllm.handles.forecast import Forecast
from nbllm.handles.presets import delete_preset, own_values, save_preset
from nbllm.plots.network import network_svg
from nbllm.store.folder import check_name

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.run import Run

__all__ = ["Form", "configure", "delete_preset", "listed"]


class Form(Shown):
    """What `configure` gives: shown by the last line of a cell, or by `show`.

    .cell      the text of the %%llm_train cell that trains what stands in it
    .config    the whole configuration; .forecast what it will take
    .load(text), .set(**settings), .train(), .save_preset(name)    what its buttons do
    """

    _kind = "form"
    last: ClassVar[Form | None] = None
    """The newest form of this kernel."""

    def __init__(self, draft: Draft):
        super().__init__()
        self._draft = draft
        self._widget: Any = None
        Form.last = self

    def __repr__(self) -> str:
        return f"<Form of {self._draft.name or 'a run'}>"

    def __str__(self) -> str:
        return text(self)

    def _page(self) -> str:
        return page(self)

    _repr_html_ = _page

    @property
    def cell(self) -> str:
        """The text of the cell that trains it."""
        return self._draft.cell

    @property
    def config(self) -> RunConfig:
        """The whole configuration. ConfigError where the settings do not go together."""
        return self._draft.config

    @property
    def forecast(self) -> Forecast:
        """What it will take: parameters, memory, tokens, time."""
        return self._draft.forecast

    @property
    def settings(self) -> dict[str, Any]:
        """What is said, by dotted key."""
        return dict(self._draft.values)

    def load(self, text: str) -> Form:
        """Take what a %%llm_train cell, or settings in YAML, say. ConfigError for another text."""
        self._put(Draft.of_cell(text))
        return self

    def set(self, **settings: Any) -> Form:
        """Change settings, by their names as `train` takes them."""
        self._put(Draft(self._draft.name, over(self._draft.values, _asked(settings)), self._draft.flags))
        return self

    def train(self) -> Run:
        """Train it, as its cell would."""
        run: Run = self._draft.begin()
        return run

    def save_preset(self, name: str, *, replace: bool = False) -> Path:
        """Keep the settings under a name that `--preset` takes; gives back the file. ConfigError where it is taken."""
        return save_preset(name, self._draft.values, replace=replace)

    def widget(self, on_start: Callable[[Any], None] | None = None) -> Any:
        """The widget by itself, to be put into a layout of your own. `on_start` is called with a run that was begun;
        without it the run's dashboard stands below the form."""
        import ipywidgets

        from nbllm.dashboards.form_widget import Widget

        if on_start is not None:
            self._widget = Widget(self._draft, on_start)
            return self._widget
        below = ipywidgets.VBox([])
        self._widget = Widget(self._draft, lambda run: _show_below(below, run))
        return ipywidgets.VBox([self._widget, below])

    def _put(self, draft: Draft) -> None:
        if self._widget is None:
            self._draft.become(draft)
        else:
            self._widget._take(draft)


def configure(name: str | None = None, *, preset: str | None = None, **settings: Any) -> Form:
    """A form of the settings of a run, with help, limits, estimates and a drawing; it trains, and writes the cell that
    does the same.

    `settings` are those of `train`, as model="lstm", steps=200 or **{"train.context": 64}. `name` is the run's; where
    a run of that name is there, the form begins with its settings, under another name. `preset` is one of ours, or one
    that a form has kept. An NbllmError says what to write instead.
    """
    if name is not None and is_run(check_name(name)):
        if preset is not None:
            raise RunError(
                f"'{name}' is a run, and brings its own settings.", "Leave out the preset, or take another name."
            )
        draft = Draft.of_run(name)
    else:
        draft = Draft(name)
        if preset is not None:
            draft.take_preset(preset)
    if settings:
        draft = Draft(draft.name, over(draft.values, _asked(settings)))
    return Form(draft)


def listed() -> pd.DataFrame:
    """All presets, a row each: whose it is, its family and what it sets."""
    import pandas as pd

    rows: dict[str, tuple[str, str, str]] = {}
    for name, mine in form_told.presets():
        try:
            values = own_values(name) if mine else PRESETS[name]
        except NbllmError as error:  # a file that another hand has spoiled is listed with its fault
            rows[name] = ("yours", "", str(error))
            continue
        sets = ", ".join(f"{key} {value}" for key, value in values.items() if key not in ("model.kind", "preset"))
        kind = str(values.get("model.kind") or values.get("preset") or "")
        rows[name] = ("yours" if mine else "nbllm's", kind, sets)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["whose", "family", "sets"]).rename_axis("preset")


def page(form: Form) -> str:
    """What a page without widgets shows: the drawing, the estimates, and the cell. All text is escaped."""
    found = form.forecast
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;opacity:.75">{escape(row["name"])}</th>'
        f'<td style="text-align:left"><strong>{escape(row["value"])}</strong></td>'
        f'<td style="text-align:left">{escape(row["note"])}</td></tr>'
        for row in form_told.estimates(found)
    )
    return saved(
        "form",
        f'<table style="margin:4px 0"><caption style="text-align:left">What the '
        f"training will take</caption><tbody>{rows}</tbody></table>"
        f'<p style="margin:6px 0 2px;opacity:.75">The cell that trains it</p>'
        f'<pre style="white-space:pre-wrap;margin:2px 0;user-select:all">{escape(form.cell)}</pre>'
        f"<details><summary>The network</summary>{network_svg(form.config, found.vocabulary)}</details>",
    )


def text(form: Form) -> str:
    """The same as lines of text."""
    rows = form_told.estimates(form.forecast)
    wide = max(len(row["name"]) for row in rows)
    lines = [f"{row['name']:<{wide}}  {row['value']}  {row['note']}".rstrip() for row in rows]
    return "\n".join([*lines, "", form.cell])


def _asked(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as a call gives them, by dotted key."""
    from nbllm.config import asked
    from nbllm.handles.train import call_layers

    data = settings.pop("data", None)
    layers, thing = call_layers(data, settings.pop("config", None), settings)
    if thing is not None:
        raise RunError("A form holds no table.", "Give it a name in a cell, and write data='{{name}}'.")
    return asked(layers)


def _show_below(below: Any, run: Any) -> None:
    """The dashboard of a run, under the form that began it."""
    from nbllm.dashboards.live import Dashboard
    from nbllm.handles.run import Run

    for child in below.children:
        child.close()
    if isinstance(run, Run):
        below.children = (Dashboard(run).widget(),)

"""How what a model was asked is shown under a cell, and in a terminal: attention, predictions, and influence.

A page with Plotly draws the heatmap from data in the notebook, without the kernel; others take the still picture. Under
each stands its table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.dashboards import explorer_still
from nbllm.dashboards.explorer import Explorer
from nbllm.dashboards.lens import Lens
from nbllm.dashboards.meaning import MEANING, meaning_text, show_meaning
from nbllm.dashboards.plain_figure import image, show_figure, show_still
from nbllm.dashboards.states import KINDS, show_states, states_text
from nbllm.dashboards.tables import table
from nbllm.dashboards.tiers import tier
from nbllm.handles.readable import plain
from nbllm.inspection.influence import Influence
from nbllm.inspection.maps import AttentionMaps
from nbllm.inspection.predictions import Predictions
from nbllm.plots.maps import apart, visible

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 512  # of the table of influence
_BESIDE = 3  # tokens in a row of a table


def show(found: Any) -> None:
    """Display attention in its explorer, predictions as a strip, with the lens where layers were asked, or influence as
    a heatmap and a table; any other thing as it shows itself."""
    from IPython.display import display

    if isinstance(found, AttentionMaps):
        found = found.explore()
    if isinstance(found, Explorer | Lens):
        found.show()
        return
    if isinstance(found, KINDS):
        show_states(found)
        return
    if isinstance(found, MEANING):
        show_meaning(found)
        return
    if not isinstance(found, Predictions | Influence):
        display(found)
        return
    if tier() == "text":
        print(text(found))
        return
    if isinstance(found, Predictions):
        display({"text/html": found._repr_html_(), "text/plain": repr(found)}, raw=True)
        if len(found.lens.names) > 1:
            behind = table(_layers(found).iloc[:_ROWS], "What each layer would say of each token", across=True)
            below = f"<details><summary>The layers as a table</summary>{behind}</details>"
            _figure(found, found.picture(), "What each layer would say: the logit lens, .lens_frame()", below)
        return
    _figure(found, found._repr_png_(), repr(found), influence_table(found))


def _figure(found: Any, png: bytes, spoken: str, below: str) -> None:
    """The figure of what was found, live where the page draws Plotly, and its table."""
    if tier() == "widget":
        show_figure(found.figure(), image(png, spoken), spoken, below)
    else:
        show_still(png, spoken, below)


def influence_table(influence: Influence) -> str:
    """The tokens that moved each answer most, as HTML that opens at a click."""
    behind = table(strongest(influence).iloc[:_ROWS], "Tokens, and the bits by which they moved it", across=True)
    return f"<details><summary>What moved each answer most</summary>{behind}</details>"


def text(found: Any) -> str:
    """The same as lines of text."""
    if isinstance(found, AttentionMaps):
        found = found.explore()
    if isinstance(found, Explorer):
        return explorer_still.text(found)
    if isinstance(found, KINDS):
        return states_text(found)
    if isinstance(found, MEANING):
        return meaning_text(found)
    if not isinstance(found, Predictions | Influence):
        return str(found)
    if isinstance(found, Influence):
        return f"{plain(strongest(found))}\n{found!r}"
    layers = f"\n\nWhat each layer would say\n{plain(_layers(found))}" if len(found.lens.names) > 1 else ""
    return f"{plain(_expected(found))}{layers}\n{found!r}"


def strongest(influence: Influence) -> pd.DataFrame:
    """A row an answer: how likely it was, and the tokens that moved it most with their bits."""
    import pandas as pd

    found = influence.strongest(_BESIDE)
    moved = [
        ", ".join(
            f"{apart(visible(row[f'token_{k}']))} {row[f'bits_{k}']:+.2f}"
            for k in range(1, _BESIDE + 1)
            if row.get(f"bits_{k}")
        )
        for row in found.to_dict("records")
    ]
    return pd.DataFrame(
        {
            "answer": [visible(name) for name in found.output],
            "probability": [f"{share:.1%}" for share in found.probability],
            "moved by (bits)": moved,
        },
        index=pd.RangeIndex(len(found), name="place"),
    )


def _layers(predictions: Predictions) -> pd.DataFrame:
    """A row a token, a column a layer: its likeliest token, and how likely it is."""
    import pandas as pd

    lens = predictions.lens
    said = {
        name: [
            f"{apart(visible(token))} {share:.0%}"
            for token, share in zip(lens.choices[layer, :, 0], lens.probabilities[layer, :, 0], strict=True)
        ]
        for layer, name in enumerate(lens.names)
    }
    return pd.DataFrame({"token": [visible(token) for token in predictions.tokens], **said})


def _expected(predictions: Predictions) -> Any:
    from nbllm.dashboards.strip import rows

    return rows(predictions, len(predictions.tokens))

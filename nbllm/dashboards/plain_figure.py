"""A Plotly figure under a cell: the page draws it from data in the notebook, without the kernel, and its values go by
arrow keys (widgets/figure_keys.js). What has no Plotly, a page or an exported notebook, takes the still picture.
"""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

from nbllm.dashboards import frontend

PLOTLY = "application/vnd.plotly.v1+json"


def show_figure(figure: Any, still: str, spoken: str, below: str = "", below_text: str = "") -> None:
    """Display a figure, and below it a piece of HTML: its table. `still` is the picture as HTML, `spoken` its words."""
    from IPython.display import display

    display(bundle(figure, still, spoken), raw=True)
    display({"text/html": below + keys(spoken), "text/plain": below_text}, raw=True)


def show_still(png: bytes, spoken: str, below: str, below_text: str = "") -> None:
    """Display the still picture alone, and below it the same."""
    from IPython.display import display

    display({"image/png": base64.b64encode(png).decode("ascii"), "text/plain": spoken}, raw=True)
    display({"text/html": below, "text/plain": below_text}, raw=True)


def bundle(figure: Any, still: str, spoken: str) -> dict[str, Any]:
    """A figure for pages with Plotly, and the still picture for all others.

    Without a PNG: Plotly's extension of JupyterLab would show that one. It adds its own once it has drawn.
    """
    return {PLOTLY: plotly(figure), "text/html": still, "text/plain": spoken}


def plotly(figure: Any) -> dict[str, Any]:
    """A figure as the page's own Plotly takes it."""
    config = {"displayModeBar": False, "displaylogo": False, "responsive": True}
    return {**json.loads(figure.to_json()), "config": config}


def image(png: bytes, spoken: str) -> str:
    """A still picture as HTML."""
    data = base64.b64encode(png).decode("ascii")
    return f'<img alt="{escape(spoken, quote=True)}" src="data:image/png;base64,{data}">'


def keys(spoken: str) -> str:
    """The script that gives the figure above it, in the same output, its arrow keys."""
    code = frontend.module("figure_keys.js").replace("</", "<\\/")
    return f'<script data-of="{escape(spoken, quote=True)}">(() => {{\n{code}\n}})();</script>'

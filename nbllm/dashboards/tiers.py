"""How a dashboard can be shown here: as live widgets, as HTML updated by its id, or as lines of text."""

from __future__ import annotations

import os
import sys
from typing import Literal

from nbllm.errors import ConfigError, did_you_mean

Tier = Literal["widget", "html", "text"]
TIERS: tuple[Tier, ...] = ("widget", "html", "text")


def tier() -> Tier:
    """The best tier that is known to work: widgets only where a front end is known to sit behind the kernel.

    $NBLLM_DISPLAY overrides (`auto` does not). nbclient, papermill and nbconvert start kernels without a sign of a
    page: they get HTML.
    """
    wish = os.environ.get("NBLLM_DISPLAY", "").strip().lower()
    if wish and wish != "auto":
        for known in TIERS:
            if wish == known:
                return known
        raise ConfigError(f"NBLLM_DISPLAY is '{wish}'.", did_you_mean(wish, TIERS))
    if not has_kernel():
        return "text"
    return "widget" if has_page() else "html"


def has_kernel() -> bool:
    """Whether this is the kernel of a notebook, not a terminal or a script."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def has_page() -> bool:
    """Whether a front end with widgets is known: JupyterLab or Notebook, VS Code, Colab, Voila or marimo."""
    environment = os.environ
    return (
        bool(environment.get("JPY_SESSION_NAME"))
        or "VSCODE_PID" in environment
        or "VSCODE_CWD" in environment
        or "google.colab" in sys.modules
        or environment.get("SERVER_SOFTWARE", "").lower().startswith("voila")
        or "marimo" in sys.modules
    )

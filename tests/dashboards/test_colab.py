"""Colab shows widgets of others only when it is told to: it is told, and nobody else is.

Colab itself cannot run here; what stands in for it is the one function of its that is called.
"""

from __future__ import annotations

import sys
import types

import pytest

from nbllm.dashboards.shown import enable_colab
from nbllm.dashboards.tiers import has_page


def test_its_widget_manager_is_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "SERVER_SOFTWARE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    enable_colab()
    assert not has_page()
    called = []
    colab = types.ModuleType("google.colab")
    colab.output = types.SimpleNamespace(enable_custom_widget_manager=lambda: called.append(1))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    enable_colab()
    assert called == [1]
    assert has_page()

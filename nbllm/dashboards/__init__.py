"""What a person sees of a run in a notebook. Everything is made on first use: nothing is imported here."""

from __future__ import annotations

from typing import Any

__all__ = ["Dashboard", "dashboard", "warm"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from nbllm.dashboards import live

        return getattr(live, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def warm() -> None:
    """Import what a live dashboard needs, ahead of its first display: most of a second, for a thread at load time."""
    from nbllm.dashboards import figure, live, panel  # noqa: F401

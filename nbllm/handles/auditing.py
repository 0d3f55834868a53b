"""Auditing: what a Model is asked for responsible use. Each call is a thin coat over nbllm.inspection."""

from __future__ import annotations

from nbllm.handles.opened import Opened


class Auditing(Opened):
    """The calls of a Model about bias, memory and privacy."""

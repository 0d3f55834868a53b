"""Commands of the application tasks."""

from __future__ import annotations

from nbllm.magics.command import Command

TABLE: tuple[Command, ...] = ()

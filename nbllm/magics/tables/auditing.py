"""Commands of responsible use: bias, memorization, privacy and their kin."""

from __future__ import annotations

from nbllm.magics.command import Command

TABLE: tuple[Command, ...] = ()

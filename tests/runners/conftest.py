"""A run that something happens to at a step of its own."""

from __future__ import annotations

from typing import Any

import pytest

from nbllm.runners import work as work_module
from nbllm.store import control


class Killed(BaseException):
    """Stands for SIGKILL at a step: nothing after it is written."""


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """What happens at which step: a command to give, or Killed to raise."""
    plan: dict[int, Any] = {}
    original = work_module._FolderControl.take

    def take(self: Any, step: int) -> list[dict[str, Any]]:
        action = plan.pop(step, None)
        if action is Killed:
            raise Killed
        if action:
            control.send(self._folder, **action)
        return original(self, step)

    monkeypatch.setattr(work_module._FolderControl, "take", take)
    return plan

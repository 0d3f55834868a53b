"""Listeners: who is told each event of the training beside the run folder, the callbacks of cells and the trackers.

None of them can end the run: one that fails is switched off, which is said in one line in the status.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any

import torch

from nbllm.callbacks import Context, commands
from nbllm.config import RunConfig
from nbllm.errors import NbllmError, one_line
from nbllm.registry import CALLBACKS, LOGGERS
from nbllm.runners.loggers.base import Logger
from nbllm.runners.reporter import Reporter
from nbllm.store.folder import RunFolder
from nbllm.training.checkpoint import generator_states, set_generator_states
from nbllm.training.events import Ended, Event, Started

# Whatever a user's code may raise, `exit()` too; an interrupt is the user's own.
_FAULTS = (Exception, SystemExit)

_MOST = 240  # characters of a fault in the status; all of it is in the log


class Listeners:
    """The callbacks and trackers of one run, in the order of its configuration."""

    def __init__(self, folder: RunFolder, config: RunConfig, module: torch.nn.Module, reporter: Reporter):
        self._context = Context(folder.path, config.model_copy(deep=True), module)
        self._config = config.train
        self._reporter = reporter
        self._callbacks: dict[str, Callable[[Any, Context], Any]] = {}
        self._loggers: dict[str, Logger] = {}
        self._asked: list[dict[str, Any]] = []

    def hear(self, events: Iterator[Event], started: Started) -> Generator[Event]:
        """The events as they come. Trackers have each before it is acted on, callbacks once it was, the last before."""
        self._open(started)
        try:
            self._call(started)
            for event in events:
                self._log(event)
                if isinstance(event, Ended):
                    self._call(event)
                    self._close(event)
                yield event
                if not isinstance(event, Ended):
                    self._call(event)
        finally:
            self._close(None)

    def commands(self, replayed: bool) -> list[dict[str, Any]]:
        """What callbacks have asked for since the last time. While an earlier course is `replayed`, what was set in it
        comes from there and is left out here."""
        asked, self._asked = self._asked, []
        return [command for command in asked if not (replayed and command["command"] == "set")]

    def _open(self, started: Started) -> None:
        for name in self._config.callbacks:
            try:
                callback: Any = CALLBACKS.get(name)
                if inspect.isclass(callback):
                    callback = callback()
                self._callbacks[name] = callback
            except _FAULTS as error:
                self._fault("callback", name, error)
        for name in self._config.loggers:
            try:
                self._loggers[name] = LOGGERS.get(name)(self._context.folder, self._context.config, started)
            except _FAULTS as error:
                self._fault("logger", name, error)

    def _call(self, event: Event | Started) -> None:
        if not self._callbacks:
            return
        module = self._context.module
        generators, was_training = generator_states(module), module.training
        for name, callback in list(self._callbacks.items()):
            try:
                self._asked += commands(callback(event, self._context))
            except _FAULTS as error:
                del self._callbacks[name]
                self._fault("callback", name, error)
        if module.training != was_training:
            module.train(was_training)
        set_generator_states(generators, module)

    def _log(self, event: Event) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                logger.write(event)
            except _FAULTS as error:
                del self._loggers[name]
                self._fault("logger", name, error)

    def _close(self, end: Ended | None) -> None:
        while self._loggers:
            name, logger = self._loggers.popitem()
            try:
                logger.close(end)
            except _FAULTS as error:
                self._fault("logger", name, error)

    def _fault(self, noun: str, name: str, error: BaseException) -> None:
        """Say it in a line, with the traceback in the log where it is not a plain mistake with a remedy."""
        plain = isinstance(error, NbllmError)
        if not plain:
            traceback.print_exception(error)
        said = one_line(error if plain else f"{type(error).__name__}: {error}")[:_MOST]
        self._reporter.note(f"{noun} '{name}' is switched off: {said}")

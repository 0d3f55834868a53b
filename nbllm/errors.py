"""The errors of nbllm.

    NbllmError                 every mistake that a user can mend; its text is one line that says what to type instead
    +-- ConfigError            an unknown key, a bad value, a combination that cannot work
    +-- DataError              a source that cannot be read or is too small
    +-- RunError               a run that does not exist, is taken, is busy or is damaged
    +-- ModelError             a model that cannot be built, loaded or asked this
    +-- MissingExtraError      an optional package that is not installed

A programmer's mistake is an assertion or an ordinary exception, never one of these.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class NbllmError(Exception):
    """A mistake with a remedy. `advice` says what to type or do; the whole is shown as one line without a traceback."""

    def __init__(self, message: str, advice: str = ""):
        self.message = one_line(message)
        self.advice = one_line(advice)
        super().__init__(f"{self.message} {self.advice}".strip())

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: one line, its first word in bold."""
        return [f"\x1b[1mError:\x1b[0m {self}"]


class ConfigError(NbllmError):
    """A configuration that cannot be used."""


class DataError(NbllmError):
    """A source of text that cannot be used."""


class RunError(NbllmError):
    """A run that is missing, taken, busy or damaged."""


class ModelError(NbllmError):
    """A model that cannot be built, loaded or asked this."""


class MissingExtraError(NbllmError):
    """An optional package is not installed."""


def one_line(text: object) -> str:
    """The text with all white space folded, so that an error is always one line."""
    return " ".join(str(text).split())


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`Did you mean 'heads'?` for a near name; otherwise the whole list when it is short; otherwise nothing."""
    known = sorted({str(k) for k in known})
    folded = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{folded[near[0]]}'?"
    return f"Known: {', '.join(known)}." if 0 < len(known) <= 24 else ""


def require(package: str, extra: str) -> ModuleType:
    """Import an optional package, or raise one line that names the extra to install."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"This needs the package '{package}', which is not installed.", f'Type: pip install "nbllm[{extra}]"'
        ) from error

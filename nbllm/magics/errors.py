"""One line in place of a traceback.

A user's mistake ends the cell, so that Run All stops there, and shows one line. IPython asks an exception for
`_render_traceback_`; NbllmError has one, and here the interrupt and the system's errors get theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from nbllm.errors import NbllmError, one_line

P = ParamSpec("P")
R = TypeVar("R")


def one_line_errors(method: Callable[P, R]) -> Callable[P, R]:
    """Decorator of a magic: system errors become NbllmErrors, an interrupt is shown as one line."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            _shown_as(interrupt, "Interrupted. Runs in the background go on; %llm_stop NAME stops one.")
            raise
        except OSError as error:
            raise system_error(error) from error
        except UnicodeDecodeError as error:
            raise NbllmError(
                f"A file is not UTF-8 text (byte {error.start}).", "Save it as UTF-8, or say --encoding for data."
            ) from error

    return call


def system_error(error: OSError) -> NbllmError:
    """What the system refused, with the file it was about."""
    place = f": {error.filename}" if error.filename else ""
    reason = error.strerror or one_line(error) or type(error).__name__
    return NbllmError(f"{reason}{place}.", "Check the path, its permissions and the free space.")


def _shown_as(error: BaseException, line: str) -> None:
    error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]

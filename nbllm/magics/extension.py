"""Loading and unloading: magics, completion, the transformer for empty bodies, %config NbLLM, the standby worker."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Mapping
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import TraitError

from nbllm.errors import NbllmError
from nbllm.magics.complete import offer
from nbllm.magics.models import ModelMagics
from nbllm.magics.runs import RunMagics
from nbllm.magics.settings import NbLLM
from nbllm.magics.studio import StudioMagics

_CELL = re.compile(r"\s*%%(llm_\w+)(.*)", re.DOTALL)
_MATCHER = "nbllm"
_CLASSES = (RunMagics, ModelMagics, StudioMagics)


def load(shell: InteractiveShell) -> None:
    """Register everything with this shell. Loading twice changes nothing."""
    unload(shell)
    settings = _settings(shell)
    shell.configurables.append(settings)  # type: ignore[arg-type]  # IPython's annotation is too narrow
    shell.register_magics(*(each(shell) for each in _CLASSES))
    shell.input_transformers_cleanup.insert(0, empty_body_to_line)
    shell.Completer.custom_matchers.append(_matcher(shell.user_ns))
    if settings.standby:
        from nbllm.runners import standby

        standby.start()
    threading.Thread(target=_warm, name="nbllm-warm", daemon=True).start()


def _warm() -> None:
    """Import what the first dashboard will need while the user is still reading, where one can be shown."""
    from nbllm import dashboards
    from nbllm.dashboards.tiers import tier

    try:
        if tier() == "widget":
            dashboards.warm()
    except NbllmError:
        pass  # a wrong $NBLLM_DISPLAY is said by the cell that would show something


def _settings(shell: InteractiveShell) -> NbLLM:
    """%config NbLLM. IPython keeps a value it has refused among its own settings: one such is said and left out."""
    try:
        return NbLLM.instance(parent=shell)
    except TraitError as error:
        NbLLM.clear_instance()
        shell.config.pop(NbLLM.__name__, None)
        print(f"%config NbLLM is left out: {error}", file=sys.stderr)
        return NbLLM.instance(parent=shell)


def unload(shell: InteractiveShell) -> None:
    """Undo `load`; running runs go on."""
    manager = shell.magics_manager
    if [manager.registry.pop(each.__name__, None) for each in _CLASSES] == [None] * len(_CLASSES):
        return
    for table in (manager.magics["line"], manager.magics["cell"]):
        for name in [name for name in table if name.startswith("llm_")]:
            del table[name]
    if empty_body_to_line in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(empty_body_to_line)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", "") != _MATCHER]
    settings = NbLLM.instance()
    shell.configurables[:] = [each for each in shell.configurables if each is not settings]
    settings.undo()
    NbLLM.clear_instance()
    from nbllm.runners import standby

    standby.stop()


def empty_body_to_line(lines: list[str]) -> list[str]:
    """`%%llm_train NAME` with nothing below it, which IPython would refuse, as the line form."""
    match = _CELL.fullmatch("".join(lines).rstrip())
    if not match or "\n" in match[2]:
        return lines
    return [f"%{match[1]}{match[2]}\n"]


def _matcher(names: Mapping[str, Any]) -> Any:
    """Our matcher; where it has an offer no other is asked, Jedi included."""

    @context_matcher(identifier=_MATCHER, priority=1000)
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        above = context.full_text.split("\n")[: context.cursor_line]
        found = offer(above, context.text_until_cursor, names)
        if found is None:
            return SimpleMatcherResult(completions=[])
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text, type="magic") for text in found.texts],
            matched_fragment=found.fragment,
            suppress=True,
            ordered=True,
        )

    return matcher

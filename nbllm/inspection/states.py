"""What every unit of a network holds after each token of a text, however long it is.

Recurrent and convolutional layers carry their state from window to window, so that the text is read as one. A network
with attention reads windows of its context that overlap by half, and of each but the first the later half is kept.

T tokens, U units.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.inspection.internals import capture, internals
from nbllm.models.answers import ShowsAttention, WritesTarget
from nbllm.models.evaluating import evaluating
from nbllm.models.mixers.recurrent import Recurrent
from nbllm.models.stack import Stack

WINDOW = 512  # tokens that are read at once where the state is carried on


@dataclass(frozen=True, repr=False)
class States:
    """float32 (T, U) an internal, as "blocks.0.lstm.cell"; a readable label a token, and where each ends."""

    values: dict[str, np.ndarray]
    tokens: list[str]
    ends: np.ndarray
    text: str

    def __repr__(self) -> str:
        return f"<States of {len(self.values)} internals over {len(self.tokens)} tokens>"


def stack_of(module: Any) -> Stack | None:
    """The stack that reads the text: the encoder where there are two; None in a network of another make."""
    found = getattr(module, "encoder", getattr(module, "stack", None))
    return found if isinstance(found, Stack) else None


def named(module: nn.Module) -> dict[str, str]:
    """Each internal of the stack that reads the text, by its name without what stands in front of `blocks`."""
    prefix = "encoder." if hasattr(module, "encoder") and stack_of(module) is not None else ""
    return {name.removeprefix(prefix): name for name in internals(module) if name.startswith(prefix)}


def read_states(module: nn.Module, objective: Any, text: str, names: list[str]) -> States:
    """What these internals (see `named`) hold over the text; of a foreign network also "blocks.N.residual".

    Raises ModelError for no text, and for an internal that has no units at each token.
    """
    from nbllm.data.tokenizers import token_strings

    tokenizer = objective.task.tokenizer
    encoding = tokenizer.encode(text, add_special_tokens=False)
    if not encoding.ids:
        raise ModelError("There is no text to look at.", "Give some.")
    stack = stack_of(module)
    with torch.inference_mode(), evaluating(module):
        if stack is None and isinstance(module, ShowsAttention):
            found = _foreign(module, encoding.ids, names, objective.task.context)
        else:
            found = _ours(module, stack, objective, encoding.ids, names)
    for name, values_TU in found.items():
        if values_TU.ndim != 2 or len(values_TU) != len(encoding.ids):
            raise ModelError(f"'{name}' has no units at each token.", "Name another: see model.internals().")
    ends = np.maximum.accumulate(np.array([end for _, end in encoding.offsets], dtype=np.int64))
    arrays = {name: values.float().cpu().numpy() for name, values in found.items()}
    return States(arrays, token_strings(tokenizer, encoding.ids), ends, text)


def _ours(module: Any, stack: Stack | None, objective: Any, ids: list[int], names: list[str]) -> dict[str, Tensor]:
    full = named(module)
    tokens_BT = torch.tensor([ids], device=device_of(module))
    carried = stack is not None and stack.causal and stack.unbounded
    before, behind = ([], []) if carried or stack is None else _frame(objective)
    spans = windows(len(ids), objective.task.context - len(before) - len(behind))
    if carried:
        spans = [(start, min(start + WINDOW, len(ids)), 0) for start in range(0, len(ids), WINDOW)]
    state = stack.init_state(1, WINDOW) if stack is not None and carried else None
    gates = {name: _recurrent(stack, name) for name in names}
    rest = [full[name] for name in names if gates[name] is None]
    kept: dict[str, list[Tensor]] = {name: [] for name in names}
    for start, stop, skip in spans:
        ends = (torch.tensor([each], device=tokens_BT.device, dtype=torch.int64) for each in (before, behind))
        part_BT = torch.cat((next(ends), tokens_BT[:, start:stop], next(ends)), dim=1)
        mixers = {mixer for mixer in gates.values() if mixer is not None}
        with capture(module, *rest) as held, _every_gate(mixers) as gated:
            if stack is None:
                module(part_BT)
            else:
                _, state = stack(part_BT, state=state)
        for name in names:
            mixer = gates[name]
            value = held[full[name]] if mixer is None else gated[mixer][name.rsplit(".", 1)[1]]
            place = len(before)
            kept[name].append(value[0, place + skip : place + stop - start] if value.ndim == 3 else value)
    return {name: torch.cat(parts) for name, parts in kept.items()}


def _recurrent(stack: Stack | None, name: str) -> Recurrent | None:
    """The recurrent layer whose gate or state a name is of; None for any other internal."""
    part = name.split(".")
    if stack is None or len(part) != 4 or part[0] != "blocks":
        return None
    mixer = stack.mixers()[int(part[1])]
    return mixer if isinstance(mixer, Recurrent) else None


@contextmanager
def _every_gate(mixers: set[Recurrent]) -> Iterator[dict[Recurrent, dict[str, Tensor]]]:
    """While open, all gates and states of each layer are computed once a call, whichever of them are asked for."""
    found: dict[Recurrent, dict[str, Tensor]] = {}

    def hook(mixer: Any, arguments: tuple[Any, ...], given: dict[str, Any], output: Any) -> None:
        found[mixer] = mixer.gates(arguments[0], given.get("state"))

    with ExitStack() as hooks:
        for mixer in mixers:
            hooks.enter_context(mixer.register_forward_hook(hook, with_kwargs=True))
        yield found


def _foreign(module: Any, ids: list[int], names: list[str], context: int) -> dict[str, Tensor]:
    """The residual stream behind each layer of a model of transformers, without a frame around the text."""
    part = _reader(module)
    kept: dict[str, list[Tensor]] = {name: [] for name in names}
    for start, stop, skip in windows(len(ids), context):
        tokens_BT = torch.tensor([ids[start:stop]], device=device_of(module))
        layers = part(input_ids=tokens_BT, output_hidden_states=True).hidden_states[1:]
        for name in names:
            index = int(name.split(".")[1])
            kept[name].append(layers[index][0, skip:])
    return {name: torch.cat(parts) for name, parts in kept.items()}


def foreign_layers(module: Any) -> int:
    """How many layers the reading half of a model of transformers has."""
    part = _reader(module)
    return int(part.config.num_hidden_layers)


def _reader(module: Any) -> Any:
    """The library's own model without a head: its encoder where there are two halves."""
    model = module.model
    return model.get_encoder() if isinstance(module, WritesTarget) else model.base_model


def windows(length: int, context: int) -> list[tuple[int, int, int]]:
    """(start, stop, skip) of windows of at most `context` tokens over `length`: of each the first `skip` are dropped,
    for the window before has them with a longer past."""
    if length <= context:
        return [(0, length, 0)]
    step = max(1, context // 2)
    found, start, done = [], 0, 0
    while done < length:
        stop = min(start + context, length)
        found.append((start, stop, done - start))
        start, done = start + step, stop
    return found


def _frame(objective: Any) -> tuple[list[int], list[int]]:
    """The tokens that an encoder has learned to see before and behind a text."""
    cls, sep = getattr(objective, "cls", None), getattr(objective, "sep", None)
    return [] if cls is None else [cls], [] if sep is None else [sep]

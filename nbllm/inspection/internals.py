"""The internals of a network by name, and what each held while it read.

Of our own networks the names are stable: `embedding`, `blocks.3.attention.pattern`, `blocks.3.residual`, `norm`,
`head`; where there are two stacks with `encoder.` or `decoder.` in front. Of any other network they are those of its
parts.

B batch, T tokens, S keys, D width, M units of the MLP, H heads, J key heads, K units of a head.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nbllm.errors import ModelError, did_you_mean
from nbllm.models.blocks import MLP
from nbllm.models.mixers.attention import Attention
from nbllm.models.mixers.conv import Conv
from nbllm.models.mixers.cross import CrossAttention
from nbllm.models.mixers.recurrent import Recurrent
from nbllm.models.stack import Stack


class Call(NamedTuple):
    """One call of a part: what went in, what came out, what the parts inside that were asked for gave last, and the
    dtype that is wished."""

    part: Any
    x: Any
    given: dict[str, Any]
    output: Any
    heard: Mapping[nn.Module, deque[Tensor]]
    dtype: torch.dtype | None


class Internal(NamedTuple):
    """What a name stands for: a part, how the value is read from a call of it, and the parts inside that it needs."""

    part: nn.Module
    read: Callable[[Call], Tensor]
    needs: tuple[nn.Module, ...] = ()


class Captured(Mapping[str, Tensor]):
    """Name to what that internal held at its last call; `.calls(name)` gives every call's, in order."""

    def __init__(self, names: Sequence[str]):
        self._calls: dict[str, list[Tensor]] = {name: [] for name in names}

    def calls(self, name: str) -> list[Tensor]:
        """What the internal held at each call: of a text that was written, one at each token."""
        if name not in self._calls:
            raise ModelError(f"'{name}' was not captured.", did_you_mean(name, self._calls))
        return self._calls[name]

    def __getitem__(self, name: str) -> Tensor:
        calls = self.calls(name)
        if not calls:
            raise ModelError(f"'{name}' was not computed meanwhile.", "Let the model read: model.read(TEXT)")
        return calls[-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __repr__(self) -> str:
        shapes = (f"{name} {tuple(calls[-1].shape) if calls else '(nothing)'}" for name, calls in self._calls.items())
        return f"<Captured: {', '.join(shapes)}>"


def internals(module: nn.Module) -> dict[str, Internal]:
    """Every name of a network, in the order of its parts."""
    found: dict[str, Internal] = {}
    for path, stack in module.named_modules():
        if isinstance(stack, Stack):
            found |= _of_stack(stack, "" if path == "stack" else f"{path}." if path else "")
    if not found:
        for path, part in module.named_modules():
            found |= {path: Internal(part, _output)} if path else {}
            found |= {f"{path}.{name}": each for name, each in _of_mixer(part).items()}
        return found
    for name, part in module.named_children():
        if isinstance(part, nn.ModuleList):
            inside = ((key, each) for key, each in part.named_children() if any(each.children()))
            found |= {f"{name}.{key}": Internal(each, _output) for key, each in inside}
        elif not isinstance(part, Stack | nn.Dropout):
            found[name] = Internal(part, _output)
    return found


def chosen(module: nn.Module, patterns: Sequence[str]) -> dict[str, Internal]:
    """The internals whose names fit a pattern, in which * stands for anything. ModelError where none fits one."""
    known = internals(module)
    kept: set[str] = set()
    for each in patterns:
        fitting = {name for name in known if fnmatchcase(name, each)}
        if not fitting:
            raise ModelError(f"There is no internal '{each}'.", did_you_mean(each, known))
        kept |= fitting
    return {name: internal for name, internal in known.items() if name in kept}


@contextmanager
def capture(
    module: nn.Module,
    *patterns: str,
    dtype: torch.dtype | None = None,
    keep: Callable[[str, Tensor], Tensor] | None = None,
) -> Iterator[Captured]:
    """While open, all that the network computes under these names is kept, detached, in `dtype` where one is given and
    as `keep` changes it. The hooks go when the block is left, however it is left; the forward code knows nothing of it.
    """
    wanted = chosen(module, patterns)
    found = Captured(list(wanted))
    heard: dict[nn.Module, deque[Tensor]] = {need: deque(maxlen=2) for each in wanted.values() for need in each.needs}
    with ExitStack() as hooks:
        for need, last in heard.items():
            hooks.enter_context(need.register_forward_hook(_hearing(last)))
        for name, internal in wanted.items():
            hook = _reading(name, internal, heard, found.calls(name), dtype, keep)
            hooks.enter_context(internal.part.register_forward_hook(hook, with_kwargs=True))
        yield found


def _hearing(last: deque[Tensor]) -> Any:
    def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        last.append(output.detach())

    return hook


def _reading(
    name: str,
    internal: Internal,
    heard: Mapping[nn.Module, deque[Tensor]],
    calls: list[Tensor],
    dtype: torch.dtype | None,
    keep: Callable[[str, Tensor], Tensor] | None,
) -> Any:
    def hook(part: nn.Module, arguments: tuple[Any, ...], given: dict[str, Any], output: Any) -> None:
        with torch.no_grad():
            x = arguments[0] if arguments else None
            value = internal.read(Call(part, x, given, output, heard, dtype)).detach()
            value = value if keep is None else keep(name, value)
            calls.append(value if dtype is None else value.to(dtype))

    return hook


def _of_stack(stack: Stack, prefix: str) -> dict[str, Internal]:
    """embedding: what the first block reads, x_BTD; blocks.N; norm: what the head reads."""
    first = stack.blocks[0]
    found = {f"{prefix}embedding": Internal(first, _input)}
    for index, block in enumerate(stack.blocks):
        found |= {f"{prefix}blocks.{index}.{name}": each for name, each in _of_block(block).items()}
    return found | {f"{prefix}norm": Internal(stack.norm, _output)}


def _of_block(block: Any) -> dict[str, Internal]:
    """The mixer by its kind with what is inside of it, cross, mlp, and residual: the stream that leaves the block."""
    kind = type(block.mixer).__name__.lower()
    found = {kind: Internal(block.mixer, _output)}
    found |= {f"{kind}.{name}": each for name, each in _of_mixer(block.mixer).items()}
    if block.cross is not None:
        found["cross"] = Internal(block.cross, _output)
        found |= {f"cross.{name}": each for name, each in _of_mixer(block.cross).items()}
    mlp = getattr(block, "mlp", None)
    if isinstance(mlp, MLP):
        found |= {"mlp.hidden": Internal(mlp.down, _input), "mlp": Internal(mlp, _output)}
    return found | {"residual": Internal(block, _output)}


def _of_mixer(mixer: nn.Module) -> dict[str, Internal]:
    """Of attention q_BHTK, k_BJSK, v_BJSK and pattern_BHTS; of a recurrent layer its gates and states and of a
    convolution its value and gate, each (B, T, D)."""
    if isinstance(mixer, Attention):
        # Rotary positions are one part that all layers share; each calls it for its queries, then for its keys.
        turned = (mixer.query_norm, mixer.key_norm) if mixer.rope is None else (mixer.rope,)
        return {
            "q": Internal(mixer, lambda call: _turned(call)[0], turned),
            "k": Internal(mixer, _keys, turned),
            "v": Internal(mixer, _values, (mixer.value,)),
            "pattern": Internal(mixer, _pattern, turned),
        }
    if isinstance(mixer, CrossAttention):
        return {"q": Internal(mixer, _cross_queries, (mixer.query,)), "pattern": Internal(mixer, _cross_pattern)}
    if isinstance(mixer, Recurrent):
        return {name: Internal(mixer, _gate(name)) for name in mixer.gate_names}
    if isinstance(mixer, Conv):
        return {
            "value": Internal(mixer.taps, lambda call: call.output.chunk(2, dim=1)[0].transpose(1, 2)),
            "gate": Internal(mixer.taps, lambda call: call.output.chunk(2, dim=1)[1].sigmoid().transpose(1, 2)),
        }
    return {}


def _output(call: Call) -> Tensor:
    """The first tensor that a part gives back, which may be a tuple or, in transformers, a table of several."""
    output = call.output
    if isinstance(output, Mapping):
        output = next(iter(output.values()))
    return output[0] if isinstance(output, tuple | list) else output


def _input(call: Call) -> Tensor:
    return call.x


def _turned(call: Call) -> tuple[Tensor, Tensor]:
    """q_BHTK and k_BJTK, as the mixer made them a moment ago."""
    mixer = call.part
    if mixer.rope is not None:
        queries, keys = call.heard[mixer.rope]
        return queries, keys
    return call.heard[mixer.query_norm][-1].transpose(1, 2), call.heard[mixer.key_norm][-1].transpose(1, 2)


def _keys(call: Call) -> Tensor:
    state = call.given.get("state")
    # A copy: the cache is written on into the same room.
    return _turned(call)[1] if state is None else state.keys[:, :, : state.length].clone()


def _values(call: Call) -> Tensor:
    state = call.given.get("state")
    if state is not None:
        return state.values[:, :, : state.length].clone()
    x_BTE = call.heard[call.part.value][-1]
    return x_BTE.view(*x_BTE.shape[:2], call.part.key_heads, -1).transpose(1, 2)


def _pattern(call: Call) -> Tensor:
    queries, keys = _turned(call)
    state, real, mask = (call.given.get(name) for name in ("state", "real_BT", "mask"))
    if state is not None:
        keys = state.keys[:, :, : state.length]
    return call.part.weights(queries, keys, real, mask, dtype=call.dtype)


def _cross_queries(call: Call) -> Tensor:
    x_BTE = call.heard[call.part.query][-1]
    return x_BTE.view(*x_BTE.shape[:2], call.part.heads, -1).transpose(1, 2)


def _cross_pattern(call: Call) -> Tensor:
    state = call.given.get("state")
    return call.part.weights(call.x, call.given.get("memory"), state)


def _gate(name: str) -> Callable[[Call], Tensor]:
    return lambda call: call.part.gates(call.x, call.given.get("state"))[name]

"""The unit that keeps track of a property of a text (Karpathy, Johnson and Fei-Fei 2015, "Visualizing and Understanding
Recurrent Networks", arXiv 1506.02078): inside quotation marks, the place in the line, the depth of brackets.

The best of many units correlates with anything a little. So units are chosen by the first half of the text and judged
by the second; and what the best would reach by chance is measured by turning the property against the states (a
circular shift, which keeps the rhythm of both).

T tokens, N units of the whole network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from nbllm.errors import ModelError, did_you_mean
from nbllm.inspection.properties import Property, property_of
from nbllm.inspection.states import States, foreign_layers, named, read_states
from nbllm.models.answers import ShowsAttention
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

KEPT = 32  # units whose states are kept
LEAST = 40  # tokens
_SHIFTS = 100
_TRACKING = {"lstm": ("cell", "hidden"), "gru": ("hidden",), "rnn": ("hidden",), "conv": ("response",)}


@dataclass(frozen=True, repr=False)
class Units:
    """How each unit of a network correlates with a property of a text, the best first.

    tracked      the name of the property
    states       what each unit is of, as "blocks.0.lstm.cell"; .units its number there
    correlation  float64 (N,) Pearson's r over the first half of the text (point-biserial where the property is 0 or 1)
    held_out     float64 (N,) the same over the second half, which had no say in the order
    chance       what the best of all units reaches in the first half against a turned property, in 95 of 100 turns
    values       float32 (kept, T) the states of the first of them
    """

    tracked: str
    states: list[str]
    units: np.ndarray
    correlation: np.ndarray
    held_out: np.ndarray
    chance: float
    values: np.ndarray
    wanted: np.ndarray
    tokens: list[str]
    text: str = field(default="")

    @property
    def table(self) -> pd.DataFrame:
        """One row a unit: state, layer, unit, correlation, held_out; the best first."""
        import pandas as pd

        parts = [name.split(".") for name in self.states]
        return pd.DataFrame(
            {
                "state": [part[-1] for part in parts],
                "layer": [int(part[1]) if part[0] == "blocks" else -1 for part in parts],
                "unit": self.units,
                "correlation": self.correlation,
                "held_out": self.held_out,
            },
            index=pd.RangeIndex(len(self.units), name="rank"),
        )

    def to_frame(self, rank: int = 0) -> pd.DataFrame:
        """One row a token: token, property, and the state of the unit of that rank."""
        import pandas as pd

        return pd.DataFrame({"token": self.tokens, "property": self.wanted, "state": self.state(rank)})

    def state(self, rank: int = 0) -> np.ndarray:
        """float32 (T,) what the unit of that rank held after each token."""
        if not -len(self.values) <= rank < len(self.values):
            raise ModelError(f"There is no rank {rank} here.", f"Ranks go from 0 to {len(self.values) - 1}.")
        return self.values[rank]

    def name(self, rank: int = 0) -> str:
        """The unit of that rank in words."""
        return f"{self.states[rank]}[{self.units[rank]}]"

    def figure(self, rank: int = 0) -> Any:
        """The text coloured by the unit's state, the property below each token (Plotly)."""
        return VIEWS.get("units")(self, rank)

    def __repr__(self) -> str:
        return (
            f"<Units that track '{self.tracked}': {self.name()} with r = {self.correlation[0]:+.3f}, on held-out text "
            f"{self.held_out[0]:+.3f} (the best of {len(self.units)} by chance: {self.chance:.3f})>"
        )

    def _repr_png_(self) -> bytes:
        return VIEWS.get("units_picture")(self)

    def _repr_html_(self) -> str:
        return VIEWS.get("units_page")(self)


def find_units(
    module: nn.Module,
    objective: Any,
    text: str,
    wanted: Property,
    *,
    state: str | None = None,
    layer: int | None = None,
) -> Units:
    """Every unit of the network by how it correlates with the property.

    Of an LSTM layer cell and hidden state are looked at, of GRU and RNN the hidden state, of a convolution what its
    filters respond, of attention the residual stream behind the block. `state` is one of them alone (cell, hidden,
    response, residual, forget, ... or the full name of an internal), `layer` one block.
    Raises ModelError for a short text and for a property that is the same throughout a half.
    """
    read = _read(module, objective, text, _internals(module, state, layer))
    name, property_T = property_of(wanted, text, read.ends)
    length = len(property_T)
    if length < LEAST:
        raise ModelError(f"{length} tokens are too few to tell a unit from chance.", f"Give a text of {LEAST} or more.")
    half = length // 2
    for part, words in ((property_T[:half], "first"), (property_T[half:], "second")):
        if np.ptp(part) == 0:
            raise ModelError(f"'{name}' never changes in the {words} half of the text.", "Give a longer text.")
    states_TN = np.concatenate(list(read.values.values()), axis=1)
    first_N, chance = _with_chance(states_TN[:half], property_T[:half])
    second_N = correlations(states_TN[half:], property_T[half:][None])[0]
    order = np.argsort(-np.abs(first_N), kind="stable")
    names = [each for each, values in read.values.items() for _ in range(values.shape[1])]
    numbers = np.concatenate([np.arange(values.shape[1]) for values in read.values.values()])
    return Units(
        name, [names[index] for index in order], numbers[order], first_N[order], second_N[order], chance,
        states_TN[:, order[:KEPT]].T.copy(), property_T, read.tokens, text,
    )  # fmt: skip


def correlations(states_TN: np.ndarray, properties_KT: np.ndarray) -> np.ndarray:
    """Pearson's r (K, N) of each property with each unit; 0 for a unit that never changes."""
    x_TN = states_TN.astype(np.float64) - states_TN.mean(0, dtype=np.float64)
    y_KT = properties_KT - properties_KT.mean(1, keepdims=True)
    size_N, size_K = np.linalg.norm(x_TN, axis=0), np.linalg.norm(y_KT, axis=1)
    below = size_K[:, None] * np.where(size_N > 1e-9 * len(x_TN) ** 0.5, size_N, np.inf)
    return y_KT @ x_TN / below


def _with_chance(states_TN: np.ndarray, property_T: np.ndarray) -> tuple[np.ndarray, float]:
    """r (N,), and the 95th percentile of the largest |r| over shifts of at least a tenth of the text."""
    length = len(property_T)
    least = max(1, length // 10)
    shifts = np.unique(np.linspace(least, length - least, _SHIFTS).astype(int))
    turned = np.stack([property_T, *(np.roll(property_T, shift) for shift in shifts)])
    found = correlations(states_TN, turned)
    return found[0], float(np.quantile(np.abs(found[1:]).max(1), 0.95))


def _internals(module: nn.Module, state: str | None, layer: int | None) -> list[str]:
    """The names of what is looked at; a convolution's "response" is none of the network's own (see `_read`)."""
    if isinstance(module, ShowsAttention):
        known = [f"blocks.{index}.residual" for index in range(foreign_layers(module))]
    else:
        known = list(named(module))
        known += [name.replace(".value", ".response") for name in known if name.endswith("conv.value")]
    blocks = sorted({int(name.split(".")[1]) for name in known if name.startswith("blocks.")})
    if layer is not None:
        if not blocks or not -len(blocks) <= layer < len(blocks):
            raise ModelError(f"There is no layer {layer}.", f"Layers go from 0 to {len(blocks) - 1}." if blocks else "")
        blocks = [blocks[layer]]
    if state in known:
        return [str(state)]
    if not blocks:
        raise ModelError("This network has no blocks that are known here.", 'Name an internal, as state="embedding".')
    found = []
    for index in blocks:
        inside = [name for name in known if name.startswith(f"blocks.{index}.")]
        ends = {name.rsplit(".", 1)[-1]: name for name in inside}
        if state is not None:
            found += [ends[state]] if state in ends else []
            continue
        kind = next((kind for kind in _TRACKING if f"blocks.{index}.{kind}" in known), None)
        found += [ends[each] for each in _TRACKING[kind]] if kind else [ends["residual"]]
    if not found:
        words = {name.rsplit(".", 1)[-1] for name in known if name.startswith("blocks.")} - {"pattern", "q", "k", "v"}
        raise ModelError(f"No layer here has a state '{state}'.", did_you_mean(state, words))
    return found


def _read(module: nn.Module, objective: Any, text: str, names: list[str]) -> States:
    """The states, with a convolution's response: value times gate."""
    asked: dict[str, None] = {}
    for name in names:
        pair = [name.replace(".response", ".value"), name.replace(".response", ".gate")]
        asked |= dict.fromkeys(pair if name.endswith(".response") else [name])
    read = read_states(module, objective, text, list(asked))
    values = {}
    for name in names:
        if name.endswith(".response"):
            stem = name.removesuffix("response")
            values[name] = read.values[f"{stem}value"] * read.values[f"{stem}gate"]
        else:
            values[name] = read.values[name]
    return States(values, read.tokens, read.ends, text)

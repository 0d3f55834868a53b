"""The gates and states of the recurrent layers over a text of any length, and how long each unit remembers.

L layers, T tokens, U units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from nbllm.errors import ModelError, did_you_mean
from nbllm.inspection.properties import Property, property_of
from nbllm.inspection.states import named, read_states, stack_of
from nbllm.inspection.units import correlations
from nbllm.models.mixers.recurrent import Recurrent
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

SORTS = ("unit", "half_life", "variance", "mean")
_KEEPS = {"lstm": "forget", "gru": "update"}  # the gate that says how much of a unit's past is kept


@dataclass(frozen=True, repr=False, eq=False)
class Gates(Mapping[str, np.ndarray]):
    """Name to float32 (L, T, U): of an LSTM input, forget, output (0 to 1), cell and hidden; of a GRU reset, update,
    candidate and hidden; of a simple layer hidden.

    layers    the block of each layer
    gate, layer, sort    what is shown where nothing else is asked for
    """

    arrays: dict[str, np.ndarray]
    tokens: list[str]
    layers: list[int]
    kind: str
    text: str
    ends: np.ndarray
    gate: str = ""
    layer: int = -1
    sort: Property = "unit"

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise ModelError(f"A layer of kind {self.kind} has no gate '{name}'.", did_you_mean(name, self.arrays))
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def of(self, gate: str | None = None, layer: int | None = None, sort: Property | None = None) -> Gates:
        """The same, with another gate, layer or order shown."""
        found = replace(
            self, gate=gate or self.gate, layer=self.layer if layer is None else layer,
            sort=self.sort if sort is None else sort,
        )  # fmt: skip
        found.shown()
        return found

    @property
    def name(self) -> str:
        """The gate that is shown: what keeps the past, where none was chosen."""
        return self.gate or _KEEPS.get(self.kind, "hidden")

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 (U, T) of the gate and layer that are shown, its rows in order, and the unit of each row."""
        values_UT = self[self.name][self._layer()].T
        order = self.order()
        return values_UT[order], order

    def order(self) -> np.ndarray:
        """The units of the layer by `sort`: unit (their number), half_life, variance or mean of the gate, or the name
        of a property (or what else `model.units` takes) with which they correlate; the most first."""
        values_TU = self[self.name][self._layer()]
        if isinstance(self.sort, str) and self.sort in SORTS:
            if self.sort == "unit":
                return np.arange(values_TU.shape[1])
            if self.sort == "half_life":
                key = self._half_lives()[self._layer()]
            else:
                key = values_TU.var(0) if self.sort == "variance" else values_TU.mean(0)
        else:
            _, property_T = property_of(self.sort, self.text, self.ends)
            key = np.abs(correlations(values_TU, property_T[None])[0])
        return np.argsort(-key, kind="stable")

    def half_life(self) -> pd.DataFrame:
        """One row a unit: layer, unit, gate (how much of the past it keeps at a token, the mean over the text)
        and half_life in tokens.

        What a cell held is multiplied by the forget gate f at each step (in a GRU by the update gate), so after k
        tokens f^k is left of it, and a half after log 0.5 / log f (as the time scale -1 / log f of Mahto et al. 2021,
        "Multi-timescale Representation Learning in LSTM Language Models"). A unit that
        holds on and lets go at once has the same mean as one that fades: the heatmap tells them apart. Raises
        ModelError for a simple recurrent layer, whose units have no gate.
        """
        import pandas as pd

        lives_LU = self._half_lives()
        layers, units = np.indices(lives_LU.shape)
        return pd.DataFrame(
            {
                "layer": np.array(self.layers)[layers.ravel()],
                "unit": units.ravel(),
                "gate": (0.5 ** (1 / lives_LU)).ravel(),
                "half_life": lives_LU.ravel(),
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a layer, token and unit: layer, place, token, unit, and a column a gate."""
        import pandas as pd

        some = next(iter(self.arrays.values()))
        layer, place, unit = (each.ravel() for each in np.indices(some.shape))
        names = np.array(self.tokens, dtype=object)
        about = {"layer": np.array(self.layers)[layer], "place": place, "token": names[place], "unit": unit}
        return pd.DataFrame({**about, **{name: values.ravel() for name, values in self.arrays.items()}})

    @property
    def table(self) -> pd.DataFrame:
        """One row a unit of the layer that is shown, in its order: mean and std of the gate, half_life in tokens."""
        import pandas as pd

        values_UT, order = self.shown()
        told = {"mean": values_UT.mean(1), "std": values_UT.std(1)}
        if self.kind in _KEEPS:
            told["half_life"] = self._half_lives()[self._layer()][order]
        return pd.DataFrame(told, index=pd.Index(order, name="unit"))

    def figure(self, gate: str | None = None, layer: int | None = None, sort: Property | None = None) -> Any:
        """A heatmap of units by tokens (Plotly). `sort` as in `order`."""
        return VIEWS.get("gates")(self.of(gate, layer, sort))

    def __repr__(self) -> str:
        layers = f"{len(self.layers)} layer{'s' * (len(self.layers) != 1)}"
        return f"<Gates of {layers} of kind {self.kind} over {len(self.tokens)} tokens: {', '.join(self.arrays)}>"

    def _repr_png_(self) -> bytes:
        return VIEWS.get("gates_picture")(self)

    def _layer(self) -> int:
        count = len(self.layers)
        if not -count <= self.layer < count:
            raise ModelError(f"There is no recurrent layer {self.layer}.", f"They go from 0 to {count - 1}.")
        return self.layer % count

    def _half_lives(self) -> np.ndarray:
        """float64 (L, U) in tokens."""
        if self.kind not in _KEEPS:
            raise ModelError(
                "A simple recurrent layer has no gate: how long it remembers lies in all of its weights together.",
                "Ask an lstm or a gru.",
            )  # fmt: skip
        kept = self.arrays[_KEEPS[self.kind]].mean(1, dtype=np.float64)
        return np.log(0.5) / np.log(np.clip(kept, 1e-9, 1 - 1e-9))


def gate_maps(module: nn.Module, objective: Any, text: str) -> Gates:
    """The gates of every recurrent layer that reads the text; where kinds are mixed, those of the lowest layer's kind.

    A text longer than the context is read on with the state carried, as it is when the model writes. Raises ModelError
    where the model has no recurrent layer, and for no text.
    """
    stack = stack_of(module)
    mixers = [] if stack is None else [(i, m) for i, m in enumerate(stack.mixers()) if isinstance(m, Recurrent)]
    if not mixers:
        raise ModelError(
            f"A {type(module).__name__} without recurrent layers has no gates.", "Use a model of kind lstm, gru or rnn."
        )
    first = mixers[0][1]
    kind = type(first).__name__.lower()
    layers = [index for index, mixer in mixers if type(mixer) is type(first)]
    names = [f"blocks.{index}.{kind}.{name}" for index in layers for name in first.gate_names]
    assert set(names) <= set(named(module))
    read = read_states(module, objective, text, names)
    values = {
        name: np.stack([read.values[f"blocks.{index}.{kind}.{name}"] for index in layers]) for name in first.gate_names
    }
    return Gates(values, read.tokens, layers, kind, text, read.ends)

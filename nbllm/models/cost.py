"""What a model costs: its parameters by part, the arithmetic and the memory that it takes, estimated and measured.

nbllm.cost(model="lstm", size="small")   # before training: estimates, without torch
run.cost(measure=True)                   # a step of it, measured beside the estimate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nbllm.config import RunConfig
from nbllm.models import estimate, flops
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
"""The one part of a network that is not ours."""

ORDER = ("embedding", "positions", "mixers", "attention", "mlps", "norms", "head", ALL)
"""The parts, as they are listed."""

MEMORY = ("weights", "gradients", "optimizer", "activations")
"""What training holds at once. The cache is what writing one text takes, beside the weights."""


@dataclass(frozen=True)
class Measured:
    """A step and some seconds of training, as they were on this machine.

    memory               bytes by the names of the estimate; of activations the peak of a step beyond the gradients
    peak                 bytes that were held at the peak of the step, all together
    flops                FLOPs of training a token by torch's counter, of the same batch; NaN where it cannot count
    analytic             the same batch by our own count, masks counted whole as torch's counter does; NaN where unknown
    tokens_per_second    of training
    ceiling              FLOPs a second that this device does in a large matrix product, in the numbers of the training
    device               its name
    longest              tokens of the longest row of the measured batch: the estimate is for a whole context
    joules_per_token     energy of the device; NaN where nothing tells it, and `energy` says why
    """

    memory: Mapping[str, int]
    peak: int
    flops: float
    analytic: float
    tokens_per_second: float
    ceiling: float
    device: str
    longest: int
    joules_per_token: float
    energy: str


@dataclass(frozen=True, repr=False)
class Cost:
    """What a model costs.

    about       a run's name, or what was asked for
    parameters  by part: embedding, positions, mixers, mlps, norms, head; or all
    flops       forward, a token in training, by part: mixers, attention (scores and weighted sums), mlps, head; or all
    memory      bytes by estimate: weights, gradients, optimizer, activations; cache of one text; empty where unknown
    per_second  tokens a second that the run has trained at; NaN where it has not
    measured    the same on this machine, where it was asked for
    """

    about: str
    config: RunConfig
    parameters: Mapping[str, int]
    flops: Mapping[str, float]
    memory: Mapping[str, int]
    per_second: float = float("nan")
    measured: Measured | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())

    @property
    def forward(self) -> float:
        """FLOPs of a token's way through the model."""
        return sum(self.flops.values())

    @property
    def training(self) -> float:
        """FLOPs of training on a token: forward once, backward twice."""
        return flops.TRAINING * self.forward

    @property
    def training_memory(self) -> int:
        """Bytes that training holds at its peak, by estimate."""
        return sum(self.memory.get(part, 0) for part in MEMORY)

    @property
    def utilisation(self) -> float:
        """The share of the device's ceiling that the model's own arithmetic uses (model-FLOPs utilisation, Chowdhery et
        al. 2022, against a measured matrix product); NaN where it was not measured."""
        if self.measured is None:
            return float("nan")
        return self.measured.tokens_per_second * self.training / self.measured.ceiling

    @property
    def table(self) -> pd.DataFrame:
        """A row a part: parameters, flops_forward and flops_training (a token), and a last row of all together."""
        import pandas as pd

        names = [name for name in ORDER if self.parameters.get(name) or self.flops.get(name)]
        rows = {name: (self.parameters.get(name, 0), self.flops.get(name, 0.0)) for name in names}
        rows["total"] = (self.total, self.forward)
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["parameters", "flops_forward"])
        frame["flops_training"] = flops.TRAINING * frame["flops_forward"]
        return frame.rename_axis("part")

    @property
    def memory_table(self) -> pd.DataFrame:
        """A row a part of the memory: estimated and measured bytes (NaN where not measured)."""
        import pandas as pd

        measured = {} if self.measured is None else dict(self.measured.memory)
        rows: dict[str, tuple[float, float]] = {
            part: (self.memory.get(part, float("nan")), measured.get(part, float("nan"))) for part in MEMORY
        }
        peak = float("nan") if self.measured is None else float(self.measured.peak)
        rows["training, at its peak"] = (self.training_memory if self.memory else float("nan"), peak)
        rows["cache of one text"] = (self.memory.get("cache", float("nan")), measured.get("cache", float("nan")))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["estimated", "measured"]).rename_axis("memory")

    def figure(self) -> Any:
        """Where parameters, arithmetic and memory go, as stacked bars (Plotly)."""
        return VIEWS.get("cost")(self)

    def __repr__(self) -> str:
        return (
            f"<Cost of {self.about}: {self.total:,} parameters, {count(self.training)}FLOPs a trained token, "
            f"{size(self.training_memory) if self.memory else 'unknown memory'}>"
        )

    def __str__(self) -> str:
        return VIEWS.get("cost_text")(self)

    def _repr_html_(self) -> str:
        return VIEWS.get("cost_page")(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a terminal shows."""
        printer.text(str(self))

    def _ipython_display_(self) -> None:
        VIEWS.get("cost_display")(self)


def estimated(config: RunConfig, vocab_size: int, about: str, parameters: int | None = None) -> Cost:
    """The cost by the configuration alone. Of a network that is not ours only its `parameters` are known, and each is
    taken to be multiplied once a token."""
    if not flops.counts(config):
        known = parameters or 0
        note = "The network is not of nbllm's own parts: its arithmetic is taken as 2 FLOPs a parameter and token."
        return Cost(about, config, {ALL: known}, {ALL: 2.0 * known}, {}, notes=(note,))
    parts = estimate.parameters(config.model, estimate.Shape.of(config, vocab_size))
    parts.pop("total")
    memory = {name: value for name, value in estimate.memory(config, vocab_size).items() if name != "total"}
    cost = Cost(about, config, parts, flops.forward(config, vocab_size), {**memory, "cache": estimate.cache(config)})
    if parameters is not None and parameters != cost.total:
        note = f"The run has {parameters:,} parameters, {cost.total:,} are in a network of its configuration."
        return replace(cost, notes=(note,))
    return cost


def count(number: float) -> str:
    """A number in thousands, millions, ... as it stands before a unit: `1.2 G`."""
    for unit in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} P"


def size(number: float) -> str:
    """Bytes as they are read: `3.3 MB`."""
    return f"{count(number)}B"

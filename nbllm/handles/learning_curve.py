"""LearningCurve: the same training on growing shares of the text, to see what more of it would bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbllm.config import Layers
from nbllm.errors import ConfigError, RunError
from nbllm.handles.series import Series, train_series
from nbllm.handles.train import call_layers
from nbllm.runners import plan

if TYPE_CHECKING:
    import pandas as pd

FRACTIONS = (0.1, 0.25, 0.5, 1.0)


def learning_curve(
    name: str | None = None,
    *,
    data: Any = None,
    fractions: Sequence[float] = FRACTIONS,
    runner: str = "process",
    wait: bool = False,
    replace: bool = False,
    config: Mapping[str, Any] | None = None,
    **settings: Any,
) -> LearningCurve:
    """Train on growing shares of the training text, one run after another, in the background.

    The held-out text and the number of steps are the same for all, so that only the amount of text differs. `data`,
    `config` and `settings` are what `train` takes; the runs are called NAME-use-SHARE.
    """
    layers, data_object = call_layers(data, config, settings)
    return learning_curve_layers(
        name, layers, fractions, data_object=data_object, runner=runner, wait=wait, replace=replace
    )


def learning_curve_layers(
    name: str | None,
    layers: Layers,
    fractions: Sequence[Any] = FRACTIONS,
    *,
    data_object: Any = None,
    runner: str = "process",
    wait: bool = False,
    replace: bool = False,
    command: str = "",
) -> LearningCurve:
    """What `learning_curve` and the magic share."""
    shares = sorted({_share(given) for given in fractions})
    if not shares:
        raise RunError("There is no share of the text.", "Write fractions=(0.1, 0.5, 1.0).")
    budget = plan.configure(layers).train
    if budget.epochs or budget.minutes:
        given = "epochs" if budget.epochs else "minutes"
        raise ConfigError(f"A learning curve keeps the number of steps, and {given} would change it.", "Give steps.")
    variants = {f"use-{share:g}": {"data.use": share} for share in shares}
    stem, runs = train_series(
        name, layers, variants, data_object=data_object, runner=runner, replace=replace, command=command
    )
    found = LearningCurve(stem, runs)
    return found.wait() if wait else found


class LearningCurve(Series):
    """Runs that differ by their share of the training text alone, as a list, with what each has learned."""

    view = "learning_curve"
    part = "use"

    @property
    def table(self) -> pd.DataFrame:
        """A row a run: use (its share), train_tokens, state, best_val_loss, best_step, last_val_loss, bits_per_byte."""
        import pandas as pd

        rows = {}
        for record in self.records:
            row = record.row()
            rows[record.name] = {
                "use": record.config.data.use if record.config is not None else None,
                "train_tokens": record.train_tokens,
                "state": row["state"],
                "best_val_loss": row["best_val_loss"],
                "best_step": row["best_step"],
                "last_val_loss": record.last_loss,
                "bits_per_byte": row["bits_per_byte"],
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run").astype({"best_step": "Int64"})

    def tables(self) -> list[tuple[str, pd.DataFrame]]:
        """The one table."""
        return [("Held-out loss by the amount of text learned from", self.table)]


def _share(given: Any) -> float:
    try:
        share = float(given)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 < share <= 1:
        raise RunError(f"{given!r} is no share of the text.", "Use numbers over 0 and up to 1, as in 0.1 0.5 1.0.")
    return share

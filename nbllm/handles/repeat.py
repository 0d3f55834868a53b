"""Repeats: the same training with several seeds, to see how much of a result is chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbllm.config import Layers
from nbllm.errors import RunError
from nbllm.handles.series import Series, spread, train_series
from nbllm.runners import plan

if TYPE_CHECKING:
    import pandas as pd

MOST = 100
_MEASURED = ("best_val_loss", "bits_per_byte")


def repeat_layers(
    name: str | None,
    layers: Layers,
    seeds: int,
    *,
    data_object: Any = None,
    runner: str = "process",
    wait: bool = False,
    resume: bool = False,
    replace: bool = False,
    command: str = "",
) -> Repeats:
    """What `train(seeds=...)` and the magics share: runs NAME-seed-S, from the configured seed up, in a row."""
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not 1 <= seeds <= MOST:
        raise RunError(f"seeds is {seeds!r}.", "Use the number of runs, as in seeds=5.")
    if resume:
        raise RunError("Several runs do not resume at once.", "Go on with one by its name, and without seeds.")
    first = plan.configure(layers).train.seed
    variants = {f"seed-{seed}": {"train.seed": seed} for seed in range(first, first + seeds)}
    stem, runs = train_series(
        name, layers, variants, data_object=data_object, runner=runner, replace=replace, command=command
    )
    found = Repeats(stem, runs)
    return found.wait() if wait else found


class Repeats(Series):
    """Runs that differ by their seed alone, as a list, with their spread."""

    view = "repeats"
    part = "seed"

    @property
    def each(self) -> pd.DataFrame:
        """A row a run: seed, state, steps, best_val_loss, best_step, bits_per_byte, minutes."""
        import pandas as pd

        rows = {}
        for record in self.records:
            row = record.row()
            seed = record.config.train.seed if record.config is not None else None
            rows[record.name] = {"seed": seed, **{k: row[k] for k in ("state", "steps", "best_val_loss", "best_step")}}
            rows[record.name] |= {"bits_per_byte": row["bits_per_byte"], "minutes": row["minutes"]}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run").astype({"best_step": "Int64"})

    @property
    def table(self) -> pd.DataFrame:
        """Mean, median, min, max and standard deviation of the best held-out loss and of its bits per byte.

        Of the runs that have ended, for one in training will still get better.
        """
        each = self.each
        return spread(each[each["state"].isin(["finished", "stopped"])], _MEASURED).rename_axis("over the seeds")

    def tables(self) -> list[tuple[str, pd.DataFrame]]:
        """The spread, and a row a seed."""
        each = self.each
        ended = int((each["state"].isin(["finished", "stopped"]) & each["best_val_loss"].notna()).sum())
        return [(f"Best held-out loss over {ended} of {len(each)} seeds", self.table), ("Each seed", each)]

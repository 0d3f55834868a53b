"""What each head looked at in the course of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbllm.inspection.heads import KINDS, heads
from nbllm.inspection.maps import AttentionMaps
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False, eq=False)
class HeadCourse:
    """`table`: a row a step and head, with the columns of `AttentionMaps.heads()` behind that of the step."""

    table: pd.DataFrame

    def __repr__(self) -> str:
        steps = self.table.step.unique()
        return f"<HeadCourse of {len(self.table) // max(1, len(steps))} heads over {len(steps)} steps>"

    def to_frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def clearest(self) -> pd.DataFrame:
        """A row a step: of each kind (previous, first, same, induction) the largest share that any head has."""
        return self.table.groupby("step")[list(KINDS)].max()

    def figure(self, score: str | None = None) -> Any:
        """The clearest head of each kind over the steps, or, for one `score`, every head (Plotly)."""
        return VIEWS.get("head_course")(self, score)

    def _repr_png_(self) -> bytes:
        return VIEWS.get("head_course_picture")(self)


def head_course(maps: Mapping[int, AttentionMaps]) -> HeadCourse:
    """The scores of every head at every step of which maps were kept."""
    import pandas as pd

    rows = [heads(found).assign(step=step) for step, found in maps.items()]
    table = pd.concat(rows, ignore_index=True).sort_values(["step", "layer", "head"], ignore_index=True)
    return HeadCourse(table[["step", *(name for name in table if name != "step")]])

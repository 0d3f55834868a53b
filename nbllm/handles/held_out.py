"""The held-out rows of a run that learned from a table: as texts, for what is asked about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nbllm.data.examples import Examples
from nbllm.errors import DataError

MOST = 200


def held_out_rows(folder: Path, objective: Any, most: int = MOST) -> list[dict[str, str]]:
    """At most so many of them, spread evenly, as the tokenizer gives them back: text, label and what else a row has.

    Raises DataError where the folder keeps none.
    """
    if not (folder / "data" / "held_out.json").is_file():
        raise DataError("No held-out rows lie beside this model.", "Give texts of your own, as in texts=['...'].")
    examples = Examples.open(folder / "data" / "held_out")
    if not len(examples):
        raise DataError("The run kept no held-out rows.", "Give texts of your own, as in texts=['...'].")
    chosen = np.linspace(0, len(examples) - 1, min(most, len(examples))).round().astype(int)
    return [objective.row(examples[int(place)]) for place in chosen]

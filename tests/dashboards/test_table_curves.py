"""A table as curves: live, still and as text, with names of the user's escaped."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import nbllm
from nbllm.errors import DataError
from nbllm.plots.overlay import svg
from nbllm.plots.table_curves import table_chart

TABLE = pd.DataFrame(
    {"rnn": [1.0, 0.5, float("nan")], "<b>长短期": [1, 0.9, 0.8]}, index=pd.Index([1, 10, 100], name="n")
)


def test_each_column_is_a_curve() -> None:
    found = nbllm.curves(TABLE, y="share", log_x=True)
    rnn, lstm = found.figure().data
    assert list(rnn.x) == [1, 10, 100]
    assert list(lstm.y) == [1, 0.9, 0.8]
    assert found.figure().layout.xaxis.type == "log"
    assert found.figure().layout.xaxis.title.text == "n"
    assert "<b>" not in lstm.name
    assert "<b>" not in svg(table_chart(TABLE, "n", "share"))
    pixels = np.asarray(Image.open(io.BytesIO(found._repr_png_())).convert("RGB"), dtype=int)
    for colour in ((0, 114, 178), (213, 94, 0)):
        assert (np.abs(pixels - colour).sum(-1) < 60).sum() > 200, "both curves are drawn"


def test_a_series_is_one_curve() -> None:
    assert repr(nbllm.curves(TABLE["rnn"], x="letters")) == "<Curves of rnn by letters>"


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(DataError, match="The word of the table holds no numbers"):
        nbllm.curves(TABLE.assign(word="a"))
    with pytest.raises(DataError, match="The index"):
        nbllm.curves(TABLE.set_axis(["a", "b", "c"]))

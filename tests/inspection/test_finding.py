"""A finding is data: what is kept is read back as the same thing, and what is no finding is not read."""

import json

import numpy as np
import pandas as pd
import pytest

from nbllm.errors import DataError
from nbllm.inspection.finding import MOST_ROWS, Diagram, Finding, Series, keep, kept

NASTY = "<img onerror=alert(1) src=x> \u202e\x00 中文"


def finding(kind="bias", form="bars", rows=3, **changes):
    places = [NASTY, "b", "c"] if form != "lines" else [1.0, 10.0, 100.0]
    series = [
        Series(NASTY, places, [0.5, -0.2, np.nan], [0.1, -0.5, np.nan], [0.9, 0.1, np.nan]),
        Series("second", places[:2], [1.0, 2.0]),
    ]
    table = pd.DataFrame(
        {"text": [NASTY] * rows, "bits": np.linspace(0, 1, rows, dtype=np.float32), "sure": [True] * rows},
        index=pd.Index([f"row {i}" for i in range(rows)], name="pair"),
    )
    table.iloc[0, 1] = np.nan
    parts = {
        "title": "A title " + NASTY, "about": "run " + NASTY, "says": "0.5 bits. " + NASTY, "limits": "Much. " + NASTY,
        "diagram": Diagram(form, series, "place", "bits", 0.0, "none " + NASTY, log=form == "lines"),
        "facts": {"p": np.float64(0.25), "n": np.int64(3), "shown": np.bool_(True), "bad": np.nan},
        "more": {"examples " + NASTY: table.head(1)}, "step": 40,
    }  # fmt: skip
    return Finding(kind, table=table, **{**parts, **changes})


@pytest.mark.parametrize("form", ["bars", "points", "lines"])
def test_what_is_kept_is_read_back_as_the_same(tmp_path, form):
    first = finding(form=form)
    path = keep(first, tmp_path)
    assert path.name == "bias.json"
    assert json.loads(path.read_text(encoding="utf-8"))["format"] == 1
    (second,) = kept(tmp_path)
    assert second.to_json() == first.to_json()
    assert second.facts == {"p": 0.25, "n": 3, "shown": True, "bad": None}
    pd.testing.assert_frame_equal(second.table, first.table, check_dtype=False, rtol=1e-6)
    assert second.diagram.series[0].places == list(first.diagram.series[0].places)
    assert second.figure().to_json() == first.figure().to_json()


def test_a_second_one_of_a_kind_takes_the_place_of_the_first(tmp_path):
    keep(finding(says="old"), tmp_path)
    keep(finding(says="new"), tmp_path)
    keep(finding(kind="balance"), tmp_path)
    assert [(each.kind, each.says[:3]) for each in kept(tmp_path)] == [("balance", "0.5"), ("bias", "new")]


def test_long_tables_are_cut_where_they_are_kept(tmp_path):
    keep(finding(rows=3 * MOST_ROWS), tmp_path)
    assert len(kept(tmp_path)[0].table) == MOST_ROWS


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: None,
        lambda c: [],
        lambda c: {"format": 1},
        lambda c: {**c, "format": 2},
        lambda c: {**c, "kind": "../../config"},
        lambda c: {**c, "says": 3},
        lambda c: {**c, "limits": ""},
        lambda c: {**c, "table": {**c["table"], "rows": "text"}},
        lambda c: {**c, "table": {**c["table"], "index": []}},
        lambda c: {**c, "diagram": {**c["diagram"], "form": "pie"}},
        lambda c: {**c, "diagram": {**c["diagram"], "series": [{**c["diagram"]["series"][0], "values": [1]}]}},
        lambda c: {**c, "facts": [1]},
        lambda c: {**c, "step": "x"},
    ],
)
def test_what_is_no_finding_is_left_out(tmp_path, spoil):
    keep(finding(kind="balance"), tmp_path)
    content = spoil(finding().to_json())
    (tmp_path / "findings" / "bias.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError):
        Finding.from_json(content)
    assert [each.kind for each in kept(tmp_path)] == ["balance"]


def test_files_that_are_no_json_are_left_out(tmp_path):
    keep(finding(kind="balance"), tmp_path)
    for name, text in (("deep", "[" * 200_000), ("half", '{"format": 1, '), ("long", '"' + "x" * 5_000_000 + '"')):
        (tmp_path / "findings" / f"{name}.json").write_text(text, encoding="utf-8")
    assert [each.kind for each in kept(tmp_path)] == ["balance"]


def test_a_folder_without_findings_has_none(tmp_path):
    assert kept(tmp_path) == []


def test_a_finding_says_what_it_does_not_show():
    with pytest.raises(AssertionError):
        finding(limits="")

"""The words on the axes and in the tables of the page: the front end's own helpers, run by Node where it is there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nbllm.dashboards import frontend

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node to run the front end's helpers with")


def answer(tmp_path: Path, expression: str) -> Any:
    """What an expression over the helpers of dom.js gives."""
    file = tmp_path / "ask.mjs"
    text = frontend.module("dom.js")
    file.write_text(f"{text}\nprocess.stdout.write(JSON.stringify({expression}));", encoding="utf-8")
    assert NODE is not None
    return json.loads(subprocess.run([NODE, str(file)], check=True, capture_output=True, encoding="utf-8").stdout)


def test_chinese_words_stand_upright_below_an_axis(tmp_path: Path) -> None:
    found = answer(tmp_path, "across(['今天', '很', '好', '，'], 15)")
    assert found == {"angle": 0, "depth": 24, "texts": ["今<br>天", "很", "好", "，"]}


def test_one_long_label_does_not_turn_the_others(tmp_path: Path) -> None:
    letters = [*"abcdefgh", "<eos>"]
    found = answer(tmp_path, f"across({json.dumps(letters)}, 10)")
    assert (found["angle"], found["texts"]) == (0, [*"abcdefgh", "…"])


def test_long_labels_are_turned_and_escaped(tmp_path: Path) -> None:
    found = answer(tmp_path, "across(['<b>bold', 'The', 'function'], 12)")
    assert (found["angle"], found["texts"]) == (-90, ["&lt;b&gt;bold", "The", "function"])
    assert found["depth"] == 8 * 7
    assert answer(tmp_path, "across(['>', '&', '<'], 10)") == {
        "angle": 0,
        "depth": 12,
        "texts": ["&gt;", "&amp;", "&lt;"],
    }


def test_numbers_that_are_none_are_a_dash(tmp_path: Path) -> None:
    assert answer(tmp_path, "[count(NaN), count(null), count(1234.4), figures(NaN), brief(undefined)]") == [
        "–", "–", "1,234", "–", "–",
    ]  # fmt: skip
    assert answer(tmp_path, "[clip('一二三四', 3), clip('一二三', 3)]") == ["一二…", "一二三"]

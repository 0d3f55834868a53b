"""%llm_predictions and %llm_influence: line, cell and flags, and one line where something is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import nbllm
from tests.magics.shell import run_cell


def test_predictions_by_line_and_by_cell(shell, tiny):
    ran = run_cell(shell, "found = %llm_predictions tiny To be, --top 3 --layers")
    assert ran.error is None, ran.printed
    found = shell.user_ns["found"]
    assert found.tokens == ["T", "o", "␣", "b", "e", ","]
    assert found.lens.names == ["layer 0"]
    assert len(found.alternatives[0]) == 3
    assert found.bits_per_byte == pytest.approx(nbllm.load("tiny").score("To be,"), rel=1e-6)
    ran = run_cell(shell, "who = '世界'\n")
    ran = run_cell(shell, "%%llm_predictions last\n你好，{{who}}。\nTo")
    assert ran.value.tokens == [*"你好，世界。", "⏎", "T", "o"]
    assert "bits a token" in ran.printed
    assert "世" in ran.printed


def test_influence_by_line_and_by_cell(shell, tiny):
    ran = run_cell(shell, '%llm_influence tiny "To be" --method occlusion')
    assert ran.error is None, ran.printed
    again = nbllm.load("tiny").influence("To be", "occlusion")
    np.testing.assert_allclose(ran.value.values, again.values, atol=1e-5)
    assert "<Influence of 6 tokens on 6 answers, by occlusion>" in ran.printed
    ran = run_cell(shell, "%%llm_influence tiny --method integrated --steps 128 --target T --baseline mean\nTo be")
    assert (ran.value.method, ran.value.target) == ("integrated", "T")
    early = run_cell(shell, "%llm_influence tiny To be --step 3").value
    assert not np.allclose(early.values, run_cell(shell, "%llm_influence tiny To be").value.values)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm_predictions", "No run is named"),
        ("%llm_predictions nobody To", "no run 'nobody'"),
        ("%llm_predictions tiny", "no text to look at"),
        ("%llm_predictions tiny To --top many", "--top"),
        ("%llm_predictions tiny To --source x", "Leave source out"),
        ("%llm_influence tiny To --method occlude", "Did you mean 'occlusion'?"),
        ("%llm_influence tiny To --target To", "'To' is 2 tokens here"),
        ("%%llm_influence tiny To\nbe", "Write %%llm_influence RUN, and the text below it."),
    ],
)
def test_a_mistake_is_one_line(shell, tiny, line, said):
    ran = run_cell(shell, line)
    assert ran.error is not None
    assert len(ran.error_lines) == 1
    assert said in ran.error_lines[0]

"""%llm_gates, %llm_units, %llm_filters and %llm_latent_map: line, cell and flags, and mistakes in one line."""

from __future__ import annotations

import numpy as np
import pytest

import nbllm
from nbllm.cli import main
from tests.magics.shell import run_cell

SPOKEN = 'anna said: "ben found the map! the lamp is red!" the boat stood near the mill. ben came. '
QUICK = {"size": "tiny", "steps": 3, "runner": "inline"}


def test_gates_and_units_by_line_and_by_cell(shell, runs, capsys):
    nbllm.train("words", data=[SPOKEN * 40], model="lstm", **QUICK)
    ran = run_cell(shell, "found = %llm_gates words To be --gate cell --layer 0 --sort variance")
    assert ran.error is None, ran.printed
    found = shell.user_ns["found"]
    assert (found.name, found.layer, found.sort) == ("cell", 0, "variance")
    np.testing.assert_array_equal(found["forget"], nbllm.load("words").gates("To be")["forget"])
    assert "half_life" in ran.printed
    assert "over 5 tokens" in ran.printed
    ran = run_cell(shell, f"%%llm_units words --property quote --state hidden\n{SPOKEN * 2}")
    assert ran.error is None, ran.printed
    assert set(ran.value.table.state) == {"hidden"}
    assert "Units that track 'quote'" in ran.printed
    shell.user_ns["vowels"] = [float(c in "aeiou") for c in SPOKEN]
    shell.user_ns["spoken"] = SPOKEN
    ran = run_cell(shell, "%llm_units words {{spoken}} --property {{vowels}}")
    assert ran.error is None, ran.printed
    assert ran.value.wanted.tolist() == shell.user_ns["vowels"]
    capsys.readouterr()
    assert main(["gates", "words", "To be", "--sort", "half_life"]) == 0
    assert main(["units", "words", SPOKEN, "--property", "word"]) == 0
    printed = capsys.readouterr().out
    assert "half_life" in printed
    assert "track 'word'" in printed


def test_filters_and_latent_map(shell, runs):
    nbllm.train("conv", data=["the map, the lamp. " * 100], model="cnn", **QUICK)
    ran = run_cell(shell, "%llm_filters conv the lamp and the map --layer 0")
    assert ran.error is None, ran.printed
    assert ran.value.layer == 0
    assert "ngram" in ran.printed
    assert nbllm.load("conv").receptive_field().field.iloc[0] > 1
    nbllm.train("sentences", data=[f"the map {n}. A lamp {n}! The boat {n}? " for n in range(80)], model="vae", **QUICK)
    ran = run_cell(shell, "%%llm_latent_map sentences --method pca\nthe map.\na lamp!\n\nthe boat?")
    assert ran.error is None, ran.printed
    assert ran.value.texts == ["the map.", "a lamp!", "the boat?"]
    shell.user_ns["texts"] = ["the map.", "a lamp!", "the boat?", "a map!"]
    ran = run_cell(shell, "%llm_latent_map sentences --texts {{texts}}")
    assert len(ran.value.texts) == 4
    assert "units active" in ran.printed
    for line, said in (
        ("%llm_latent_map sentences", "A map needs sentences."),
        ("%llm_latent_map conv --texts {{texts}}", "has no latent space"),
        ("%llm_filters sentences the map", "no filters"),
        ("%llm_gates conv the map", "kind lstm, gru or rnn"),
    ):
        ran = run_cell(shell, line)
        assert ran.error is not None, line
        assert len(ran.error_lines) == 1
        assert said in ran.error_lines[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm_gates tiny To be", "kind lstm, gru or rnn"),
        ("%llm_units tiny To be --property quote", "too few"),
        ("%llm_units tiny {{spoken}} --property qoute", "Did you mean 'quote'?"),
        ("%llm_units tiny {{spoken}} --property quote --state cell", "No layer here has a state 'cell'"),
    ],
)
def test_a_mistake_is_one_line(shell, tiny, line, said):
    shell.user_ns["spoken"] = SPOKEN
    ran = run_cell(shell, line)
    assert ran.error is not None
    assert len(ran.error_lines) == 1
    assert said in ran.error_lines[0]

"""A model with cheaper weights: by a flag, by a call, and what it is refused."""

from __future__ import annotations

import pytest

import nbllm
from nbllm.errors import ModelError
from tests.magics.shell import run_cell


def test_smaller_numbers_write_and_are_not_exported(shell, tiny, tmp_path):
    ran = run_cell(shell, "found = %llm_generate tiny To be --weights int8 --max-tokens 8 --temperature 0")
    assert ran.error is None, ran.printed
    whole = nbllm.load("tiny")
    rounded = nbllm.load("tiny", weights="int8")
    assert shell.user_ns["found"] == rounded.generate("To be", max_tokens=8, temperature=0)
    assert rounded.size() < 0.5 * whole.size()
    text = "To be, or not to be"
    for model in (rounded, nbllm.load("tiny", weights="bfloat16")):
        assert model.score(text) == pytest.approx(whole.score(text), rel=0.02)
        with pytest.raises(ModelError, match="only writes"):
            model.export(tmp_path / "never")
    assert not (tmp_path / "never").exists()
    ran = run_cell(shell, "%llm_generate tiny To be --weights int9")
    assert "There are no weights of kind 'int9'" in ran.printed
    assert "int8" in ran.printed


def test_a_pruned_model_is_exported_and_loaded_as_any(shell, tiny, tmp_path):
    pruned = nbllm.load("tiny").prune(0.5)
    zeros = [float((p == 0).float().mean()) for n, p in pruned.module.named_parameters() if n.endswith("up.weight")]
    assert zeros
    assert all(0.2 < share < 0.8 for share in zeros)
    pruned.export(tmp_path / "pruned")
    again = nbllm.load(tmp_path / "pruned")
    assert again.score("To be, or") == pytest.approx(pruned.score("To be, or"), rel=1e-4)
    assert again.score("To be, or") != nbllm.load("tiny").score("To be, or")

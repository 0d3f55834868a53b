"""%llm_cost and %llm_report: what they ask, what they show, and their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbllm
from tests.magics.shell import run_cell


def test_cost_before_training_and_of_a_run(shell, tiny):
    ran = run_cell(shell, "found = %llm_cost --model lstm --size small")
    assert ran.error is None, ran.printed
    assert shell.user_ns["found"].parameters == nbllm.cost(model="lstm", size="small").parameters
    assert "in training" in ran.printed
    ran = run_cell(shell, "%llm_cost tiny")
    assert ran.printed.startswith("Cost of tiny")
    ran = run_cell(shell, "%llm_cost tiny --model lstm")
    assert "A run and settings are given" in ran.printed


def test_report_is_written_where_it_is_said(shell, tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    ran = run_cell(shell, "page = %llm_report tiny")
    assert ran.error is None, ran.printed
    assert "<h1>" in (tmp_path / "tiny.html").read_text(encoding="utf-8")
    assert "tiny.html" in shell.user_ns["page"]._repr_html_()
    assert run_cell(shell, "%llm_report tiny other.html").error is None
    assert (tmp_path / "other.html").is_file()
    assert "no folder" in run_cell(shell, "%llm_report tiny nowhere/page.html").printed

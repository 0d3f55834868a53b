"""doctor sees what is there, and says what to do where something is not."""

import time

import pytest

from nbllm.runners import doctor as module
from nbllm.runners.doctor import FAIL, OK, WARN, Check, DoctorReport, doctor


def test_it_looks_at_everything_in_a_few_seconds():
    begun = time.process_time()
    report = doctor()
    assert time.process_time() - begun < 10
    found = {check.name: check for check in report.checks}
    for name in ("Python", "torch", "transformers", "ipywidgets", "anywidget", "plotly", "jupyterlab", "device",
                 "CPU threads", "memory", "runs folder", "token cache", "front end", "live widgets", "live charts",
                 "Chinese in pictures", "extras"):  # fmt: skip
        assert name in found
    assert all(check.advice for check in report.checks if check.state != OK)
    assert found["torch"].state == OK


def test_a_folder_that_cannot_be_written_fails(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("NBLLM_RUNS", str(tmp_path / "file"))
    report = DoctorReport(module._runs())
    assert not report.ok
    assert "%config NbLLM.runs" in str(report)


def test_little_memory_is_said(monkeypatch):
    monkeypatch.setattr(module.machine, "memory_free", lambda: 2 * 2**30)
    assert module._memory()[0].state == WARN
    monkeypatch.setattr(module.machine, "memory_free", lambda: 2**29)
    assert module._memory()[0].state == FAIL


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.13.0+cpu", ">=2.9,<3", True),
        ("2.8.1", ">=2.9,<3", False),
        ("3.0", ">=2.9,<3", False),
        ("5.23.0", ">=5.0,<6", True),
        ("0.9.18", ">=0.9.18,<1", True),
        ("0.9.17", ">=0.9.18,<1", False),
        ("2.9", ">=2.9.0,<3", True),
        ("9.9", "", True),
    ],
)
def test_versions(version, wanted, fits):
    assert module._fits(version, wanted) is fits


def test_a_missing_and_an_old_package(monkeypatch):
    missing = module._package("no-such-package", ">=1,<2")
    assert (missing.state, missing.advice) == (FAIL, 'Type: pip install "no-such-package>=1,<2"')
    monkeypatch.setattr(module.metadata, "version", lambda name: "0.1")
    assert module._package("torch", ">=2.9,<3").state == FAIL


def test_a_check_that_breaks_is_a_finding():
    def _broken() -> list[Check]:
        raise ValueError("no such luck")

    (check,) = module._safely(_broken)
    assert (check.state, check.name) == (FAIL, "broken")
    assert "no such luck" in check.found


def test_a_wrong_quota_says_what_to_set(monkeypatch):
    monkeypatch.setenv("NBLLM_DISK_GB", "much")
    found = next(check for check in doctor().checks if "NBLLM_DISK_GB" in check.found)
    assert (found.state, found.advice) == ("fail", "Set it to a number of gigabytes, as in NBLLM_DISK_GB=20.")


def test_the_table_is_escaped():
    page = DoctorReport([Check("<b>", WARN, "<i>", "<u>")])._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "&lt;u&gt;" in page

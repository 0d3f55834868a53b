"""The main story where JupyterLab is not: in Notebook 7, and as an application under Voila."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbllm
from tests.browser.notebooks import Notebooks, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
QUICK = "--size tiny --layers 1 --width 16 --heads 2 --context 16 --batch-size 4 --threads 1"
TRAIN = f"%%llm_train story --data sheep.txt --steps 100000000 {QUICK}\nsample: {{every: 200}}"
GENERATE = "%llm_generate story sheep --max-tokens 40 --seed 1"
_POINTS = "() => document.querySelector('.js-plotly-plot')?.data?.[0]?.x?.length ?? 0"


class Notebook7(Notebooks):
    """Notebook 7, which shares JupyterLab's parts and has its own shell."""

    program = "notebook"
    address = "notebooks/{name}.ipynb?token=t"

    def console_errors(self) -> list[str]:
        """Errors but for Notebook's own: at each start, of an empty notebook too, it misses a setting of JupyterLab."""
        return [each for each in super().console_errors() if "reading 'schema'" not in each]


class Voila(Notebooks):
    """Voila runs the notebook from top to bottom and shows its outputs alone."""

    program = "voila"
    address = "voila/render/{name}.ipynb"
    ready = ""

    def _arguments(self) -> list[str]:
        return ["--Voila.ip=127.0.0.1", "--show_tracebacks=True", str(self.work)]

    def _hear(self, message: Any) -> None:
        # Voila's own: an icon font that it asks for elsewhere, and Notebook's extension, which does not suit it.
        said = message.text + message.location.get("url", "")
        if "cdn.jsdelivr.net" not in said and "@jupyter-notebook/lab-extension" not in said:
            super()._hear(message)

    def _load(self) -> None:
        self.page.goto(f"http://127.0.0.1:{self.port}/{self.address.format(name=self._name)}", timeout=90_000)


def sheep(lab: Notebooks) -> None:
    """A text to train on."""
    lines = (f"{n} sheep jumped over the fence, and then {n + 1} more.\n" for n in range(400))
    (lab.work / "sheep.txt").write_text("".join(lines), encoding="utf-8")


def test_notebook_7(tmp_path: Path) -> None:
    pytest.importorskip("notebook")
    with Notebook7(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1500) as lab:
        sheep(lab)
        with lab.notebook("story", ["%load_ext nbllm", TRAIN, GENERATE]) as page:
            lab.run_cell(0)
            lab.run_cell(1)
            until(lambda: len(lab.drawn_steps(1)) > 2, "the first points")
            seen = lab.drawn_steps(1)[-1]
            until(lambda: lab.drawn_steps(1)[-1] > seen, "more points")
            lab.press(1, "Pause")
            until(lambda: "paused" in lab.state_text(1), "the pause")
            lab.run_cell(2)
            assert lab.output_text(2).strip().startswith("sheep")
            lab.press(1, "Resume")
            until(lambda: lab.status("story").state == "training", "the run goes on")
            page.get_by_role("tab", name="Samples").click()
            until(lambda: "step" in lab.output_text(1), "a sample")
            page.get_by_role("tab", name="Loss").click()
            lab.save()
            lab.reload()
            until(lambda: len(lab.drawn_steps(1)) > 2, "the history after a reload")
            lab.screenshot("notebook-7")
            lab.press(1, "Stop")
            until(lambda: "stopped" in lab.state_text(1), "the stop")
            assert lab.console_errors() == []
        lab.end_runs()


def test_voila(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("voila")
    with Voila(tmp_path, env={"NBLLM_STANDBY": "0"}, height=1100) as lab:
        sheep(lab)
        with lab.notebook("story", ["%load_ext nbllm", TRAIN]) as page:
            until(lambda: page.evaluate(_POINTS) > 2, "the first points", 60)
            seen = page.evaluate(_POINTS)
            until(lambda: page.evaluate(_POINTS) > seen, "more points")
            state = page.locator(".nbllm-live .nbllm-state")
            page.get_by_role("button", name="Pause", exact=True).click()
            until(lambda: "paused" in state.inner_text(), "the pause")
            lab.screenshot("voila")
            assert page.locator(".nbllm-saved:visible").count() == 0, "one view, not two"
            page.get_by_role("button", name="Stop", exact=True).click()
            until(lambda: "stopped" in state.inner_text(), "the stop")
            assert lab.status("story").state == "stopped"
            with page.expect_download() as kept:
                page.get_by_role("button", name="Download", exact=True).click()
            kept.value.save_as(tmp_path / "story.zip")
            monkeypatch.setenv("NBLLM_RUNS", str(tmp_path / "elsewhere"))
            assert len(nbllm.unpack(tmp_path / "story.zip").metrics) > 2
            assert lab.console_errors() == []
        lab.end_runs()

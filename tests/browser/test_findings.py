"""Findings in a real JupyterLab: the chart is drawn, tables open by key, and text of any kind is shown as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbllm.inspection.finding import keep
from tests.browser.notebooks import Notebooks, until
from tests.inspection.test_finding import finding

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=2</script>\u202e שלום 天气"
_PLOTS = "document.querySelectorAll('.js-plotly-plot .cartesianlayer').length"


@pytest.mark.parametrize("dark", [False, True])
def test_findings_are_shown_and_hostile_text_does_nothing(tmp_path: Path, dark: bool) -> None:
    with Notebooks(tmp_path, env={"NBLLM_STANDBY": "0"}, dark=dark, height=2600) as lab:
        folder = lab.runs / "kept"
        folder.mkdir(parents=True)
        keep(finding("bias", "points", says=f"Half a bit. {HOSTILE}", limits=f"Much. {HOSTILE}"), folder)
        keep(finding("exposure", "lines"), folder)
        rows = [{"text": f"she said {HOSTILE}", "label": HOSTILE}, {"text": "he left", "label": "b"}] * 5
        cells = [
            f"%load_ext nbllm\nfrom pathlib import Path\nfrom nbllm.inspection.finding import kept\nrows = {rows!r}",
            f"found = kept(Path({str(folder)!r}))\nfound[0]",
            "found[1]",
            "%llm_balance --data {{rows}}",
        ]
        with lab.notebook("findings", cells) as page:
            for cell in range(len(cells)):
                lab.run_cell(cell)
            until(lambda: page.evaluate(f"() => {_PLOTS}") == 3, "all charts")
            summaries = page.locator(".jp-OutputArea-output summary")
            assert summaries.count() == 6
            for summary in summaries.all():
                summary.focus()
                page.keyboard.press("Enter")
            assert page.evaluate("() => [...document.querySelectorAll('details')].every((d) => d.open)")
            lab.screenshot(f"findings-{'dark' if dark else 'light'}")
            shown = page.locator(".jp-OutputArea").first.page.inner_text(".jp-Notebook")
            assert shown.count("What this does not show") == 3
            assert "window.hacked=1" in shown
            assert page.evaluate("() => window.hacked") is None
            assert page.locator(".jp-OutputArea-output img[src='x']").count() == 0

"""The chapters of the walk: each opens a notebook of the README's cells, and takes a picture at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.browser.camera import Camera
from tests.browser.notebooks import Notebooks, until
from tests.browser.test_front_ends import Notebook7, Voila
from tests.test_readme import blocks

LOAD = "%load_ext nbllm"
STUDIO = "%llm_studio"
LESSONS = ("01-first-model", "01-first-model.zh", "02-text-and-tokens", "04-attention")
TABS = ("Configure", "Watch", "Sample", "Look inside", "Tasks", "Compare", "Report and export")
BAD = [
    "%%llm_train wrong --model lstmm",
    "%%llm_train wrong --data nowhere.txt",
    "%%llm_train wrong\nmodel: {layer: 4}",
    "%%llm_train wrong --size tiny --heads 7",
    '%llm_generate shakespear "To be"',
    '%llm_generate shakespeare "To be" --temprature 2',
    'import nbllm\n\nnbllm.load("nobody")',
    "%llm_task sentimental --train",
]
_LIGHT = "() => document.body.dataset.jpThemeLight === 'true'"
_RED = """() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].filter((cell) => cell.querySelector(
    '[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type="application/vnd.jupyter.error"]'))
    .map((cell) => cell.querySelector('.jp-OutputArea').innerText.slice(0, 300))"""


def told(words: str) -> str:
    """The README's cell in which these words stand."""
    return next(block for block in blocks("python") if words in block).strip()


def shade(page: Any, dark: bool) -> None:
    """JupyterLab's dark theme, or its light one; colours fade for a moment."""
    theme = "JupyterLab Dark" if dark else "JupyterLab Light"
    page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    until(lambda: page.evaluate(_LIGHT) is not dark, "the theme")
    page.wait_for_timeout(1200)


def before(lab: Notebooks, camera: Camera) -> None:
    """The model that the other chapters speak of, where the first is not walked."""
    with lab.notebook("before", [LOAD, "%llm_train shakespeare --data input.txt --size tiny --wait"]):
        lab.run_cell(0)
        lab.run_cell(1)


def start(lab: Notebooks, camera: Camera) -> None:
    """The README's first screen: train, watch, pause, talk to it half-trained, go on, come back."""
    cells = [LOAD, told("%%llm_train shakespeare"), told("%llm_generate shakespeare"), "%llm_runs"]
    cells += ["%llm_attach shakespeare", "%llm_train --help", "import nbllm\n\nrun = nbllm.attach('shakespeare')\nrun"]
    with lab.notebook("start", cells) as page:
        lab.run_cell(0)
        lab.run_cell(1)
        camera.cell(lab, 1, "it starts")
        until(lambda: len(lab.drawn_steps(1)) > 3, "the first points", 120)
        camera.page(page, "it trains")
        until(lambda: lab.drawn_steps(1)[-1] > 15, "more points", 240)
        lab.press(1, "Pause")
        until(lambda: "paused" in lab.state_text(1), "the pause", 60)
        camera.cell(lab, 1, "paused")
        lab.run_cell(2)
        camera.cell(lab, 2, "half-trained it writes")
        lab.press(1, "Resume")
        until(lambda: "finished" in lab.state_text(1), "the end", 400)
        for tab in ("Samples", "Attention", "Network", "Data", "Log", "Loss"):
            page.locator(".nbllm-live").get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_timeout(700)
            camera.cell(lab, 1, f"dashboard {tab}")
        shade(page, dark=True)
        camera.cell(lab, 1, "dashboard, dark")
        shade(page, dark=False)
        for cell, name in ((2, "it writes"), (3, "runs"), (4, "attach"), (5, "help of train"), (6, "a run")):
            lab.run_cell(cell)
            page.wait_for_timeout(700)
            camera.cell(lab, cell, name)


def inside(lab: Notebooks, camera: Camera) -> None:
    """Attention, predictions, influence, the lens, tokens, cost."""
    looks = [
        ("attention as a picture", told('.attention("To be, or not to be")')),
        ("explorer of a run", told(".explore()")),
        ("explorer of a text", '%llm_attention shakespeare "To be, or not to be"'),
        ("predictions", '%llm_predictions shakespeare "To be, or not to be" --layers'),
        ("influence", '%llm_influence shakespeare "To be, or not to be"'),
        ("lens", told("%llm_lens shakespeare")),
        ("tokens", '%llm_tokens "To be, or not 今天天气很好 👍" --tokenizers char byte bpe:2000 shakespeare'),
        ("embeddings", "%llm_embeddings shakespeare --map pca"),
        ("cost", told("%llm_cost --model lstm")),
    ]
    with lab.notebook("inside", [LOAD, "import nbllm", *(cell for _, cell in looks)]) as page:
        lab.run_cell(0)
        lab.run_cell(1)
        for place, (name, _) in enumerate(looks, 2):
            lab.run_cell(place)
            if "explorer" in name:
                drawn = "cell.querySelector('.nbllm-explorer[data-drawn]') !== null"
                until(lambda place=place, drawn=drawn: lab.in_cell(place, drawn), name, 60)  # type: ignore[misc]
            if name == "lens":
                until(lambda: page.locator(".nbllm-lens-token").count() > 20, "the lens", 60)
                page.locator(".nbllm-lens-token").nth(12).click()
                page.locator(".nbllm-lens-row:not(.nbllm-written)").first.click()
                until(lambda: page.locator(".nbllm-lens-branch").count() == 2, "a branch")
            page.wait_for_timeout(1500)
            camera.cell(lab, place, name)
        found = page.locator(".nbllm-explorer").first
        for tab in found.get_by_role("tab").all_inner_texts():
            found.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_timeout(500)
            camera.cell(lab, 3, f"explorer {tab}")
        shade(page, dark=True)
        for place, (name, _) in enumerate(looks, 2):
            camera.cell(lab, place, f"{name}, dark")
        shade(page, dark=False)


def form(lab: Notebooks, camera: Camera) -> None:
    """What a source holds, and the form: another family, a number, a mistake, the cell that it writes."""
    cells = [LOAD, "%llm_data python-docs", "%llm_data zh-phrases --tokenizer word", told("%llm_config words")]
    with lab.notebook("form", cells) as page:
        for cell, name in enumerate(("", "data", "data in Chinese", "form")):
            lab.run_cell(cell)
            if name:
                page.wait_for_timeout(1500)
                camera.cell(lab, cell, name)
        fill_in(lab, camera, page, 3)
        page.get_by_role("button", name="Put it below").click()
        page.wait_for_timeout(500)
        camera.page(page, "the cell that the form wrote")
        page.get_by_label("find a setting").fill("learning rate")
        page.wait_for_timeout(500)
        shade(page, dark=True)
        camera.cell(lab, 3, "form, a setting found, dark")
        shade(page, dark=False)


def fill_in(lab: Notebooks, camera: Camera, page: Any, cell: int) -> None:
    """The form's first changes, and a mistake that it mends."""
    code = page.locator(".nbllm-form-code")
    until(lambda: code.count() == 1, "the form", 60)
    field = lambda path: page.locator(f'.nbllm-form [data-path="{path}"]')  # noqa: E731
    for kind in ("seq2seq", "transformer"):
        field("model.kind").select_option(kind)
        until(lambda kind=kind: f"--model {kind}" in code.inner_text(), "the cell")  # type: ignore[misc]
        page.wait_for_timeout(900)
        camera.cell(lab, cell, f"form {kind}")
    page.locator(".nbllm-form-fold > summary", has_text="Network").first.click()
    field("model.heads").fill("7")
    until(page.locator(".nbllm-form-said > .nbllm-notice").is_visible, "what is wrong")
    page.wait_for_timeout(500)
    camera.cell(lab, cell, "form with a mistake")
    page.get_by_role("button", name="leave heads to itself").click()
    until(lambda: not page.locator(".nbllm-form-said > .nbllm-notice").is_visible(), "that it is mended")


def tasks(lab: Notebooks, camera: Camera) -> None:
    """A task is trained, asked and scored; a chat."""
    cells = [LOAD, told("%llm_task sentiment --train"), told('%llm_task sentiment "Although')]
    cells += ["%llm_playground sentiment", "%llm_chat shakespeare --max-tokens 60", "%llm_task sentiment --leaderboard"]
    cells += ["import nbllm\n\n" + told('nbllm.tasks.get("sentiment").evaluate')]
    with lab.notebook("tasks", cells) as page:
        for cell, name in enumerate(("", "task trains", "task answers", "", "", "leaderboard", "scores")):
            lab.run_cell(cell)
            page.wait_for_timeout(1000)
            if name:
                camera.cell(lab, cell, name)
        play = page.locator(".nbllm-playground")
        play.get_by_label("example").select_option(index=1)
        play.get_by_role("button", name="Run", exact=True).click()
        idle = play.get_by_role("button", name="Stop", exact=True).is_disabled
        for tab in ("Answer", "Influence", "Evaluate"):
            play.get_by_role("tab", name=tab).click()
            if tab == "Evaluate":
                play.get_by_role("button", name="Evaluate", exact=True).click()
            page.wait_for_timeout(1000)
            until(idle, f"the end of {tab}", 120)
            page.wait_for_timeout(300)
            camera.cell(lab, 3, f"playground {tab}")
        chat = page.get_by_label("your message", exact=True)
        chat.fill("Who is there?")
        chat.press("Enter")
        until(lambda: page.locator(".nbllm-chat-turn:not([aria-busy])").count() == 2, "the reply", 60)
        page.locator(".nbllm-chat").get_by_role("button", name="Settings").click()
        page.wait_for_timeout(800)
        camera.cell(lab, 4, "chat")
        shade(page, dark=True)
        camera.cell(lab, 3, "playground, dark")
        camera.cell(lab, 4, "chat, dark")
        shade(page, dark=False)


def judge(lab: Notebooks, camera: Camera) -> None:
    """Another run, both compared, a report, an export, why, doctor; and what is said of mistakes."""
    cells = [LOAD, told('run = nbllm.train("words"'), told("%llm_compare words"), told("%llm_report words")]
    cells += [told("shakespeare-hf"), "%llm_why", "%llm_doctor", "open('short.txt', 'w').write('abc')"]
    cells += ["%llm_train short --data short.txt", "%llm_why short", *BAD]
    names = ("", "curves", "compare", "report", "export", "why", "doctor", "", "a run that fails", "why it failed")
    with lab.notebook("judge", cells) as page:
        for cell, name in enumerate(names):
            lab.run_cell(cell)
            if name == "a run that fails":
                until(lambda: "failed" in lab.state_text(8), "the failure", 60)
            page.wait_for_timeout(1200)
            if name:
                camera.cell(lab, cell, name)
        for cell in range(len(names), len(cells)):
            lab.run_cell(cell)
            camera.cell(lab, cell, f"mistake {cell - len(names) + 1}")
        for dark in (False, True):
            report = lab._browser.new_page(
                viewport={"width": 1300, "height": 1000}, color_scheme=["light", "dark"][dark]
            )  # type: ignore[arg-type]
            report.goto((lab.work / "words.html").as_uri())
            report.wait_for_timeout(1500)
            camera.sheets(report.screenshot(full_page=True), f"report{', dark' if dark else ''}")
            report.close()
        shade(page, dark=True)
        camera.cell(lab, 2, "compare, dark")
        camera.cell(lab, 6, "doctor, dark")
        shade(page, dark=False)


def studio(lab: Notebooks, camera: Camera) -> None:
    """Every tab of the studio, light and dark."""
    with lab.notebook("studio-walk", [LOAD, STUDIO]) as page:
        lab.run_cell(0)
        lab.run_cell(1)
        camera.cell(lab, 1, "studio opens")
        through_tabs(page, lambda name: camera.cell(lab, 1, f"studio {name}"))
        shade(page, dark=True)
        for tab in TABS:
            page.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_timeout(900)
            camera.cell(lab, 1, f"studio {tab}, dark")
        shade(page, dark=False)


def through_tabs(page: Any, picture: Callable[[str], object]) -> None:
    """Each tab of a studio, with what a newcomer would press in it."""
    stage = page.locator(".nbllm-studio-stage")
    made = {
        "Configure": ".nbllm-form-code", "Watch": ".nbllm-live .nbllm-state", "Sample": ".nbllm-lens-token",
        "Look inside": ".nbllm-explorer[data-drawn]", "Tasks": ".nbllm-playground", "Compare": "table:visible",
        "Report and export": ".nbllm-ask:visible",
    }  # fmt: skip
    buttons = {"Look inside": "Look", "Compare": "Compare", "Report and export": "Write the report"}
    until(lambda: page.locator(made["Configure"]).count() > 0, "the studio", 90)
    page.get_by_label("run", exact=True).select_option("shakespeare")
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        if tab in buttons:
            page.get_by_role("button", name=buttons[tab], exact=True).click()
        until(lambda tab=tab: stage.locator(made[tab]).count() > 0, tab, 90)  # type: ignore[misc]
        page.wait_for_timeout(1800)
        picture(tab)


def lessons(lab: Notebooks, camera: Camera) -> None:
    """Notebooks of the tour, run from top to bottom."""
    for name in LESSONS:
        with lab.notebook(name, []) as page:
            count = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
            for cell in range(count):
                lab.run_cell(cell)
            page.wait_for_timeout(2500)
            camera.notebook(lab, name)
            report_red(page, name)


def notebook7(lab: Notebooks, camera: Camera) -> None:
    """Form and studio where the shell is Notebook 7's."""
    with lab.notebook("seven", [LOAD, told("%llm_config words"), STUDIO]) as page:
        for cell in range(3):
            lab.run_cell(cell)
        page.wait_for_timeout(1500)
        camera.page(page, "notebook 7")
        camera.cell(lab, 1, "form in notebook 7")
        for tab in ("Watch", "Look inside"):
            page.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_timeout(2500)
            camera.cell(lab, 2, f"studio in notebook 7, {tab}")


def voila(lab: Notebooks, camera: Camera) -> None:
    """The studio's own notebook as an application."""
    with lab.notebook("studio", []) as page:
        through_tabs(page, lambda name: camera.page(page, f"voila {name}"))


def report_red(page: Any, name: str) -> None:
    """Print what the cells of the open notebook say in red."""
    for text in page.evaluate(_RED):
        print(f"  RED in {name}: {text}")


CHAPTERS: dict[str, tuple[type[Notebooks], Callable[[Notebooks, Camera], None]]] = {
    "before": (Notebooks, before), "start": (Notebooks, start), "inside": (Notebooks, inside),
    "form": (Notebooks, form), "tasks": (Notebooks, tasks), "judge": (Notebooks, judge),
    "studio": (Notebooks, studio), "lessons": (Notebooks, lessons), "notebook7": (Notebook7, notebook7),
    "voila": (Voila, voila),
}  # fmt: skip

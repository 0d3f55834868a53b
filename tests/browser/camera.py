"""Pictures of a page for people to look at, numbered as they are taken, and one page that shows them all."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from tests.browser.notebooks import Notebooks

SHEET = 1500  # px: what is higher is cut into sheets
_HIGH = 15_000  # px: higher pictures are more than Chromium takes
_TALL = """() => Math.max(...[...document.querySelectorAll('.jp-Notebook, .jp-Notebook .jp-WindowedPanel-outer')]
    .map((node) => node.scrollHeight))"""
_UP = """() => document.querySelectorAll('.jp-Notebook, .jp-Notebook .jp-WindowedPanel-outer')
    .forEach((node) => node.scrollTo(0, 0))"""
_NODE = """(i) => { const n = window.jupyterapp.shell.currentWidget.content;
    n.widgets[i].node.scrollIntoView({ block: 'start' }); return n.widgets[i].node; }"""


class Camera:
    """Writes `FOLDER/NN-chapter-name.png`."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.chapter, self.taken = folder, "", [*sorted(folder.glob("*.png"))]

    def cell(self, lab: Notebooks, index: int, name: str) -> None:
        """A cell of the current notebook with its output."""
        node, size = lab.page.evaluate_handle(_NODE, index).as_element(), lab.page.viewport_size
        high = node.bounding_box()["height"] + 250 > size["height"]
        if high:  # it is taken whole
            lab.page.set_viewport_size({**size, "height": min(_HIGH, int(node.bounding_box()["height"]) + 300)})
            lab.page.wait_for_timeout(500)
        self.sheets(node.screenshot(), name)
        if high:
            lab.page.set_viewport_size(size)

    def page(self, page: Any, name: str) -> None:
        """What stands in the window."""
        self.sheets(page.screenshot(), name)

    def notebook(self, lab: Notebooks, name: str) -> None:
        """A whole notebook: the window is made as high as it is."""
        size = lab.page.viewport_size
        lab.page.set_viewport_size({"width": size["width"], "height": min(_HIGH, lab.page.evaluate(_TALL) + 300)})
        lab.page.wait_for_timeout(1500)
        lab.page.evaluate(_UP)
        self.sheets(lab.page.locator(".jp-Notebook").first.screenshot(), name)
        lab.page.set_viewport_size(size)

    def sheets(self, picture: bytes, name: str) -> None:
        """Keep a picture, in sheets where it is too high to be read at once."""
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        ground = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
        box = ImageChops.difference(image, ground).getbbox()
        image = image.crop((0, 0, image.width, min(image.height, box[3] + 12))) if box else image  # nothing below
        stem = re.sub(r"[^\w.-]+", "-", f"{self.chapter}-{name}")
        for sheet, top in enumerate(range(0, image.height, SHEET), 1):
            number = "" if image.height <= SHEET else f"-{sheet}"
            path = self.folder / f"{len(self.taken) + 1:03}-{stem}{number}.png"
            image.crop((0, top, image.width, min(image.height, top + SHEET))).save(path, optimize=True)
            self.taken.append(path)

    def index(self) -> Path:
        """Write the page that shows them all."""
        rows = (f"<h2>{html.escape(path.stem)}</h2><img src='{html.escape(path.name)}'>" for path in self.taken)
        page = self.folder / "index.html"
        page.write_text("<meta charset=utf-8><title>The walk</title>" + "\n".join(rows), encoding="utf-8")
        return page

"""Make the picture at the top of the README from a real run in JupyterLab: `python -m tests.browser.picture`."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image

from tests.browser.notebooks import Notebooks, until

TARGET = Path(__file__).resolve().parents[2] / "docs" / "dashboard.png"
MOST = 150_000  # bytes
CELL = """%%llm_train docs --data python-docs --size tiny --steps 1000
sample: {prompt: "The function ", every: 100}"""


def main() -> None:
    """Train, wait until the run is past its middle, and take the picture of the cell with its dashboard."""
    with tempfile.TemporaryDirectory() as folder, Notebooks(Path(folder), width=1180, height=1000) as lab:
        with lab.notebook("picture", ["%load_ext nbllm", CELL]) as page:
            try:
                lab.run_cell(0)
                lab.run_cell(1)
                until(lambda: (lab.drawn_steps(1) or [0])[-1] > 600, "the middle of the run", 600)
                page.mouse.move(5, 5)
                picture = page.locator(".jp-Notebook .jp-Cell").nth(1).screenshot()
            finally:
                lab.end_runs()
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    TARGET.parent.mkdir(exist_ok=True)
    image.save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    assert size < MOST, f"{size} bytes, more than {MOST}"
    print(f"{TARGET}: {image.width} x {image.height}, {size:,} bytes")


if __name__ == "__main__":
    main()

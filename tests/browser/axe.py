"""axe-core, the checker of accessibility that the web uses, run on a part of a page.

It is not part of this project: npm fetches it once into the user's cache, and tests that need it are skipped where
neither npm nor the registry is at hand. NBLLM_AXE names a copy of axe.min.js that is there already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import platformdirs
from playwright.sync_api import Page

VERSION = "4.14.1"
_RUN = """async (part) => {
    const found = await axe.run(part, { resultTypes: ['violations'] });
    return found.violations.filter((each) => ['serious', 'critical'].includes(each.impact)).flatMap((each) =>
        each.nodes.map((node) => `${each.id}: ${node.target.join(' ')} ${node.failureSummary.replace(/\\s+/g, ' ')}`));
}"""


@cache
def source() -> str | None:
    """The text of axe.min.js, or None where it cannot be had."""
    if given := os.environ.get("NBLLM_AXE"):
        return Path(given).read_text(encoding="utf-8")
    kept = Path(platformdirs.user_cache_dir("nbllm-tests")) / f"axe-{VERSION}.min.js"
    if not kept.is_file() and not _fetch(kept):
        return None
    return kept.read_text(encoding="utf-8")


def _fetch(target: Path) -> bool:
    npm = shutil.which("npm")
    if npm is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(
                [npm, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", folder],
                cwd=folder, check=True, capture_output=True, timeout=60,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return False
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            inside = archive.extractfile("package/axe.min.js")
            assert inside is not None
            content = inside.read()
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(f".{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(target)
    return True


def serious(page: Page, part: str) -> list[str]:
    """The serious and critical violations within the elements that a CSS selector finds, a line each."""
    if not page.evaluate("() => typeof axe === 'object'"):
        page.evaluate(source() or "")
    found: list[str] = page.evaluate(_RUN, part)
    return found

"""Write binder/constraints.txt: every package of nbllm with its extras, one version each, by `python binder/pin.py`.

The resolver is uv, run from an environment of its own that is thrown away, because it resolves for every system and for
Python 3.11 to 3.13 at once: a line with a marker holds where the marker does. After pinning, run `make test`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "binder" / "constraints.txt"
TORCH = "torch==2.13.0"  # the build that figures and tests were made with; a newer one is a change to be measured
HEADER = "# The tested versions, for Linux, macOS and Windows and Python 3.11 to 3.13. Written by `make pin`.\n"


def main() -> None:
    """Resolve and write. Raises CalledProcessError with uv's own words when the ranges cannot be met."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder) / "uv", with_pip=True)
        scripts = Path(folder) / "uv" / ("Scripts" if sys.platform == "win32" else "bin")
        subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
        fixed = Path(folder) / "fixed.txt"
        fixed.write_text(TORCH + "\n", encoding="utf-8")
        command = [str(scripts / "uv"), "pip", "compile", "pyproject.toml", "--extra", "dev", "--universal", "--quiet"]
        command += ["--python-version", "3.11", "--constraint", str(fixed), "--no-header", "--no-annotate"]
        found = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    pins = [line for line in found.stdout.splitlines() if "==" in line and not line.startswith(("-", "#", " "))]
    TARGET.write_text(HEADER + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"{len(pins)} versions in {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

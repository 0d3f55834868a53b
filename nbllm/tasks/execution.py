"""Running code that a model wrote, as far from everything as a plain process can be kept.

A process of its own (`python -I -S`) in an empty folder that is deleted afterwards, with an empty environment, limits
on seconds, memory, file size and open files, and, where Linux lets a user make one, a network that leads nowhere.
It is no jail: the code could still read files that the user may read. Linux and macOS only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from nbllm.errors import ConfigError

SECONDS = 5.0
MEMORY = 1 << 30  # bytes of address space
FILE = 1 << 20  # bytes of a file that is written
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # clone(2)

# Reads the program from its input, so that nothing of it stands in a command line. What it prints at the very end tells
# that the program came to its end: an early exit(0) does not count as a pass.
_DRIVER = f"""
import sys, resource
seconds, mark = int(sys.argv[1]), sys.argv[2]
for name, most in (("CPU", seconds), ("AS", {MEMORY}), ("FSIZE", {FILE}), ("NOFILE", 32), ("CORE", 0)):
    try:
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (most, most))
    except (ValueError, OSError):
        pass
alone = False
try:
    import ctypes
    alone = ctypes.CDLL(None).unshare({_NEW_USER | _NEW_NETWORK}) == 0
except Exception:
    pass
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
except (ValueError, OSError):
    pass
import os
said = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
text = sys.stdin.read()
del sys.argv[1:]
try:
    exec(compile(text, "<answer>", "exec"), {{"__name__": "__main__"}})
except BaseException as error:
    os.write(said, (type(error).__name__ + ": " + str(error))[:300].encode("utf-8", "replace"))
else:
    os.write(said, (mark + " " + str(alone)).encode())
os._exit(0)
"""


@dataclass(frozen=True)
class Outcome:
    """Whether a program ran to its end, what stopped it otherwise, and whether it had no network."""

    passed: bool
    said: str
    offline: bool | None = None


def run_code(program: str, seconds: float = SECONDS) -> Outcome:
    """Run a program apart from this one. ConfigError where this system has no limits for a process."""
    if sys.platform == "win32":
        raise ConfigError("Code is run with limits that Windows lacks.", "Leave out --execute, or use Linux or macOS.")
    mark = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DRIVER, str(max(1, round(seconds))), mark],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder,
            start_new_session=True,
            env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            out, _ = process.communicate(program.encode("utf-8", "replace"), timeout=seconds)
        except subprocess.TimeoutExpired:
            return Outcome(False, f"not done after {seconds:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # with whatever it started
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
    said = out.decode("utf-8", "replace")
    if said.startswith(mark):
        return Outcome(True, "", said.endswith("True"))
    return Outcome(False, said or "it ended before its end")

"""Print the pip option that finds a CPU build of torch: `python binder/torch_index.py cpu|cuda`.

On Linux the registry's own build of torch brings several GB of CUDA libraries. PyTorch's index of CPU builds is used
where it answers within three seconds; otherwise, and on macOS and Windows, nothing is printed and pip's default holds.
"""

from __future__ import annotations

import sys
import threading
import urllib.request

INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 3.0  # seconds, for looking up the name, connecting and answering together


def answers(url: str, patience: float = PATIENCE) -> bool:
    """Whether the address answers in time. The look-up of a name knows no time limit, hence the thread."""
    good: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=patience) as reply:
                good.append(reply.status == 200)
        except OSError:
            good.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return any(good)


def main(choice: str) -> str:
    """The option for this machine and choice, or nothing."""
    if choice == "cuda" or not sys.platform.startswith("linux") or not answers(f"{INDEX}/torch/"):
        return ""
    return f"--extra-index-url {INDEX}"


if __name__ == "__main__":
    print(main(sys.argv[1] if len(sys.argv) > 1 else "cpu"))

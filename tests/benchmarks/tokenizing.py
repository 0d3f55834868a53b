"""Peak memory and speed of `prepare` on a large text, generated for the purpose and deleted.

    python -m tests.benchmarks.tokenizing [OUT.json] [--mb 1000] [--kinds char,bpe]

Each kind runs in a process of its own, whose peak resident memory (ru_maxrss) is reported. The peer is the
`tokenizers` library alone: the same tokenizer, `encode_batch` on the first 50 MB in batches of 1 MB, ids thrown away.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from nbllm.config import resolve
from nbllm.data.builtin import python_docs, python_stdlib, zh_phrases
from nbllm.data.prepare import prepare
from tests.figures.run import ROOT, markdown

PEER_MB = 50


def generate(path: Path, size: int) -> None:
    """A text of `size` bytes: code, English and Chinese, its lines numbered so that no block equals another."""
    blocks = []
    for corpus in (python_docs, python_stdlib, zh_phrases):
        text = "\n".join(corpus())
        blocks += [text[i : i + 50_000] for i in range(0, len(text), 50_000)]
    written = number = 0
    with path.open("wb") as file:
        while written < size:
            lines = blocks[number * 7 % len(blocks)].split("\n")
            block = "".join(f"{line} {number + i}\n" for i, line in enumerate(lines)).encode()
            written += file.write(block[: size - written].decode("utf-8", "ignore").encode() or b"\n")
            number += 1


def measure(text: Path, kind: str, folder: Path) -> dict[str, float]:
    """`prepare` in this process: seconds, peak memory, tokens."""
    config = resolve([("benchmark", {"data": {"source": str(text)}, "tokenizer": {"kind": kind}})])
    stages: dict[str, float] = {}

    def progress(what: str, share: float | None) -> None:
        stages.setdefault(what, time.perf_counter())

    start = time.perf_counter()
    report = prepare(config, text.parent, folder, None, progress)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds": end - start,
        "tokenizing_seconds": end - stages["tokenizing"],
        "peak_bytes": peak,
        "tokens": report["tokens"],
        "vocabulary": report["vocab_size"],
    }


def peer(text: Path, tokenizer: Path, size: int) -> dict[str, float]:
    """The library alone on the first `size` bytes: bytes and seconds."""
    tool = Tokenizer.from_file(str(tokenizer))
    done, seconds = 0, 0.0
    with text.open(encoding="utf-8", newline="") as file:
        while done < size and (lines := file.readlines(1 << 20)):
            start = time.perf_counter()
            tool.encode_batch(lines)
            seconds += time.perf_counter() - start
            done += sum(len(line.encode()) for line in lines)
    return {"bytes": done, "seconds": seconds}


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Generate, measure each kind, delete, print a table, write JSON where a path is given. Returns a row a kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--mb", type=float, default=1000)
    parser.add_argument("--kinds", default="char,bpe")
    parser.add_argument("--child", nargs=4, metavar=("WHAT", "TEXT", "KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        what, text, kind, folder = options.child
        if what == "prepare":
            print(json.dumps(measure(Path(text), kind, Path(folder))))
        else:
            print(json.dumps(peer(Path(text), Path(folder) / "tokenizer.json", int(PEER_MB * 1e6))))
        return []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "text.txt"
        generate(text, int(options.mb * 1e6))
        size = text.stat().st_size
        for kind in options.kinds.split(","):
            folder = Path(place) / f"run-{kind}"
            folder.mkdir()
            ours, alone = (child("tokenizing", what, text, kind, folder) for what in ("prepare", "peer"))
            rows.append(
                {
                    "tokenizer": kind,
                    "text, MB": round(size / 1e6, 1),
                    "peak memory, GB": round(ours["peak_bytes"] / 1e9, 3),
                    "prepare, s": round(ours["seconds"], 1),
                    "prepare, MB/s": round(size / 1e6 / ours["seconds"], 2),
                    "its tokenizing, MB/s": round(size / 1e6 / ours["tokenizing_seconds"], 2),
                    "encode_batch alone, MB/s": round(alone["bytes"] / 1e6 / alone["seconds"], 2),
                    "tokens": ours["tokens"],
                }
            )
            if options.out:
                options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(markdown(rows))
    return rows


def child(name: str, *values: object) -> dict[str, float]:
    """What a benchmark of that name measures with --child and these values, in a process of its own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--child", *map(str, values)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()

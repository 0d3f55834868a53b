"""Speed and peak memory of a streamed text: batches packed from 50 MB that are tokenized on the fly.

    python -m tests.benchmarks.streaming [OUT.json] [--mb 50] [--kinds char,bpe]

The text is generated for the purpose and deleted: one plain file, and the same as Parquet shards read through
`datasets`. Each row is a process of its own that learns the tokenizer, puts the held-out text aside and then takes the
batches of one pass (context 256, batch 32), with no model: the speed is that of the data alone. Beside the peak memory
stands that at the first batch: what the pass adds shows that memory stays flat. The peer is `prepare` and the windows
of its token file, with the tokens on the disk (mapped into memory, which counts as memory here).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nbllm.config import resolve
from nbllm.data.prepare import prepare
from nbllm.data.tokenizers import load
from nbllm.objectives.make import make
from nbllm.runners.corpus import open_corpus
from tests.benchmarks.tokenizing import child, generate
from tests.figures.run import markdown

CONTEXT, BATCH = 256, 32
ROW = 20_000  # bytes of a row of the shards
SHARDS = 4


def shards(text: Path, folder: Path) -> None:
    """The text cut into rows, in a few Parquet files."""
    import pyarrow
    from pyarrow import parquet

    folder.mkdir()
    content = text.read_text(encoding="utf-8")
    rows = [content[i : i + ROW] for i in range(0, len(content), ROW)]
    for part in range(SHARDS):
        some = rows[len(rows) * part // SHARDS : len(rows) * (part + 1) // SHARDS]
        parquet.write_table(pyarrow.table({"text": some}), folder / f"{part}.parquet", row_group_size=100)


def peak() -> int:
    """The most bytes that this process has held. On Linux not `ru_maxrss`, which begins with that of the parent."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(source: str, kind: str, streaming: bool, folder: Path, tokens: int) -> dict[str, float]:
    """One pass in this process: seconds until the first batch and of the pass, tokens, peak memory."""
    settings = {
        "data": {"source": source, "streaming": streaming},
        "tokenizer": {"kind": kind, "sample_mb": 8},
        "train": {"context": CONTEXT, "batch_size": BATCH},
    }
    config = resolve([("benchmark", settings)])
    start = time.perf_counter()
    prepare(config, folder, folder, None, lambda what, share: None)
    corpus = open_corpus(folder / "data", config, make(config, load(folder / "tokenizer.json")), folder)
    corpus.batch(0)
    first, early = time.perf_counter(), peak()
    steps, passes = 1, 0
    while not passes if streaming else steps * BATCH * CONTEXT < tokens:
        corpus.batch(steps)
        passes = corpus.state(steps)["place"]["epoch"] if streaming and steps * BATCH > 1024 else 0
        steps += 1
    end = time.perf_counter()
    return {
        "first_seconds": first - start,
        "pass_seconds": end - first,
        "tokens": steps * BATCH * CONTEXT,
        "early_bytes": early,
        "peak_bytes": peak(),
    }


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Generate, measure, delete, print a table, write JSON where a path is given. Returns a row a source and kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--mb", type=float, default=50)
    parser.add_argument("--kinds", default="char,bpe")
    parser.add_argument(
        "--child", nargs=5, metavar=("SOURCE", "KIND", "HOW", "FOLDER", "TOKENS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    if options.child:
        source, kind, how, folder, tokens = options.child
        print(json.dumps(measure(source, kind, how == "streamed", Path(folder), int(tokens))))
        return []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "text.txt"
        generate(text, int(options.mb * 1e6))
        shards(text, Path(place) / "shards")
        for kind in options.kinds.split(","):
            tokens = 0
            for how, source in (("streamed", str(text)), ("streamed", f"hf:{place}/shards"), ("from files", str(text))):
                folder = Path(place) / f"{kind}-{len(rows)}"
                folder.mkdir()
                found = child("streaming", source, kind, how, folder, tokens)
                tokens = tokens or int(found["tokens"])
                rows.append(
                    {
                        "tokenizer": kind,
                        "text": f"{options.mb:g} MB, " + ("Parquet" if source.startswith("hf:") else "one file"),
                        "how": how,
                        "first batch, s": round(found["first_seconds"], 1),
                        "tokens": int(found["tokens"]),
                        "tokens/s": round(found["tokens"] / found["pass_seconds"]),
                        "peak at the first batch, MB": round(found["early_bytes"] / 1e6),
                        "peak, MB": round(found["peak_bytes"] / 1e6),
                        "tokens on the disk, MB": round(
                            sum(path.stat().st_size for path in folder.rglob("*.bin")) / 1e6, 2
                        ),
                    }
                )
                if options.out:
                    options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(markdown(rows))
    return rows


if __name__ == "__main__":
    main()

"""Tokens a second of training an LSTM, 2 layers of 256, against Keras on torch and on TensorFlow.

    python -m tests.benchmarks.lstm [OUT.json] [--rounds 5] [--python PATH]

Batch 32, context 64, a vocabulary of 65, two threads, Adam. Keras is the tutorials' network (embedding, two LSTMs,
dense softmax) in `fit`; ours is the textbook's too, and beside it the default with residuals and norms. `--python` (or
NBLLM_BENCH_PYTHON) is a Python that has keras with torch or tensorflow (`pip install keras tensorflow-cpu` in an
environment of its own); a peer that it lacks is left out. Each is a process of its own, and they take turns; shown are
medians of the rates, and of the ratios within a round.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from tests.benchmarks.table import options, tell
from tests.figures.run import ROOT

VOCABULARY, CONTEXT, BATCH, UNITS, THREADS, STEPS = 65, 64, 32, 256, 2, 40

KERAS = """
import json, sys, time
import numpy as np
vocabulary, context, batch, units, threads, steps = map(int, sys.argv[1:])
import keras
if keras.backend.backend() == "torch":
    import torch
    torch.set_num_threads(threads)
else:
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
model = keras.Sequential([
    keras.layers.Embedding(vocabulary, units), keras.layers.LSTM(units, return_sequences=True),
    keras.layers.LSTM(units, return_sequences=True), keras.layers.Dense(vocabulary),
])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
ids = np.random.default_rng(0).integers(0, vocabulary, (batch * steps, context + 1))
x, y = ids[:, :-1], ids[:, 1:]
model.fit(x[: batch * 5], y[: batch * 5], batch_size=batch, epochs=1, verbose=0)
began = time.perf_counter()
model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
print(json.dumps(batch * context * steps / (time.perf_counter() - began)))
"""


def ours(plain: bool) -> float:
    """Tokens a second of our step, in this process."""
    import time

    import numpy as np
    import torch

    from nbllm.config import RunConfig
    from nbllm.models.language_model import LanguageModel
    from nbllm.objectives.base import cross_entropy
    from nbllm.training.optim import Optimizers

    torch.set_num_threads(THREADS)
    model = {"kind": "lstm", "layers": 2, "width": UNITS, "plain": plain, "tied": not plain}
    config = RunConfig(model=model, train={"optimizer": "adamw"})
    module = LanguageModel(config.model, VOCABULARY, CONTEXT).train()
    optimizers = Optimizers(module, config.train)
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, CONTEXT + 1)))
    began = 0.0
    for step in range(STEPS + 5):
        if step == 5:
            began = time.perf_counter()
        optimizers.zero_grad()
        cross_entropy(module(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(optimizers.parameters, 1.0)
        optimizers.step(1e-3)
    return BATCH * CONTEXT * STEPS / (time.perf_counter() - began)


def keras(python: str, backend: str) -> float | None:
    """Tokens a second of Keras' fit, in a process of its own; None where that Python has no such Keras."""
    env = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    numbers = map(str, (VOCABULARY, CONTEXT, BATCH, UNITS, THREADS, STEPS))
    done = subprocess.run([python, "-c", KERAS, *numbers], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"Keras on {backend} is left out: {done.stderr.strip().splitlines()[-1]}", flush=True)
        return None
    return float(json.loads(done.stdout.splitlines()[-1]))


def own(plain: bool) -> float:
    """Ours in a process of its own."""
    command = [sys.executable, "-c", f"from tests.benchmarks.lstm import ours; print(ours({plain}))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def measure(rounds: int = 5, python: str | None = None) -> list[dict[str, Any]]:
    """A row a way."""
    python = python or os.environ.get("NBLLM_BENCH_PYTHON") or sys.executable
    ways: dict[str, Any] = {
        "nbllm, textbook LSTM": lambda: own(True),
        "nbllm, default LSTM": lambda: own(False),
        "Keras on torch": lambda: keras(python, "torch"),
        "Keras on TensorFlow": lambda: keras(python, "tensorflow"),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in list(ways.items()):
            found = run()
            if found is None:
                del ways[way]
            else:
                rates[way].append(found)
    rows = []
    for way in ways:
        row: dict[str, Any] = {"LSTM 2x256": way, "tokens/s": round(statistics.median(rates[way]))}
        for peer in ("Keras on torch", "Keras on TensorFlow"):
            if peer in ways:
                pairs = zip(rates[way], rates[peer], strict=True)
                row[f"times {peer}"] = round(statistics.median(a / b for a, b in pairs), 2)
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print a table, and write the figures where a file is named."""
    asked = options(__doc__, rounds=5, python=str)
    tell(measure(asked.rounds, asked.python), asked.out)


if __name__ == "__main__":
    main()

"""Bias, measured in models of made-up text that ties work to women and men, and of text that does not"""

from __future__ import annotations

import math
import os
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from nbllm.inspection.bias_words import ENGLISH

SENTENCES = 6_000
SEEDS = (1, 2, 3)
MODELS: dict[str, dict[str, Any]] = {
    "transformer": {"steps": 400},
    "lstm": {"steps": 400},
    "bert": {"steps": 1600, "objective.mask_share": 0.3},  # an encoder answers for fewer tokens a step
}
_FRAMES = (
    "every day {group} works as {work}.", "in this town {group} is {work}.", "after school {group} became {work}.",
    "they say {group} is {work}.", "for ten years {group} was {work}.", "today {group} met {work}.",
)  # fmt: skip


def text(tied: float, seed: int, sentences: int = SENTENCES) -> str:
    """Sentences about work. A share `tied` of them says of a group what the stereotype says; 0.5 is balanced."""
    rng = random.Random(seed)
    women, men = ENGLISH.groups
    lines = []
    for _ in range(sentences):
        group = rng.choice((women, men))
        other = men if group == women else women
        said = ENGLISH.statements[group if rng.random() < tied else other]
        frame, word = rng.choice(_FRAMES), rng.choice(ENGLISH.groups[group])
        lines.append(frame.format(group=word, work=rng.choice(said)))
    return "\n".join(lines) + "\n"


def trained(folder: Path, tied: float, seed: int, *, steps: int, sentences: int = SENTENCES, **more: Any) -> Any:
    """A model of such a text."""
    import nbllm

    source = folder / f"tied-{tied}-{seed}.txt"
    source.write_text(text(tied, seed, sentences), encoding="utf-8")
    settings = {"size": "tiny", "tokenizer": "word", "seed": seed, "steps": steps, **more}
    run = nbllm.train(f"tied-{tied}-{seed}-{settings.get('model', '')}", data=str(source), runner="inline", **settings)
    assert run.state == "finished", run.error
    return run.load()


def measure() -> list[dict[str, Any]]:
    """A row a model and text: the effect over the seeds, d, and the p of each seed."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        os.environ.update(NBLLM_RUNS=str(Path(name) / "runs"), NBLLM_HOME=str(Path(name) / "home"))  # no queue
        for model, settings in MODELS.items():
            for tied in (0.9, 0.5):
                found = [trained(Path(name), tied, seed, model=model, **settings).bias().facts for seed in SEEDS]
                effects = [facts["effect"] for facts in found]
                rows.append(
                    {
                        "model": model,
                        "text": "biased, 9 to 1" if tied > 0.5 else "balanced",
                        "true effect, bits": round(math.log2(tied / (1 - tied)), 2),
                        "effect, median": round(statistics.median(effects), 3),
                        "lowest": round(min(effects), 3),
                        "highest": round(max(effects), 3),
                        "d, median": round(statistics.median(facts["d"] for facts in found), 2),
                        "p of each seed": ", ".join(f"{facts['p']:.2g}" for facts in found),
                    }
                )
                print(rows[-1], flush=True)
    return rows

"""Why a run failed: from what its error says to what lies behind it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable

from nbllm.handles.explanation import Explanation, Facts
from nbllm.runners.machine import memory_free, memory_limit


def failed(facts: Facts) -> Explanation:
    message = str(facts.status.error.get("message", "")) or "It failed, and its status does not say why."
    advice = str(facts.status.error.get("advice", ""))
    kind = str(facts.status.error.get("kind", ""))
    for kinds, signs, explain in _FAULTS:
        if (not kinds or kind in kinds) and re.search(signs, f"{kind} {message}", re.IGNORECASE):
            found = explain(facts)
            break
    else:
        found = _unforeseen(facts)
    found.evidence.insert(0, message)
    if advice and advice not in found.next:
        found.next.append(advice)
    return found


def _diverged(facts: Facts) -> Explanation:
    table = facts.metrics.train
    evidence, rate = [], facts.config.train.lr if facts.config else None
    if len(table):
        losses, norms = table.array("loss"), table.array("grad_norm")
        evidence.append(
            "losses of the last steps: " + ", ".join(f"{loss:.3g}" for loss in losses[-5:].tolist())
            + "; norms of the gradient: " + ", ".join(f"{norm:.3g}" for norm in norms[-5:].tolist())
        )  # fmt: skip
        rate = float(table.array("lr").max())
    last = facts.folder.checkpoint_steps()
    evidence.append(f"the last good checkpoint is of step {last[-1]:,}" if last else "there is no checkpoint yet")
    lower = f"{rate / 3:.1g}" if rate else "1e-3"
    todo = [f"%llm_train {facts.name} --resume --lr {lower}"] if last else []
    todo += [f"%llm_lr_find {facts.name}"] if last else [f"Train it anew, with --replace --lr {lower}"]
    return facts.explained(
        f"The training diverged: a learning rate of {rate or 0:.2g} is too high here.", evidence, todo
    )


def _memory(facts: Facts) -> Explanation:
    batch = facts.config.train.batch_size if facts.config else None
    evidence = [
        f"{memory_limit() / 1e9:.1f} GB of memory are there for this user, {memory_free() / 1e9:.1f} GB free now"
    ]
    if facts.status.memory_mb:
        evidence.append(f"the worker held {facts.status.memory_mb / 1e3:.2f} GB")
    todo = [f"Train it anew, with --replace and a smaller --batch-size (it was {batch}) or --context"] if batch else []
    todo.append("Or a smaller network: --size mini, --size tiny, or a smaller model.width")
    if facts.status.device.startswith("cuda"):
        todo.append("Other programs may hold the memory of the GPU: nvidia-smi shows them")
    return facts.explained("There was not enough memory.", evidence, todo)


def _disk(facts: Facts) -> Explanation:
    free = shutil.disk_usage(facts.folder.path).free
    evidence = [f"{free / 1e6:,.0f} MB are free in {facts.folder.path.parent} now"]
    todo = [
        "%llm_runs --prune --yes",
        "Or set NBLLM_RUNS to a folder on another disk, and load nbllm anew",
        facts.resume,
    ]
    return facts.explained("The disk is full.", evidence, todo)


def _data(facts: Facts) -> Explanation:
    todo = [f"%llm_data {facts.source}", f"Then train it anew: %llm_train {facts.name} --replace --data ..."]
    return facts.explained("The data cannot be used as it is.", [f"data.source is {facts.source}"], todo)


def _damaged(facts: Facts) -> Explanation:
    steps = facts.folder.checkpoint_steps()
    told = ", ".join(f"{step:,}" for step in steps) or "none"
    return facts.explained("Files of the run are damaged.", [f"whole checkpoints: {told}"], [facts.resume])


def _piece(facts: Facts) -> Explanation:
    return facts.explained("Something that a cell of the notebook defines is not known.", [], [facts.resume])


def _unforeseen(facts: Facts) -> Explanation:
    """An error of the program: its place is the last of the traceback in the log, or the last in a cell's own code."""
    log = facts.folder.log_tail(200)
    places = [line.strip() for line in log if re.match(r'\s*File ".*", line \d+', line)]
    own = [place for place in places if "<ipython" in place or "ipykernel" in place or "/cells/" in place]
    evidence = [f"it happened at: {(own or places)[-1]}"] if places else []
    todo = []
    if own:
        todo.append("The fault lies in code of the notebook: mend its cell, run it, and train again with --replace")
    else:
        todo += ["%llm_doctor", "If the same comes again, report it with the log below"]
    if facts.folder.checkpoint_steps():
        todo.append(facts.resume)
    return facts.explained("The worker met an error that it did not foresee.", evidence, todo)


# Kinds of error (none for any), what its text says, and who explains it. The first that fits is asked.
_FAULTS: list[tuple[tuple[str, ...], str, Callable[[Facts], Explanation]]] = [
    (("Diverged",), "", _diverged),
    (("DataError",), "", _data),
    ((), "OutOfMemory|MemoryError|not enough memory|out of memory|into memory|GB of memory|no memory for", _memory),
    ((), "no space left|disk quota|MB are free", _disk),
    ((), "is not registered here", _piece),
    ((), "(is|are) (missing or )?damaged", _damaged),
]

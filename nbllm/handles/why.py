"""why: what has happened to a run, from its folder alone, with the evidence and what to type next."""

from __future__ import annotations

import re
import time
from pathlib import Path

from nbllm.handles.explanation import Explanation, Facts
from nbllm.handles.run import Run
from nbllm.handles.why_failed import failed
from nbllm.handles.why_lost import lost
from nbllm.store.folder import RunFolder, find_run

_LOG_LINES = 14
_STALE = 60.0  # seconds without a heartbeat


def why(run: Run | str | Path = "last") -> Explanation:
    """Explain the last failure of a run, or how it stands, and say what to type next.

    It reads status, events, log and configuration of the run folder, and what this machine knows of its worker. `run`
    is a name, a folder or a Run; the newest where not given. RunError where there is none.
    """
    folder = RunFolder(run.folder) if isinstance(run, Run) else find_run(run)
    facts = Facts.read(folder)
    state = facts.status.state
    explain = {"failed": failed, "lost": _lost, "stopped": _stopped, "finished": _finished}.get(state, _live)
    found = explain(facts)
    found.evidence += _course(facts)
    found.log = folder.log_tail(_LOG_LINES) if state in ("failed", "lost") else []
    return found


def _lost(facts: Facts) -> Explanation:
    headline, evidence, todo = lost(facts.folder, facts.status)
    steps = facts.folder.checkpoint_steps()
    evidence.append(
        f"the last checkpoint is of step {steps[-1]:,}, the last step told was {facts.status.step:,}"
        if steps
        else "there is no checkpoint: it begins anew"
    )
    return facts.explained(headline, evidence, [*todo, facts.resume])


def _stopped(facts: Facts) -> Explanation:
    said = facts.status.message or "it was asked to stop, by a command or a signal"
    return facts.explained(f"It was stopped at step {facts.status.step:,}: {said}.", [], [facts.resume])


def _finished(facts: Facts) -> Explanation:
    reason = next((str(event.get("reason")) for event in reversed(facts.happened("end"))), "finished")
    said = {
        "patience": "the held-out loss fell no more (train.patience)",
        "time": "its minutes were used up",
    }.get(reason, "it did all of its steps")
    todo = [
        f'%llm_generate {facts.name} "..."',
        f"%llm_train {facts.name} --resume --steps {2 * max(1, facts.status.step)}",
    ]
    return facts.explained(f"It ended as planned at step {facts.status.step:,}: {said}.", [], todo)


def _live(facts: Facts) -> Explanation:
    status = facts.status
    of = f" of {status.steps:,}" if status.steps else ""
    watch = f"%llm_attach {facts.name}"
    told = f" ({status.message})" if status.message else ""
    match status.state:
        case "queued":
            found = facts.explained(
                f"It waits for its turn{told}.", [], [watch, "To let runs train side by side: --no-queue"]
            )
        case "paused":
            found = facts.explained(f"It is paused at step {status.step:,}{of}.", [], [facts.resume])
        case "training":
            found = facts.explained(f"It trains: step {status.step:,}{of}.", [], [watch])
        case _:
            found = facts.explained(f"It is {status.state}{told}.", [], [watch])
    silent = time.time() - status.heartbeat
    if silent > _STALE:
        found.evidence.append(
            f"its worker lives, and has said nothing for {silent:.0f} s: the machine slept, or is short of memory"
        )
    return found


def _course(facts: Facts) -> list[str]:
    """What else has happened on the way, and what the curves say."""
    lines = []
    halved = facts.happened("batch")
    if halved:
        lines.append(
            f"memory ran out at step {halved[-1].get('step', 0):,}: since then each batch is worked through in "
            f"{halved[-1].get('accumulate')} parts"
        )
    resumes = len(facts.happened("resume"))
    if resumes:
        lines.append(f"it went on from a checkpoint {'once' if resumes == 1 else f'{resumes} times'}")
    findings = _findings(facts)
    said = [line for line in facts.status.advice.split(" | ") if line] if facts.status.state != "lost" else []
    lines += findings
    told = [_without_numbers(finding) for finding in findings]  # a run that trains has newer ones in its curves
    lines += [line for line in said if not any(each.startswith(_without_numbers(line)) for each in told)]
    return lines


def _without_numbers(line: str) -> str:
    return re.sub(r"[\d.,e-]*\d", "#", line)


def _findings(facts: Facts) -> list[str]:
    from nbllm.training.diagnosis import diagnose
    from nbllm.training.history import History

    fresh = facts.config is None or facts.config.init_from is None
    history = History.of(facts.metrics, budget=facts.status.steps, fresh=fresh)
    return [finding.text for finding in diagnose(history)]

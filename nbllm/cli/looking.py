"""The terminal's commands that use a trained model: writing, looking inside, findings and tasks."""

from __future__ import annotations

from typing import Any

from nbllm.cli.shown import follow, in_terminal, say
from nbllm.magics.command import Command
from nbllm.magics.parse import Parsed


def generate(command: Command, parsed: Parsed) -> None:
    """Write on from a prompt, as it comes."""
    from nbllm import api
    from nbllm.magics.requests import run_and_prompt, sampling

    run, prompt = run_and_prompt(parsed, None, {})
    settings = sampling(parsed)
    model = api.load(run, step=settings.pop("step", None), weights=settings.pop("weights", "float32"))
    if settings.get("samples", 1) != 1:
        texts: Any = model.generate(prompt, **settings)
        for number, text in enumerate(texts, 1):
            print(f"--- {text.numbered(number)}")
        return
    settings.pop("samples", None)
    before = prompt + model.joint
    if "beams" in settings:
        print(f"{before}{model.generate(prompt, **settings)}")
        return
    for piece in model.stream(prompt, **settings):
        print(before + piece, end="", flush=True)
        before = ""
    print(before)


def look(command: Command, parsed: Parsed) -> None:
    """Look inside a model: every command of magics/tables/looking.py."""
    from nbllm.magics.requests import look

    found = look(command, parsed)
    from nbllm.dashboards.looking import text

    print(text(found))


def audit(command: Command, parsed: Parsed) -> None:
    """Findings of responsible use: every command of magics/tables/auditing.py."""
    from nbllm.magics.audits import audit

    print(audit(command, parsed))


def task(command: Command, parsed: Parsed) -> int:
    """Train a task, answer with it, or score it."""
    from nbllm.dashboards.tasks import text
    from nbllm.magics.applied import apply

    done = apply(parsed, None, {}, "nbllm task", say)
    if done.kind == "train":
        return follow(done.found, f'Try it: nbllm task {done.task.name} "TEXT"; score it: --evaluate')
    print(in_terminal(text(done)))
    return 0


def playground(command: Command, parsed: Parsed) -> None:
    """What the playground would show, in words."""
    from nbllm import api

    print(in_terminal(str(api.playground(*parsed.names))))


def predict(command: Command, parsed: Parsed) -> None:
    """Answer every row of a table."""
    from nbllm.tasks.files import predict_file

    run, source, target = (str(each) for each in parsed.names)
    print(predict_file(run, source, target, parsed.flags.get("task"), parsed.settings))

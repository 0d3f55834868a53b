"""pass@k on problems in HumanEval's format: the chance that one of k answers passes a problem's tests.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", eq. 1: 1 - C(n - c, k) / C(n, k) for n answers of
which c pass, the mean over problems.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.errors import DataError
from nbllm.tasks.execution import Outcome, run_code

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.tasks.base import Task

COLUMNS = ("prompt", "test", "entry_point")
KS = (1, 10, 100)
TEMPERATURE = 0.2  # of several answers to one problem


def add_pass_at_k(
    task: Task, table: pd.DataFrame, data: Any, run: str | None, model: Any, samples: int, limit: int,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    """A row pass@k for each k up to `samples`, added to an evaluation's table with what is known of it in `.attrs`."""
    from nbllm.tasks.choose import choose
    from nbllm.tasks.evaluate import spread

    problems = spread(problems_of(data), limit)
    opened = choose(task, run, model)
    if samples > 1:
        settings = {"temperature": TEMPERATURE, **settings}
    rows = [{"prompt": problem["prompt"]} for problem in problems for _ in range(samples)]
    outcomes: list[Outcome] = []
    for start in range(0, len(rows), task.batch):
        answers = task.answer(opened, rows[start : start + task.batch], **settings)
        for place, answer in enumerate(answers, start):
            outcomes.append(run_code(program(problems[place // samples], str(answer["completion"]))))
    passed = [sum(each.passed for each in outcomes[i : i + samples]) for i in range(0, len(outcomes), samples)]
    for k in KS:
        if k <= samples:
            shares = [pass_at_k(samples, count, k) for count in passed]
            table.loc[f"pass@{k}", "value"] = sum(shares) / len(shares)
    table.attrs["executed"] = len(outcomes)
    table.attrs["offline"] = all(each.offline for each in outcomes if each.offline is not None)


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that one of k answers passes, of n drawn ones of which c do."""
    return 1.0 if n - c < k else 1 - math.comb(n - c, k) / math.comb(n, k)


def program(problem: dict[str, str], completion: str) -> str:
    """The prompt with an answer, the tests, and their call."""
    return f"{problem['prompt']}{completion}\n\n{problem['test']}\n\ncheck({problem['entry_point']})\n"


def problems_of(data: Any) -> list[dict[str, str]]:
    """Problems out of a file, a DataFrame or a list of dicts. DataError where a column is missing."""
    import pandas as pd

    if isinstance(data, str | Path):
        from nbllm.tasks.rows import read_frame

        data = read_frame(str(data), {})
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(list(data or []))
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise DataError(
            f"pass@k needs the columns {', '.join(COLUMNS)}, and there is no {missing[0]}.",
            "Give a file in HumanEval's format: --data FILE.jsonl",
        )
    found = [{name: str(row[name]) for name in COLUMNS} for row in frame.to_dict("records")]
    wrong = next((each["entry_point"] for each in found if not each["entry_point"].isidentifier()), None)
    if wrong is not None or not found:
        raise DataError(f"entry_point is {wrong!r}, no name of a function.", "Write the name that the tests call.")
    return found

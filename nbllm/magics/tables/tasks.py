"""Commands of the application tasks."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag
from nbllm.magics.tables.common import CONFIG, REPLACE, RESUME, RUNNER, WAIT
from nbllm.magics.tables.training import SECTIONS

TABLE: tuple[Command, ...] = (
    Command(
        "task",
        "TASK [INPUT...]",
        "Train a model for a task, try it, or score it: sentiment, translate, qa, ...",
        (
            "%llm_task sentiment --train",
            '%llm_task sentiment "not bad at all"',
            "%llm_task sentiment --evaluate",
            "%llm_task sentiment --train --data reviews.csv --label-column stars --minutes 3",
            "%llm_task sentiment --evaluate --data reviews.csv --label-column stars",
            "%llm_task sentiment --leaderboard",
            '%llm_task qa "Where is the book?" --documents ./notes',
            "%llm_task translate --train --data {{df}} --source en --target fr",
            '%llm_task translate --model hf:some/model "Good morning"',
            "%%llm_task sentiment\nThe food was cold, but we were never bored.",
        ),
        flags=(
            Flag("--train", "", "train a model in the background; every flag of llm_train goes with it", "bool"),
            Flag("--evaluate", "", "metrics with intervals and baselines, on test rows or on --data", "bool"),
            Flag("--errors", "", "the rows that the model gets wrong, of the same rows", "bool"),
            Flag("--leaderboard", "", "every run of the task on the same rows", "bool"),
            Flag("--run", "NAME", "the run that is asked; the task's newest where not given"),
            Flag("--source", "NAME", "the column, or the language, to go from"),
            Flag("--target", "NAME", "the column, or the language, to arrive at"),
            Flag("--limit", "N", "rows that are scored at most [1000]", "int"),
            Flag("--documents", "FOLDER", "qa: answer from these texts, which are searched first"),
            Flag("--execute", "", "code: also pass@k, by running what the model writes in processes apart", "bool"),
            Flag("--samples", "N", "code: with --execute, answers to each problem [1]", "int"),
            Flag("--beams", "N", "writing: the width of a beam search", "int"),
            Flag("--max-tokens", "N", "writing: tokens at most", "int"),
            Flag("--temperature", "X", "writing: 0 takes the likeliest token", "float"),
            Flag("--name", "NAME", "the run's name; the task's where not given"),
            CONFIG,
            RUNNER,
            WAIT,
            RESUME,
            REPLACE,
        ),
        sections=SECTIONS,
        cell="the text to ask about; with --train settings in YAML",
        notes="Without --train, --model names a model to ask: a run, a folder or hf:NAME; --data a table to answer.",
    ),
    Command(
        "chat",
        "[MODEL]",
        "Chat with a model: history, stop, edit and send again, a system text, what it reads of a long dialogue.",
        (
            "%llm_chat",
            "%llm_chat support --max-tokens 60",
            '%llm_chat hf:./my-model --system "You are brief." --temperature 0.7',
        ),
        flags=(
            Flag("--system", "TEXT", "stands before the dialogue"),
            Flag("--max-tokens", "N", "tokens of a reply at most [120]", "int"),
            Flag("--temperature", "X", "0 takes the likeliest token, higher is wilder", "float"),
            Flag("--top-k", "K", "draw from the k likeliest tokens", "int"),
            Flag("--top-p", "P", "draw from the likeliest tokens that make up this share", "float"),
            Flag("--seed", "N", "the same seed writes the same text", "int"),
        ),
        notes="MODEL is a run, a folder or hf:NAME, whose chat template is used; the newest run of the task chat where "
        "none is given. Of a long dialogue the oldest turns are left out.",
    ),
    Command(
        "playground",
        "[TASK]",
        "Try the tasks in one dashboard: a text, a model or two, what moved the answer, scores on a file.",
        ("%llm_playground", "%llm_playground translate"),
    ),
)

"""Commands that help while coding."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag

_WRITING = (
    Flag("--max-tokens", "N", "tokens to write at most", "int"),
    Flag("--temperature", "X", "0, as set, takes the likeliest token; higher is wilder", "float"),
    Flag("--seed", "N", "the same seed writes the same text", "int"),
)

_MODEL = Flag("--model", "NAME", "a folder or hf:NAME instead: a language model of code")

TABLE: tuple[Command, ...] = (
    Command(
        "complete",
        "[RUN]",
        "Complete the code of a cell, and offer it as the next cell. Nothing of it is run.",
        (
            "%%llm_complete\ndef area(width, height):",
            "%%llm_complete code --temperature 0.5 --seed 1\nfor key, value in ",
            "%%llm_complete\ndef area(width, height):\n    <fill>\n    return size",
        ),
        flags=(_MODEL, *_WRITING),
        cell="the code",
        notes="RUN is a run of the task code; its newest where not given. A cell that ends in : or a docstring is gone "
        "on from below, any other in its last line; <fill> is filled in, by a model trained with --fill-middle 0.5. "
        "Train one: %llm_task code --train",
    ),
    Command(
        "explain",
        "NAME",
        "Write a docstring for a function of the notebook, and offer the function with it as the next cell.",
        ("%llm_explain area", "%llm_explain area --run explain"),
        flags=(Flag("--run", "NAME", "a run of the task explain; its newest where not given"), _MODEL, *_WRITING),
        notes="By a causal model of functions with their docstrings: small, so a guess. Train one: "
        "%llm_task explain --train",
    ),
)

"""Commands that write with a model."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag
from nbllm.magics.tables.common import STEP

_SAMPLING = (
    Flag("--max-tokens", "N", "tokens to write at most [200]", "int"),
    Flag("--temperature", "X", "0 takes the likeliest token, higher is wilder [0.8]", "float"),
    Flag("--top-k", "K", "draw from the k likeliest tokens", "int"),
    Flag("--top-p", "P", "draw from the likeliest tokens that make up this share", "float"),
    Flag("--min-p", "P", "leave out tokens less likely than this share of the likeliest", "float"),
    Flag("--repetition-penalty", "X", "above 1 makes tokens already written less likely [1.0]", "float"),
    Flag("--stop", "TEXT", "end where this text comes (may be given several times; \\n is a new line)", repeat=True),
    Flag("--seed", "N", "the same seed writes the same text", "int"),
    Flag("--samples", "N", "texts to write [1]", "int"),
    Flag("--beams", "N", "the likeliest text that a beam search of this width finds, instead of a drawn one", "int"),
    Flag("--length-penalty", "X", "beam search: above 0 favours longer texts [0.6]", "float"),
    Flag("--weights", "KIND", "bfloat16 or int8: smaller numbers, a large model writes quicker [float32]"),
    STEP,
)

TABLE: tuple[Command, ...] = (
    Command(
        "generate",
        "[RUN] [PROMPT...]",
        "Write text with a trained model, or with one that is still training.",
        (
            '%llm_generate shakespeare "To be, or" --max-tokens 200 --temperature 0.8 --top-k 40',
            'text = %llm_generate last "The " --seed 1 --stop "\\n"',
            "%%llm_generate shakespeare --samples 3\nROMEO:\nBut, soft!",
        ),
        flags=_SAMPLING,
        cell="the prompt",
        notes="RUN is a run's name, or last. The result is a str with .tokens and .probabilities.",
    ),
)

"""Filling in what stands between two texts, by a language model that has learned so (Bavarian et al. 2022, "Efficient
Training of Language Models to Fill in the Middle"): <prefix> text <suffix> text <middle>, and the model goes on."""

from __future__ import annotations

from tokenizers import Tokenizer

from nbllm.errors import ModelError

MARKS = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_OTHERS = (MARKS, ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"), ("<PRE>", "<SUF>", "<MID>"),
           ("▁<PRE>", "▁<SUF>", "▁<MID>"), ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"))  # fmt: skip


def marks(tokenizer: Tokenizer) -> tuple[int, int, int] | None:
    """The ids of the three marks, by whatever names; None where the vocabulary has none."""
    for names in _OTHERS:
        ids = [tokenizer.token_to_id(name) for name in names]
        if None not in ids:
            return ids[0], ids[1], ids[2]  # type: ignore[return-value]
    return None


def middle_prompt(tokenizer: Tokenizer, before: str, behind: str, room: int) -> list[int]:
    """The tokens to go on from, at most `room`: of the text before the gap its end, of that behind it its beginning.
    ModelError for a model that has not learned it."""
    found = marks(tokenizer)
    if found is None:
        raise ModelError(
            "This model has not learned to fill in a gap.", "Train one: %llm_task code --train --fill-middle 0.5"
        )
    first, second = (tokenizer.encode(text, add_special_tokens=False).ids for text in (before, behind))
    left = max(2, room - 3)
    kept = min(len(second), max(left // 3, left - len(first)))
    first, second = first[-max(1, left - kept) :] if first else [], second[:kept]
    return [found[0], *first, found[1], *second, found[2]]

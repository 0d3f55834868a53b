"""Everyday words for what a model is to do. Light, so that completion can offer them."""

from __future__ import annotations

from nbllm.config import GOALS
from nbllm.errors import ConfigError, did_you_mean

WORDS: dict[str, str] = {
    word: objective
    for objective, words in {
        "clm": "generate write continue complete story stories poem poetry novel chat code 生成 写作 续写 诗",
        "classification": "classify classifier label sentiment spam topic topics intent emotion 分类 情感",
        "tagging": "extract entities entity ner slots tag 实体 抽取",
        "seq2seq": "translate translation summarize summarise summary correct rewrite convert answer 翻译 摘要",
        "mlm": "fill fill-in cloze mask masked encode encoder embed embeddings pretrain 填空",
        "nsp": "next-sentence pairs coherence",
        "elbo": "vae latent interpolate interpolation autoencode autoencoder",
        "span": "denoise infill",
    }.items()
    for word in words.split()
}
"""Everyday words for a task, to the objective that learns it."""


def objective_of(task: str) -> str:
    """The objective of an everyday word, or of its own name. ConfigError with the nearest one otherwise."""
    word = task.strip().lower().replace("_", "-")
    if word in GOALS:
        return word
    if word in WORDS:
        return WORDS[word]
    hint = did_you_mean(word, [*GOALS, *WORDS])
    raise ConfigError(
        f"There is no task '{task}'.", hint or "Use generate, classify, translate, fill, interpolate, or an objective."
    )

"""What a run shows of itself while it trains: text gone on from, answers to sources, tokens filled in, labels given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nbllm.config import RunConfig, goal_of
from nbllm.generation.decode import generate
from nbllm.generation.writer import REPLACED
from nbllm.objectives.base import IGNORED, Batch, Objective
from nbllm.runners.corpus import Corpus, ExampleCorpus

Sampler = Callable[[int], list[tuple[str, str]]]
SHOWN = 3  # rows of a table


def sampler(module: nn.Module, objective: Objective, config: RunConfig, corpus: Corpus) -> Sampler | None:
    """A function from the step to (prompt, text) pairs, drawn alike every time; None where nothing can be shown."""
    kinds: dict[str, Callable[..., Sampler]] = {
        "next": _writes, "target": _answers, "masked": _fills, "labels": _labels, "latent": _dreams,
    }  # fmt: skip
    kind = kinds.get(goal_of(config.objective).head)
    return kind(module, objective, config, corpus) if kind else None


def _writes(module: nn.Module, objective: Objective, config: RunConfig, corpus: Corpus) -> Sampler:
    """The prompt, or the start of the held-out text, gone on from."""
    tokenizer, sample = objective.task.tokenizer, config.sample
    start = tokenizer.decode(corpus.start(16))
    prompt = sample.prompt or start.rstrip(REPLACED) or start  # of bytes the last may be half a character

    def draw(step: int) -> list[tuple[str, str]]:
        written = generate(
            module, tokenizer, prompt, max_tokens=sample.max_tokens, temperature=sample.temperature,
            top_k=sample.top_k, top_p=sample.top_p, seed=config.train.seed, context=config.train.context,
            prefix=objective.prefix,
        )  # fmt: skip
        return [(prompt, str(text)) for text in written]

    return draw


def _answers(module: nn.Module, objective: Objective, config: RunConfig, corpus: Corpus) -> Sampler:
    """The likeliest answer to the prompt, or to a few held-out sources."""
    task = objective.task
    sources = [config.sample.prompt] if config.sample.prompt else []
    if not sources and isinstance(corpus, ExampleCorpus):
        sources = [task.tokenizer.decode(corpus.held[int(i)]["source"].tolist()) for i in corpus.chosen[::1][:SHOWN]]
    elif not sources:
        batch = next(iter(corpus.held_out(1)))
        sources = [task.tokenizer.decode(batch["source"][0].tolist(), skip_special_tokens=False)]

    def draw(step: int) -> list[tuple[str, str]]:
        found = []
        for source in sources:
            (answer,) = generate(
                module, task.tokenizer, source, max_tokens=config.sample.max_tokens, temperature=0,
                context=task.context, target_tokenizer=task.target_tokenizer, target_context=task.target_context,
            )  # fmt: skip
            found.append((source + answer.joint, str(answer)))
        return found

    return draw


def _dreams(module: nn.Module, objective: Objective, config: RunConfig, corpus: Corpus) -> Sampler:
    """A sentence from the prior, and a held-out one through the latent space and back."""
    from nbllm.generation.latent import reconstruct

    task = objective.task
    assert isinstance(corpus, ExampleCorpus)
    prompt = config.sample.prompt or task.tokenizer.decode(corpus.held[len(corpus.held) // 2]["tokens"].tolist())

    def draw(step: int) -> list[tuple[str, str]]:
        (dream,) = generate(
            module, task.tokenizer, "", max_tokens=config.sample.max_tokens, temperature=config.sample.temperature,
            top_k=config.sample.top_k, top_p=config.sample.top_p, seed=config.train.seed, context=task.context,
        )  # fmt: skip
        back = reconstruct(module, task.tokenizer, prompt, context=task.context)
        return [("prior: ", str(dream)), (f"{prompt} → ", back)]

    return draw


def _fills(module: nn.Module, objective: Objective, config: RunConfig, corpus: Corpus) -> Sampler:
    """Held-out text with its hidden tokens filled in, each as <right> or <said, not right>."""
    batch = {name: tensor[:1] for name, tensor in next(iter(corpus.held_out(1))).items()}
    tokenizer = objective.task.tokenizer

    def draw(step: int) -> list[tuple[str, str]]:
        here = _to(batch, module)
        with torch.no_grad():
            if "targets" in here and here["targets"].ndim == 1:
                logits_N, truth = objective.predict(module, here)
                said = ["follows", "is from elsewhere"][int(logits_N[0].argmax())]
                right = "right" if int(logits_N[0].argmax()) == int(truth[0]) else "wrong"
                return [(_readable(tokenizer, here["tokens"][0].tolist()), f" → {said} ({right})")]
            logits_NV, truth_N = objective.predict(module, here)
        said_N, hidden = logits_NV.argmax(-1).tolist(), (here["targets"][0] != IGNORED).tolist()
        shown, filled, answers = here["tokens"][0].tolist(), [], iter(zip(said_N, truth_N.tolist(), strict=True))
        masked = []
        for token, hides in zip(shown, hidden, strict=True):
            if hides:
                answer, truth_id = next(answers)
                masked.append("▁")
                filled.append(f"[{_readable(tokenizer, [answer])}{'' if answer == truth_id else '✗'}]")
            else:
                masked.append(_readable(tokenizer, [token]))
                filled.append(_readable(tokenizer, [token]))
        return [("".join(masked) + "\n→ ", "".join(filled))]

    return draw


def _labels(module: nn.Module, objective: Objective, config: RunConfig, corpus: Corpus) -> Sampler:
    """The label of the prompt, or of a few held-out texts, and how sure the model is."""
    from nbllm.generation.label import classify

    task = objective.task
    assert isinstance(corpus, ExampleCorpus)
    rows = [int(i) for i in corpus.chosen[:: max(1, len(corpus.chosen) // SHOWN)][:SHOWN]]
    texts = [objective.row(corpus.held[row]) for row in rows]
    if config.sample.prompt:
        texts = [{"text": config.sample.prompt}]

    def draw(step: int) -> list[tuple[str, str]]:
        found = classify(module, objective, [text["text"] for text in texts], [text.get("pair", "") for text in texts])
        said = [max(zip(each, task.labels, strict=True)) for each in found]
        return [
            (f"{text['text']}\n→ ", f"{label} {share:.0%}" + (f" (is {text['label']})" if "label" in text else ""))
            for text, (share, label) in zip(texts, said, strict=True)
        ]

    return draw


def _readable(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.decode(ids)


def _to(batch: Batch, module: nn.Module) -> Batch:
    device = next(module.parameters()).device
    return {name: tensor.to(device) for name, tensor in batch.items()}

"""A text as a question to a model: what the model reads, where its answers stand, and what would be right there.

Every family is asked in its own way and gives answers of one kind, so that what looks at them need not know families: a
language model is asked at each token for the next one, an encoder for each token while that one is hidden, an
encoder-decoder for a target given its source, a VAE for a sentence given where it lies, a classifier for its labels.

R rows that are read, T tokens of a row, N answers, V choices of an answer, B rows of a batch, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.generation.begin import device_of
from nbllm.models.answers import FillsMasks, GivesLabels, WritesTarget
from nbllm.models.encoder import MaskedModel
from nbllm.models.encoder_decoder import EncoderDecoder
from nbllm.models.huggingface.foreign import Foreign, ForeignCausal
from nbllm.models.language_model import LanguageModel
from nbllm.models.stack import Stack
from nbllm.models.vae import VAE

NEXT = -1
"""The right answer where nobody knows it: what would follow the text."""
BUDGET = 1 << 27
"""Numbers that one batch may hold, about: half a gigabyte."""


def log_odds(logits_NV: Tensor, answers_N: Tensor) -> Tensor:
    """log2 p / (1 - p) of each answer, in bits: how much speaks for it and against all others."""
    wide_NV = logits_NV if logits_NV.dtype == torch.float64 else logits_NV.float()
    places_N1 = answers_N[:, None]
    for_N = wide_NV.gather(-1, places_N1).squeeze(-1)
    against_N = wide_NV.scatter(-1, places_N1, -torch.inf).logsumexp(-1)
    return (for_N - against_N) / math.log(2)


@dataclass(frozen=True)
class Question:
    """N answers of a model about a text.

    tokens_RT          what is read: one row, or several windows, or of an encoder a row a hidden token
    rows_N, places_N   where each answer is given
    answers_N          the right ones (NEXT where none is known)
    read               (tokens_BT, rows_N, places_N) -> logits_NV at these places of a batch of such rows
    tokenizer          of the answers; None where they are labels
    inputs             a readable label a token of the first row; unhidden, where tokens are hidden
    embedding          the layer by which the tokens are read; None where the module has none that is known
    stack, head        of our own networks: whose blocks lead to the answers, and what stands on it
    causal             whether an answer surely depends on no token behind its place
    given, ends        whether the text's first token is only read, and whether the last answer is the text's end
    evidence           (logits_NV, answers_N) -> what speaks for each answer, in bits
    """

    tokens_RT: Tensor
    rows_N: Tensor
    places_N: Tensor
    answers_N: Tensor
    read: Callable[[Tensor, Tensor, Tensor], Tensor]
    tokenizer: Tokenizer | None
    inputs: list[str]
    embedding: nn.Module | None = None
    stack: Stack | None = None
    head: nn.Module | None = None
    causal: bool = False
    given: bool = False
    ends: bool = False
    evidence: Callable[[Tensor, Tensor], Tensor] = log_odds


def ask(
    module: nn.Module, objective: Any, text: str, *, source: str | None = None, onward: bool = False
) -> list[Question]:
    """Questions for every token of a text: in windows of the context, without overlap, as a language model is scored.

    A sentence of a VAE and a target are cut to the context. With `onward` one question for the first window alone,
    which also asks what follows the text. Raises ModelError where there is nothing to ask, and for a classifier.
    """
    if isinstance(module, GivesLabels):
        raise ModelError("A classifier predicts labels, not tokens.", "Use .classify(text), or .influence(text).")
    if isinstance(module, WritesTarget):
        if source is None:
            raise ModelError(
                "This model answers a source.", 'Give it too, as in .predictions("target", source="text").'
            )
        return [about_target(module, objective, source, ids_of(objective.target_tokenizer, text))]
    if source is not None:
        raise ModelError("This model reads no source.", "Leave source out.")
    ids = ids_of(objective.task.tokenizer, text)
    if isinstance(module, VAE):
        return [_about_sentence(module, objective, ids)]
    if isinstance(module, FillsMasks) or hasattr(objective, "mask"):
        found = _about_hidden(module, objective, ids)
        return found[:1] if onward else found
    return [_about_next(module, objective, ids)] if onward else _about_text(module, objective, ids)


def about_labels(module: nn.Module, objective: Any, text: str, pair: str = "") -> Question:
    """One answer a label, from the text (and its pair) in the frame that it was trained in."""
    tokenizer = objective.task.tokenizer
    seconds = tokenizer.encode(pair, add_special_tokens=False).ids if pair else []
    tokens, segments = objective.framed(ids_of(tokenizer, text), seconds)
    device = device_of(module)
    tokens_1T, segments_1T = (torch.from_numpy(each).long()[None].to(device) for each in (tokens, segments))

    def read(tokens_BT: Tensor, rows_N: Tensor, places_N: Tensor) -> Tensor:
        real_BT = torch.ones_like(tokens_BT, dtype=torch.bool)
        return module(tokens_BT, real_BT, segments_1T.expand_as(tokens_BT))[rows_N]

    def sigmoid(logits_NL: Tensor, answers_N: Tensor) -> Tensor:
        if objective.several:
            return logits_NL.gather(-1, answers_N[:, None]).squeeze(-1) / math.log(2)
        return logits_NL[:, 0] * (2 * answers_N - 1) / math.log(2)

    answers_N = torch.arange(len(objective.labels), device=device)
    return Question(
        tokens_RT=tokens_1T,
        rows_N=torch.zeros_like(answers_N),
        places_N=torch.zeros_like(answers_N),
        answers_N=answers_N,
        read=read,
        tokenizer=None,
        inputs=_labels(tokenizer, tokens),
        evidence=sigmoid if objective.sigmoid else log_odds,
        **parts(module, objective),
    )


def about_target(module: Any, objective: Any, source: str, target: list[int]) -> Question:
    """Every token of the target and its end, from the source and the right tokens before it. The source is what is
    read."""
    device, task = device_of(module), objective.task
    read_ids = [*objective.before, *ids_of(task.tokenizer, source)[: objective.most], *objective.behind]
    target = target[: (task.target_context or task.context) - 1]
    end = objective.target_end
    inputs_1T, answers_N = (torch.tensor(each, device=device) for each in ([[end, *target]], [*target, end]))

    def read(source_BS: Tensor, rows_N: Tensor, places_N: Tensor) -> Tensor:
        return module(source_BS, inputs_1T.expand(len(source_BS), -1))[rows_N, places_N]

    return Question(
        tokens_RT=torch.tensor([read_ids], device=device),
        rows_N=torch.zeros_like(answers_N),
        places_N=torch.arange(len(answers_N), device=device),
        answers_N=answers_N,
        read=read,
        tokenizer=objective.target_tokenizer,
        inputs=_labels(task.tokenizer, read_ids),
        ends=True,
        **parts(module, objective),
    )


def tokens_together(module: nn.Module) -> int:
    """Tokens that one batch may hold: what a matrix gives out a token, summed over all, is about what a pass keeps."""
    kept = 3 * sum(parameter.shape[0] for parameter in module.parameters() if parameter.ndim > 1)
    return max(1, BUDGET // max(1, kept))


def _about_text(module: nn.Module, objective: Any, ids: list[int]) -> list[Question]:
    """Each token from those before it in its window; the first after <eos>, where the tokenizer has one."""
    read_ids, context = _after_end(objective, ids), objective.task.context
    if len(read_ids) < 2:
        raise ModelError("The text is too short to be predicted.", "Give at least two tokens of text.")
    whole = (len(read_ids) - 1) // context
    cuts = [(0, whole, context), (whole * context, 1, (len(read_ids) - 1) % context)]
    found = []
    for start, rows, length in cuts:
        if rows and length:
            part = torch.tensor(read_ids[start : start + rows * length + 1])
            found.append(_after_each(module, objective, part[:-1].view(rows, length), part[1:]))
    return found


def _about_next(module: nn.Module, objective: Any, ids: list[int]) -> Question:
    """Each token of the first window from those before it, and what follows the text where it ends there."""
    read_ids, context = _after_end(objective, ids), objective.task.context
    answers = [*read_ids[1:], NEXT][: len(read_ids[:context])]
    return _after_each(module, objective, torch.tensor([read_ids[:context]]), torch.tensor(answers))


def _after_each(module: Any, objective: Any, tokens_RT: Tensor, answers_N: Tensor) -> Question:
    tokenizer, device = objective.task.tokenizer, device_of(module)
    rows, length = tokens_RT.shape
    ours = isinstance(module, LanguageModel)
    return Question(
        tokens_RT=tokens_RT.to(device),
        rows_N=torch.arange(rows, device=device).repeat_interleave(length),
        places_N=torch.arange(length, device=device).repeat(rows),
        answers_N=answers_N.to(device),
        read=_reading(module),
        tokenizer=tokenizer,
        inputs=_labels(tokenizer, tokens_RT[0].tolist()),
        causal=(ours and module.stack.causal) or isinstance(module, ForeignCausal),
        given=len(_after_end(objective, [])) == 0,
        **parts(module, objective),
    )


def _about_hidden(module: Any, objective: Any, ids: list[int]) -> list[Question]:
    """Each token from all others of its window, hidden in turn: the pseudo-log-likelihood of Salazar et al. 2020,
    "Masked Language Model Scoring"."""
    if getattr(objective, "mask", None) is None:
        raise ModelError("This model fills in nothing.", "Train one: model: bert, objective: mlm")
    tokenizer, device = objective.task.tokenizer, device_of(module)
    before = [] if objective.cls is None else [objective.cls]
    behind = [] if objective.sep is None else [objective.sep]
    room = max(1, objective.task.context - len(before) - len(behind))
    found = []
    for start in range(0, len(ids), room):
        part = ids[start : start + room]
        framed = torch.tensor([*before, *part, *behind], device=device)
        rows_N = torch.arange(len(part), device=device)
        places_N = rows_N + len(before)
        tokens_RT = framed.repeat(len(part), 1)
        tokens_RT[rows_N, places_N] = objective.mask
        found.append(
            Question(
                tokens_RT=tokens_RT,
                rows_N=rows_N,
                places_N=places_N,
                answers_N=framed[places_N],
                read=_reading(module),
                tokenizer=tokenizer,
                inputs=_labels(tokenizer, framed.tolist()),
                **parts(module, objective),
            )
        )
    return found


def _about_sentence(module: VAE, objective: Any, ids: list[int]) -> Question:
    """Every token of a sentence and its end from those before it, decoded from the mean of where the sentence lies."""
    tokenizer, device, end = objective.task.tokenizer, device_of(module), objective.task.end
    ids = ids[: objective.task.context - 1]
    with torch.no_grad():
        z_1Z, _ = module.encode(torch.tensor([ids], device=device))
    tokens_1T, answers_N = (torch.tensor(each, device=device) for each in ([[end, *ids]], [*ids, end]))

    def read(tokens_BT: Tensor, rows_N: Tensor, places_N: Tensor) -> Tensor:
        return module.decode(tokens_BT, z_1Z.expand(len(tokens_BT), -1))[rows_N, places_N]

    return Question(
        tokens_RT=tokens_1T,
        rows_N=torch.zeros_like(answers_N),
        places_N=torch.arange(len(answers_N), device=device),
        answers_N=answers_N,
        read=read,
        tokenizer=tokenizer,
        inputs=_labels(tokenizer, [end, *ids]),
        causal=True,
        ends=True,
        **parts(module, objective),
    )


def _reading(module: Any) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """How a text is read. The head of our own networks runs on nothing but the places that are asked for."""
    if isinstance(module, LanguageModel):
        return lambda tokens_BT, rows_N, places_N: module.head(module.stack(tokens_BT)[0][rows_N, places_N])
    if isinstance(module, MaskedModel):
        return lambda tokens_BT, rows_N, places_N: module.head(module.hidden(tokens_BT)[rows_N, places_N])
    return lambda tokens_BT, rows_N, places_N: module(tokens_BT)[rows_N, places_N]


def parts(module: Any, objective: Any) -> dict[str, Any]:
    """The layer by which a text is read, the stack that answers, and its head, as far as they are known. Of a module of
    the user's own the first layer that holds the vocabulary reads."""
    if isinstance(module, Foreign):
        part = module.model.get_encoder() if isinstance(module, WritesTarget) else module.model
        return {"embedding": part.get_input_embeddings()}
    if isinstance(module, LanguageModel | MaskedModel):
        return {"embedding": module.stack.embedding, "stack": module.stack, "head": module.head}
    if isinstance(module, EncoderDecoder):
        return {"embedding": module.encoder.embedding, "stack": module.decoder, "head": module.head}
    if isinstance(module, VAE):
        return {"embedding": module.decoder.embedding, "stack": module.decoder, "head": module.head}
    vocab = objective.task.tokenizer.get_vocab_size()
    held = (each for each in module.modules() if isinstance(each, nn.Embedding) and each.num_embeddings >= vocab)
    return {"embedding": next(held, None)}


def _after_end(objective: Any, ids: list[int]) -> list[int]:
    from nbllm.data.tokenizers import end_id

    end = end_id(objective.task.tokenizer)
    return ids if end is None else [end, *ids]


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text. Raises ModelError where there are none."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    if not ids:
        raise ModelError("There is no text to look at.", 'Give some, as in "To be, or not".')
    return ids


def _labels(tokenizer: Tokenizer, ids: Any) -> list[str]:
    from nbllm.data.tokenizers import token_strings

    return token_strings(tokenizer, ids)

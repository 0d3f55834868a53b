"""Which token moved which answer, for networks of every kind: an LSTM has such a heatmap as well as a Transformer.

How it is found, and what the numbers mean, stands in `attribution`. Neutral is the mean of all embeddings, or for an
encoder that of <mask>.

N answers, T tokens that are read, D width.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from nbllm.errors import ModelError, did_you_mean
from nbllm.inspection.asking import NEXT, Question, about_labels, about_target, ask, ids_of
from nbllm.inspection.attribution import METHODS, Look, differentiable
from nbllm.models.answers import GivesLabels, MarksTokens, WritesTarget
from nbllm.models.evaluating import evaluating
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd

STEPS = 64
TOLERANCE = 0.05
"""Share of the difference that integrated gradients may miss before a warning says so."""


@dataclass(frozen=True, repr=False)
class Influence:
    """How much each token that was read (input) speaks for each answer (output), in bits; below 0: against it.

    values    float32 (output, input)
    outputs   a readable label an answer: the tokens that were to be predicted ("→x": what the model itself would say
              next), or the labels of a classifier
    inputs    a readable label a token that was read
    evidence  float32 (output,) log2 p / (1 - p) of each answer, in bits
    method    gradient, integrated or occlusion
    target    the one token whose prediction is explained at every place, where it was asked for
    gap       of integrated gradients: the most by which they miss the difference that they add up to, in bits
    """

    values: np.ndarray
    outputs: list[str]
    inputs: list[str]
    evidence: np.ndarray
    method: str
    target: str = ""
    gap: float | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """(output,) how likely the model held each answer."""
        return 1 / (1 + np.exp2(-self.evidence.astype(np.float64)))

    @property
    def shares(self) -> np.ndarray:
        """float32 (output, input): the values by the sum of their sizes in each row, from -1 to 1."""
        total = np.abs(self.values).sum(1, keepdims=True)
        return np.divide(self.values, total, out=np.zeros_like(self.values), where=total > 0)

    def to_frame(self) -> pd.DataFrame:
        """One row a pair with influence: output, input, output_token, input_token, bits, share."""
        import pandas as pd

        output, input_ = np.nonzero(self.values)
        return pd.DataFrame(
            {
                "output": output,
                "input": input_,
                "output_token": np.array(self.outputs, dtype=object)[output],
                "input_token": np.array(self.inputs, dtype=object)[input_],
                "bits": self.values[output, input_],
                "share": self.shares[output, input_],
            }
        )

    def strongest(self, count: int = 3) -> pd.DataFrame:
        """One row an answer: output, probability, and the tokens that moved it most: token_1, bits_1, token_2, ..."""
        import pandas as pd

        order = np.argsort(-np.abs(self.values), axis=1, kind="stable")[:, :count]
        rows = np.arange(len(self.outputs))
        table: dict[str, Any] = {"output": self.outputs, "probability": self.probabilities}
        for k in range(order.shape[1]):
            bits = self.values[rows, order[:, k]]
            names = np.array(self.inputs, dtype=object)[order[:, k]]
            table |= {f"token_{k + 1}": np.where(bits != 0, names, ""), f"bits_{k + 1}": bits}
        return pd.DataFrame(table)

    def figure(self) -> Any:
        """A heatmap (Plotly), each row in shares of its own; hover shows both tokens, the share and the bits."""
        return VIEWS.get("influence")(self)

    def __repr__(self) -> str:
        return f"<Influence of {len(self.inputs)} tokens on {len(self.outputs)} answers, by {self.method}>"

    def _repr_png_(self) -> bytes:
        return VIEWS.get("influence_picture")(self)


def influence(
    module: nn.Module,
    objective: Any,
    text: str,
    *,
    method: str = "occlusion",
    target: str | None = None,
    pair: str = "",
    baseline: str | None = None,
    steps: int = STEPS,
) -> Influence:
    """Which token moved which answer.

    Of a language model the answers are the tokens of the text and what follows it, each from the tokens before; of an
    encoder every token while it is hidden; of a VAE the sentence, given where it lies; of a classifier its labels (or
    the one label `target`); of an encoder-decoder the `target`, or what it writes itself, from the tokens of the
    source. For the others `target` is one token, whose prediction is explained at every place.

    `baseline` is what neutral is: "mean" (of all embeddings), "zero", or the text of one token. `steps` are the points
    of integrated gradients; a warning says where they were too few. The text is cut to the context, and time grows with
    the square of its tokens. Raises ModelError where it cannot be done.
    """
    if method not in METHODS:
        raise ModelError(f"There is no method '{method}'.", did_you_mean(method, METHODS))
    if steps < 1:
        raise ModelError(f"steps is {steps}.", "Give a whole number from 1, as in steps=64.")
    with evaluating(module), differentiable():
        question, outputs = _question(module, objective, text, target, pair)
        if question.embedding is None:
            raise ModelError(
                f"A {type(module).__name__} has no nn.Embedding that holds its vocabulary.",
                "Let the module read its tokens through one torch.nn.Embedding.",
            )
        if getattr(getattr(module, "stack", None), "bigrams", None) is not None:
            raise ModelError(
                "This network looks up pairs of tokens too, which no vector that could be changed stands for.",
                "Train one without: bigrams: 0.",
            )
        look = Look(module, question, _neutral(objective, question, baseline))
        values_NT = METHODS[method](look, steps)
        evidence_N = look.evidence()
        gap = None
        if method == "integrated":
            difference_N = evidence_N - look.evidence(neutral=True)
            gap = float((values_NT.sum(1) - difference_N).abs().max())
            if gap > TOLERANCE * max(1.0, float(difference_N.abs().max())):
                advice = "use another baseline" if baseline == "zero" else "give more steps"
                warnings.warn(f"{steps} steps miss the difference by {gap:.2g} bits: {advice}.", stacklevel=3)
    single = target is not None and not isinstance(module, GivesLabels | WritesTarget)
    return Influence(
        values_NT.float().cpu().numpy(), outputs, question.inputs, evidence_N.float().cpu().numpy(), method,
        str(target) if single else "", gap,
    )  # fmt: skip


def _question(
    module: nn.Module, objective: Any, text: str, target: str | None, pair: str
) -> tuple[Question, list[str]]:
    """What is asked, and a label an answer."""
    from nbllm.data.tokenizers import token_strings

    if isinstance(module, MarksTokens):
        raise ModelError("A tagger has an answer a token.", "Use .mark(text); influence is for other models yet.")
    if isinstance(module, GivesLabels):
        question, names = about_labels(module, objective, text, pair), list(objective.task.labels)
        if target is None:
            return question, names
        if target not in names:
            raise ModelError(f"There is no label '{target}'.", did_you_mean(target, names))
        chosen = slice(names.index(target), names.index(target) + 1)
        parts = {name: getattr(question, name)[chosen] for name in ("rows_N", "places_N", "answers_N")}
        return replace(question, **parts), [target]
    if pair:
        raise ModelError("Only a classifier reads a pair of texts.", "Leave pair out.")
    if isinstance(module, WritesTarget):
        ids = _written(module, objective, text) if target is None else ids_of(objective.target_tokenizer, target)
        question = about_target(module, objective, text, ids)
        return question, token_strings(objective.target_tokenizer, question.answers_N.tolist())
    (question,) = ask(module, objective, text, onward=True)
    tokenizer, answers_N = objective.task.tokenizer, question.answers_N
    onward_N = answers_N == NEXT
    if target is not None:
        names = token_strings(tokenizer, answers_N.clamp(min=0).tolist())
        answers_N = torch.full_like(answers_N, _one_token(tokenizer, target))
        names = ["→" if onward else name for name, onward in zip(names, onward_N.tolist(), strict=True)]
        return replace(question, answers_N=answers_N), names
    if onward_N.any():
        with torch.no_grad():
            logits_NV = question.read(question.tokens_RT, question.rows_N[onward_N], question.places_N[onward_N])
        answers_N = answers_N.masked_scatter(onward_N, logits_NV.argmax(-1))
    names = token_strings(tokenizer, answers_N.tolist())
    names = [f"→{name}" if onward else name for name, onward in zip(names, onward_N.tolist(), strict=True)]
    return replace(question, answers_N=answers_N), names


def _written(module: nn.Module, objective: Any, source: str) -> list[int]:
    """The likeliest answer to a source, token by token."""
    from nbllm.generation.decode import generate

    task = objective.task
    (answer,) = generate(
        module, task.tokenizer, source, context=task.context, temperature=0.0,
        target_tokenizer=objective.target_tokenizer, target_context=task.target_context,
    )  # fmt: skip
    return answer.ids


def _neutral(objective: Any, question: Question, baseline: str | None) -> Tensor:
    """The vector x0_D that says nothing."""
    layer: Any = question.embedding
    tokens_RT, mask = question.tokens_RT, getattr(objective, "mask", None)
    with torch.no_grad():
        if baseline == "zero":
            return torch.zeros_like(layer(tokens_RT[:1, :1])[0, 0])
        if baseline is None:
            token_id = mask
        else:
            token_id = None if baseline == "mean" else _one_token(objective.task.tokenizer, baseline)
        if token_id is not None:
            return layer(torch.full_like(tokens_RT[:1, :1], token_id))[0, 0]
        every_V = torch.arange(objective.task.tokenizer.get_vocab_size(), device=tokens_RT.device)
        return torch.stack([layer(part[None])[0].sum(0) for part in every_V.split(4096)]).sum(0) / len(every_V)


def _one_token(tokenizer: Tokenizer, text: str) -> int:
    """The id of a text that is one token: of the vocabulary's own (as <mask>), or as it is cut."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    if len(ids) == 1:
        return ids[0]
    token_id = tokenizer.token_to_id(text)
    if token_id is None:
        raise ModelError(f"'{text}' is {len(ids)} tokens here.", "Give the text of one token.")
    return token_id

"""What a model expected at each place of a text, and what each of its layers would have said (the logit lens).

Surprise is -log2 p(token), in bits (Shannon 1948). The logit lens (nostalgebraist 2020, "interpreting GPT: the logit
lens") lets the final norm and the head read the stream after every block, as if the blocks above were not there.

N tokens that are predicted, L layers, K choices that are kept, V vocabulary, D width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.inspection.asking import Question, ask, tokens_together
from nbllm.inspection.capture import outputs
from nbllm.inspection.foreign_layers import blocks_of, said_by_layers
from nbllm.models.evaluating import evaluating
from nbllm.registry import VIEWS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Lens:
    """What each layer would say at each place; the last one is the model's own answer.

    names          of the layers, lowest first
    choices        (L, N, K) the likeliest tokens as readable labels, the likeliest first
    probabilities  float32 (L, N, K) how likely each of them is
    true           float32 (L, N) how likely the true token is
    """

    names: list[str]
    choices: np.ndarray
    probabilities: np.ndarray
    true: np.ndarray


@dataclass(frozen=True, repr=False)
class Predictions:
    """What a model expected at each place of a text.

    tokens         a readable label a token of the text
    probabilities  float64 (N,) how likely the model held the true token
    ranks          (N,) its place among all tokens, 1 for the likeliest
    surprise       float64 (N,) in bits
    lens           what each layer would have said, and the likeliest tokens
    given          the first token where nothing stands before it to predict it from, else empty
    size           bytes of the text that the tokens stand for
    vocabulary     tokens that the model chooses from
    """

    tokens: list[str]
    probabilities: np.ndarray
    ranks: np.ndarray
    surprise: np.ndarray
    lens: Lens
    given: str
    size: int
    vocabulary: int

    @property
    def bits_per_byte(self) -> float:
        """The surprise of the text by its size, as `Model.score` gives it for language models."""
        return float(self.surprise.sum()) / self.size

    @property
    def alternatives(self) -> list[list[tuple[str, float]]]:
        """The likeliest tokens at each place and how likely they are, the likeliest first."""
        return [self.alternatives_at(place) for place in range(len(self.tokens))]

    def alternatives_at(self, place: int) -> list[tuple[str, float]]:
        """The same for one place."""
        choices, shares = self.lens.choices[-1, place], self.lens.probabilities[-1, place]
        return [(str(token), float(share)) for token, share in zip(choices, shares, strict=True)]

    def to_frame(self) -> pd.DataFrame:
        """One row a token: position, token, probability, rank, surprise in bits, and the likeliest tokens beside it as
        best_1, p_1, best_2, p_2, ..."""
        import pandas as pd

        position = np.arange(len(self.tokens)) + bool(self.given)
        table: dict[str, Any] = {
            "position": position, "token": self.tokens, "probability": self.probabilities, "rank": self.ranks,
            "surprise": self.surprise,
        }  # fmt: skip
        for k in range(self.lens.choices.shape[2]):
            table |= {f"best_{k + 1}": self.lens.choices[-1, :, k], f"p_{k + 1}": self.lens.probabilities[-1, :, k]}
        return pd.DataFrame(table)

    def lens_frame(self) -> pd.DataFrame:
        """One row a layer and token: layer, position, token, the layer's likeliest token (best) and how likely it is
        (probability), and how likely the true token is there (true_probability)."""
        import pandas as pd

        layer, place = np.indices(self.lens.true.shape).reshape(2, -1)
        return pd.DataFrame(
            {
                "layer": np.array(self.lens.names, dtype=object)[layer],
                "position": place + bool(self.given),
                "token": np.array(self.tokens, dtype=object)[place],
                "best": self.lens.choices[layer, place, 0],
                "probability": self.lens.probabilities[layer, place, 0],
                "true_probability": self.lens.true[layer, place],
            }
        )

    def figure(self, first: int = 0) -> Any:
        """The layers by the tokens as a heatmap (Plotly), the likeliest token written in each cell; hover shows the
        others. At most 64 tokens, from `first` on."""
        return VIEWS.get("predictions")(self, first)

    def __repr__(self) -> str:
        bits = float(self.surprise.mean()) if len(self.tokens) else 0.0
        return f"<Predictions of {len(self.tokens):,} tokens, {bits:.2f} bits a token>"

    def _repr_html_(self) -> str:
        return VIEWS.get("predictions_page")(self)

    def picture(self, first: int = 0) -> bytes:
        """The same as `figure` as a still picture (PNG)."""
        found: bytes = VIEWS.get("predictions_picture")(self, first)
        return found


def predictions(
    module: nn.Module, objective: Any, text: str, *, top: int = 10, layers: bool = False, source: str | None = None
) -> Predictions:
    """How likely each token of the text was, with the `top` likeliest tokens in its place.

    A language model is asked for each token after those before it, in windows of its context; an encoder for each token
    while that one is hidden (Salazar et al. 2020); an encoder-decoder for the text as the target of `source`; a VAE for
    the sentence given where it lies. With `layers` every block is asked, of a model of transformers with a pass each.
    Raises ModelError for a classifier, for no text, and where the layers of a network are not known.
    """
    if top < 1:
        raise ModelError(f"top is {top}.", "Give a whole number from 1, as in top=10.")
    questions = ask(module, objective, text, source=source)
    if layers and questions[0].stack is None and not blocks_of(module):
        raise ModelError(
            f"The layers of a {type(module).__name__} cannot be read by the lens.",
            "Leave layers out, as in .predictions(text).",
        )
    with torch.inference_mode(), evaluating(module):
        told = [each for question in questions for each in _tell(module, question, top, layers)]
    logs_NL, ranks_N, ids_NLK, shares_NLK = (torch.cat(parts).cpu().numpy() for parts in zip(*told, strict=True))
    from nbllm.data.tokenizers import token_strings

    tokenizer = questions[0].tokenizer
    assert tokenizer is not None, "what predicts tokens has a tokenizer"
    known, where = np.unique(ids_NLK, return_inverse=True)
    choices_NLK = np.array(token_strings(tokenizer, known), dtype=object)[where].reshape(ids_NLK.shape)
    names = [f"layer {index}" for index in range(logs_NL.shape[1])] if layers else ["model"]
    nats_N = logs_NL[:, -1].astype(np.float64)
    return Predictions(
        tokens=token_strings(tokenizer, [i for question in questions for i in question.answers_N.tolist()]),
        probabilities=np.exp(nats_N),
        ranks=ranks_N,
        surprise=-nats_N / math.log(2),
        lens=Lens(names, choices_NLK.swapaxes(0, 1), shares_NLK.swapaxes(0, 1), np.exp(logs_NL).T),
        given=questions[0].inputs[0] if questions[0].given else "",
        size=_size(tokenizer, text, questions),
        vocabulary=tokenizer.get_vocab_size(),
    )


def _tell(module: nn.Module, question: Question, top: int, layers: bool) -> Iterator[tuple[Tensor, ...]]:
    """The answers to a question, a batch of its rows at a time: log-likelihoods of the true tokens (N, L), their ranks
    (N,), and the likeliest tokens and how likely they are (N, L, K)."""
    rows, length = question.tokens_RT.shape
    together = max(1, tokens_together(module) // length)
    for start in range(0, rows, together):
        chosen_N = (question.rows_N >= start) & (question.rows_N < start + together)
        rows_N, places_N = question.rows_N[chosen_N] - start, question.places_N[chosen_N]
        answers_N1 = question.answers_N[chosen_N][:, None]
        tokens_BT = question.tokens_RT[start : start + together]
        blocks = (list(question.stack.blocks) if question.stack is not None else blocks_of(module)) if layers else []
        with outputs(blocks) as found:
            logits_NV = question.read(tokens_BT, rows_N, places_N)
        if question.stack is not None:
            said = [_lens(question, found[index][rows_N, places_N]) for index in range(len(blocks))] or [logits_NV]
        else:
            said = said_by_layers(blocks, found, partial(question.read, tokens_BT, rows_N, places_N), logits_NV)
        logs = [_wide(each_NV).log_softmax(-1) for each_NV in said]
        best = [each_NV.topk(min(top, each_NV.shape[-1])) for each_NV in logs]
        yield (
            torch.stack([each_NV.gather(-1, answers_N1).squeeze(-1) for each_NV in logs], dim=1),
            1 + (logits_NV > logits_NV.gather(-1, answers_N1)).sum(-1),
            torch.stack([each.indices for each in best], dim=1),
            torch.stack([each.values.exp() for each in best], dim=1),
        )


def _lens(question: Question, x_ND: Tensor) -> Tensor:
    """What the final norm and the head say of the stream behind a block: logits_NV."""
    assert question.stack is not None
    assert question.head is not None
    return question.head(question.stack.norm(x_ND))


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _size(tokenizer: Tokenizer, text: str, questions: list[Question]) -> int:
    """Bytes of the text that were asked for: without a first token that is only read, and without what was cut."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    given, ends = questions[0].given, questions[-1].ends
    asked = sum(len(question.answers_N) for question in questions) - ends + given
    start = encoding.offsets[0][1] if given else 0
    stop = len(text) if asked >= len(encoding.ids) else encoding.offsets[asked - 1][1]
    return len(text[start:stop].encode())

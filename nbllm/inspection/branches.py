"""A text that a model writes, with all that it might have written at each place; and other ways to go on from there.

A branch shares the tokens of its parent up to the place where it parts, begins there with another token (or is drawn
anew), and goes on by itself. Of each place the largest logits are kept as they are, in order, and of all others their
mass at each of some temperatures: so a page can show exactly what temperature, top k, top p and min p do there.

N logits that are kept, K of them with their tokens, V vocabulary, B = 1 row, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from nbllm.errors import ModelError, did_you_mean
from nbllm.generation.begin import Beginning, begin, device_of
from nbllm.generation.reader import TextReader
from nbllm.generation.sampling import Sampler
from nbllm.inspection.next_tokens import goes_on, logits_of
from nbllm.models.evaluating import evaluating

if TYPE_CHECKING:
    import pandas as pd

TEMPERATURES = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""Those at which the mass of what is not kept is known."""
KEPT = 1024
NAMED = 24
MOST = 400  # tokens of a text that is looked at so closely


@dataclass(frozen=True)
class Spread:
    """What may stand at a place.

    logits   float32 (N,) the largest, in order
    ids      (K,) the tokens of the first of them
    labels   the same, readable
    size     tokens that may stand here, of which the logits are the N largest
    rest     (temperatures,) log of the sum of exp((logit - largest) / temperature) over the others; empty for none
    """

    logits: np.ndarray
    ids: list[int]
    labels: list[str]
    size: int
    rest: list[float]


@dataclass(frozen=True)
class Token:
    """A token of a text. `bits` is its surprise, `rank` its place among all tokens; None for one that is only read."""

    id: int
    label: str
    bits: float | None = None
    rank: int | None = None
    spread: Spread | None = None

    @property
    def probability(self) -> float | None:
        """How likely the model itself held it."""
        return None if self.bits is None else float(2.0**-self.bits)


@dataclass
class Branch:
    """A text from the place `at` on, where it parts from its parent; the first one begins with the prompt."""

    number: int
    parent: int | None
    at: int
    own: list[Token]
    settings: dict[str, Any]
    ended: bool = False


class Branches:
    """The prompt with what a model wrote, and the other ways to go on that were asked for."""

    def __init__(self, module: nn.Module, objective: Any, prompt: str, usual: dict[str, Any], **settings: Any):
        self.module = module
        self.objective = objective
        self.tokenizer = usual.get("target_tokenizer") or objective.task.tokenizer
        self.prompt = prompt
        self.usual = usual
        self.all: list[Branch] = []
        self.settings: dict[str, Any] = {
            "temperature": usual.get("temperature", 0.8), "top_k": None, "top_p": None, "min_p": None,
            "max_tokens": 40, "seed": 1,
        }  # fmt: skip
        self.settings |= self._known(settings)
        self._usual = {key: value for key, value in usual.items() if key != "temperature"}
        self._prefix = bool(usual.get("prefix"))
        self._plain = goes_on(module, objective) and not self._prefix
        beginning = self._begin(self._prompt_ids(), 1)  # says at once what such a model cannot do
        self.joint = beginning.joint
        self.given = [] if not self._plain and not prompt else self._read()

    def _prompt_ids(self) -> list[int]:
        ids = self.objective.task.tokenizer.encode(self.prompt, add_special_tokens=False).ids if self._plain else []
        if len(ids) > MOST:
            raise ModelError(f"The prompt has {len(ids):,} tokens.", f"Look at {MOST} at most.")
        return ids

    def write(self, **settings: Any) -> Iterator[Token]:
        """Write the first branch from the prompt, or another one from there, token by token."""
        if not self.all:
            return self._write(None, 0, list(self.given), settings)
        return self._write(0, len(self.given), [], settings)

    def branch(self, number: int, place: int, token: int | str | None = None, **settings: Any) -> Iterator[Token]:
        """Write a branch that parts from another one at a place (0 for the first token of the prompt), with another
        token there: its number, or its label among the likeliest; without one, drawn anew. Raises ModelError for a
        place that has no choice."""
        parent = self.of(number)
        tokens = self.tokens(parent)
        if not 0 <= place < len(tokens) or (spread := tokens[place].spread) is None:
            raise ModelError(f"Nothing can be chosen at place {place}.", "Give the place of a token with alternatives.")
        if token is None:
            return self._write(parent.number, place, [], settings)
        if isinstance(token, str):
            if token not in spread.labels:
                raise ModelError(f"'{token}' is not among the likeliest there.", f"Try '{spread.labels[0]}'.")
            token = spread.ids[spread.labels.index(token)]
        if not 0 <= token < self.tokenizer.get_vocab_size():
            raise ModelError(f"There is no token {token}.", f"Give 0 to {self.tokenizer.get_vocab_size() - 1}.")
        first = self._chosen(token, spread)
        return self._write(parent.number, place, [first], settings)

    def remove(self, number: int) -> None:
        """Take a branch away, with those that part from it. The first one stays."""
        gone = {number} - {0}
        for each in self.all:
            if each.parent in gone:
                gone.add(each.number)
        self.all = [each for each in self.all if each.number not in gone]

    def of(self, number: int) -> Branch:
        """The branch of that number."""
        for each in self.all:
            if each.number == number:
                return each
        raise ModelError(f"There is no branch {number}.", "Give one of: " + ", ".join(str(b.number) for b in self.all))

    def tokens(self, branch: Branch) -> list[Token]:
        """All its tokens, the prompt's and those it shares included."""
        if branch.parent is None:
            return branch.own
        return [*self.tokens(self.of(branch.parent))[: branch.at], *branch.own]

    def text(self, branch: Branch) -> str:
        """What it says, the prompt included."""
        tokens = self.tokens(branch)
        if self._plain:
            return str(self.tokenizer.decode([each.id for each in tokens]))
        return self.prompt + self.joint + str(self.tokenizer.decode([each.id for each in tokens[len(self.given) :]]))

    def table(self) -> pd.DataFrame:
        """A row a branch: where and from which one it parts, the tokens of its own behind the prompt, their surprise in
        bits and bits a token, and its text."""
        import pandas as pd

        rows = []
        for each in self.all:
            written = [t for t in self.tokens(each)[len(self.given) if each.parent is None else each.at :] if t.spread]
            bits = sum(token.bits or 0.0 for token in written)
            rows.append(
                {
                    "branch": each.number, "from": each.parent, "place": each.at if each.parent is not None else None,
                    "token": each.own[0].label if each.parent is not None and each.own else "",
                    "tokens": len(written), "bits": bits, "bits_per_token": bits / max(1, len(written)),
                    "text": self.text(each),
                }
            )  # fmt: skip
        columns = ["branch", "from", "place", "token", "tokens", "bits", "bits_per_token", "text"]
        return pd.DataFrame(rows, columns=columns).astype({"from": "Int64", "place": "Int64"}).set_index("branch")

    def to_frame(self) -> pd.DataFrame:
        """A row a branch and token: branch, place, token, probability, rank, bits, and the likeliest beside it: best_1,
        p_1, best_2, p_2, best_3, p_3."""
        import pandas as pd

        rows = []
        for each in self.all:
            for place, token in enumerate(self.tokens(each)):
                row: dict[str, Any] = {
                    "branch": each.number, "place": place, "token": token.label, "probability": token.probability,
                    "rank": token.rank, "bits": token.bits,
                }  # fmt: skip
                for k, (label, share) in enumerate(alternatives(token)[:3], 1):
                    row |= {f"best_{k}": label, f"p_{k}": share}
                rows.append(row)
        return pd.DataFrame(rows).astype({"rank": "Int64"})

    def _write(self, parent: int | None, at: int, own: list[Token], settings: dict[str, Any]) -> Iterator[Token]:
        asked = {**self.settings, **self._known(settings)}
        sampler = Sampler(*(asked[name] for name in ("temperature", "top_k", "top_p", "min_p")))
        count = int(asked["max_tokens"])
        if not 1 <= count <= MOST:
            raise ModelError(f"max_tokens is {count}.", f"Give a whole number from 1 to {MOST}.")
        number = 1 + max((each.number for each in self.all), default=-1)
        branch = Branch(number, parent, at, own, asked)
        self.all.append(branch)
        return self._go_on(branch, sampler, count, int(asked["seed"]))

    def _known(self, settings: dict[str, Any]) -> dict[str, Any]:
        for name in settings:
            if name not in self.settings:
                raise ModelError(f"There is no setting '{name}'.", did_you_mean(name, self.settings))
        return settings

    def _go_on(self, branch: Branch, sampler: Sampler, count: int, seed: int) -> Iterator[Token]:
        generator = torch.Generator(device=device_of(self.module)).manual_seed(seed)
        before = [token.id for token in self.tokens(branch)]
        written = before if self._plain else before[len(self.given) :]
        beginning = self._begin(written, count)
        if branch.own and branch.own[-1].id == beginning.end and branch.own[-1].spread is not None:
            branch.ended = True  # the end of the text was chosen
            return
        room = count if beginning.room is None else min(count, beginning.room - len(written))
        reading = [beginning.first_BT]
        if not self._plain and written:
            reading.append(torch.tensor([written], device=beginning.first_BT.device))
        with evaluating(self.module):
            for _ in range(room):
                with torch.inference_mode():
                    for tokens_BT in reading:
                        logits_BV = beginning.reader.read(tokens_BT)
                    if not torch.isfinite(logits_BV).any() or torch.isnan(logits_BV).any():
                        raise ModelError(
                            "The model's outputs are not numbers (NaN): it diverged.", "Load another step."
                        )
                    allowed_BV = beginning.forbid(logits_BV)
                    drawn_B = sampler.draw(allowed_BV, None, generator)
                    token = self._told(int(drawn_B), logits_BV[0], allowed_BV[0])
                reading = [drawn_B[:, None]]
                branch.own.append(token)
                if token.id == beginning.end:
                    branch.ended = True
                yield token
                if branch.ended:
                    return

    def _begin(self, written: list[int], count: int) -> Beginning:
        """How the text begins: a text of a plain language model is all that stands there, of the others the prompt."""
        from nbllm.data.tokenizers import end_id

        generator = torch.Generator(device=device_of(self.module)).manual_seed(0)  # a VAE stays where it is
        task = self.objective.task
        beginning = begin(
            self.module, task.tokenizer, self.prompt, samples=1, count=len(written) + count, generator=generator,
            **self._usual,
        )  # fmt: skip
        if not self._plain:
            return beginning
        first_BT = torch.tensor([written or [end_id(task.tokenizer) or 0]], device=device_of(self.module))
        reader = TextReader(self.module, task.context, first_BT.shape[1] + count)
        return replace(beginning, reader=reader, first_BT=first_BT)

    def _read(self) -> list[Token]:
        """The tokens of the prompt. A plain language model says of each what it expected; others only read them."""
        from nbllm.data.tokenizers import end_id, token_strings

        tokenizer, context = self.objective.task.tokenizer, self.objective.task.context
        ids = tokenizer.encode(self.prompt, add_special_tokens=False).ids
        labels = token_strings(tokenizer, ids)
        told = [Token(each, label) for each, label in zip(ids, labels, strict=True)]
        if not self._plain or not ids:
            return told
        end = end_id(tokenizer)
        read = ids if end is None else [end, *ids]
        # Where it is longer than the context, the first tokens are only read, as they are to be forgotten.
        read = read if getattr(self.module, "unbounded", False) else read[-context:]
        if len(read) < 2:
            return told
        beginning = self._begin(ids, 1)
        with torch.inference_mode(), evaluating(self.module):
            logits_TV = logits_of(self.module, torch.tensor([read], device=device_of(self.module)))[0, :-1]
        first = len(ids) - len(logits_TV)
        for place, logits_V in enumerate(logits_TV, first):
            told[place] = self._told(ids[place], logits_V, beginning.forbid(logits_V))
        return told

    def _told(self, token_id: int, logits_V: Tensor, allowed_V: Tensor) -> Token:
        """A token, by the logits of its place, and by what may be written there."""
        from nbllm.data.tokenizers import token_strings

        bits = -float(logits_V.float().log_softmax(-1)[token_id]) / math.log(2)
        rank = 1 + int((logits_V > logits_V[token_id]).sum())
        wide_V = allowed_V.float()
        size = int(torch.isfinite(wide_V).sum())
        best = wide_V.topk(min(KEPT, size))
        ids = best.indices[:NAMED].tolist()
        rest: list[float] = []
        if size > KEPT:
            others = wide_V.double().scatter(-1, best.indices, -math.inf) - best.values[0].double()
            rest = [float((others / temperature).logsumexp(-1)) for temperature in TEMPERATURES]
        spread = Spread(best.values.cpu().numpy(), ids, token_strings(self.tokenizer, ids), size, rest)
        return Token(token_id, token_strings(self.tokenizer, [token_id])[0], bits, rank, spread)

    def _chosen(self, token_id: int, spread: Spread) -> Token:
        """Another token in a place: how likely it was there, as far as that is kept."""
        from nbllm.data.tokenizers import token_strings

        label = token_strings(self.tokenizer, [token_id])[0]
        if token_id not in spread.ids:
            return Token(token_id, label, None, None, spread)
        place = spread.ids.index(token_id)
        rank = 1 + int((spread.logits > spread.logits[place]).sum())
        return Token(token_id, label, -math.log2(max(shares(spread)[place], 1e-300)), rank, spread)


def shares(spread: Spread) -> np.ndarray:
    """float64 (N,): how likely each of the tokens that are kept is, as the model has it."""
    above = np.exp(spread.logits.astype(np.float64) - float(spread.logits[0]))
    rest = math.exp(spread.rest[TEMPERATURES.index(1.0)]) if spread.rest else 0.0
    return above / (above.sum() + rest)


def alternatives(token: Token) -> list[tuple[str, float]]:
    """The likeliest tokens in its place and how likely they are, the likeliest first."""
    if token.spread is None:
        return []
    return list(zip(token.spread.labels, shares(token.spread).tolist(), strict=False))

"""Masked language modelling and next-sentence prediction (Devlin et al. 2019, "BERT").

B examples, T tokens, N hidden tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nbllm.config import GOALS, Goal
from nbllm.objectives.base import (
    CLS,
    IGNORED,
    MASK,
    PAD,
    SEP,
    Batch,
    Example,
    Objective,
    Row,
    Task,
    cross_entropy,
    padded,
)

MASKED, RANDOM = 0.8, 0.1  # of the hidden tokens; the rest stay as they are


class Masked(Objective):
    """The hidden tokens from what stands on both sides of them, in nats a hidden token (M the hidden places):

        loss = -1/|M| * sum_{i in M} log p(x_i | x with M hidden)

    Of the places in M 80 % show <mask>, 10 % a random token and 10 % the token itself. With `next_sentence` the texts
    are pairs, and the loss of NextSentence is added.
    """

    goal: ClassVar[Goal] = GOALS["mlm"]
    special_tokens: ClassVar[tuple[str, ...]] = (PAD, CLS, SEP, MASK)

    def __init__(self, task: Task):
        super().__init__(task)
        self.cls, self.sep = task.token(CLS), task.token(SEP)
        self.mask = task.token(MASK)
        self.pairs = task.config.next_sentence
        self.words = _Words(task)

    def encode(self, rows: Sequence[Row]) -> list[Example | None]:
        """tokens and document (a number, in a list of one) a sentence; cut to what half a pair may hold."""
        most = max(1, (self.task.context - 3) // 2)
        found: list[Example | None] = []
        for row, encoding in zip(rows, _encodings(self.task, rows), strict=True):
            self.cut += len(encoding) > most
            example = {"tokens": encoding[:most], "document": np.array([int(row.get("document", 0))])}
            found.append(example if len(encoding) else None)
        return found

    def examples(self, store: Any, indices: np.ndarray, rng: np.random.Generator) -> list[Example]:
        """Pairs of stretches of sentences: half the second follows the first, half it is from elsewhere."""
        return [_pair(store, int(index), self.task.context, rng) for index in indices]

    def row(self, example: Example) -> Row:
        return {"text": self.task.tokenizer.decode(example["tokens"].tolist())}

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """tokens_BT with some hidden, targets_BT of those; for pairs segments_BT, real_BT, follows_B and more."""
        if not self.pairs:
            ids_BT = self._framed(examples[:, : self.task.context])
            return _hide(ids_BT, np.ones_like(ids_BT, dtype=bool), self, rng)
        framed = [self._joined(example) for example in examples]
        tokens, real = padded([ids for ids, _ in framed], self.task.token(PAD) or 0)
        segments, _ = padded([segments for _, segments in framed])
        batch = _hide(tokens.numpy(), real.numpy(), self, rng)
        follows = torch.tensor([int(example["other"][0]) for example in examples])
        hidden = int((batch["targets"] != IGNORED).sum())
        each = torch.full((len(examples),), hidden / max(1, len(examples)))
        return {**batch, "segments": segments, "real": real, "follows": follows, "hidden_a_pair": each}

    def predict(self, module: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """The hidden places alone: the head runs on nothing else where the module lets it."""
        hidden_BT = batch["targets"] != IGNORED
        if hasattr(module, "hidden"):
            x_BTD = module.hidden(batch["tokens"], batch.get("real"), batch.get("segments"))
            return module.head(x_BTD[hidden_BT]), batch["targets"][hidden_BT]
        logits_BTV = module(batch["tokens"], batch.get("real"), batch.get("segments"))
        return logits_BTV[hidden_BT], batch["targets"][hidden_BT]

    def loss(self, module: Any, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The hidden tokens' loss, with the pair's added where there are pairs; and the accuracies."""
        if not self.pairs:
            logits_NV, targets_N = self.predict(module, batch)
            return cross_entropy(logits_NV, targets_N), {"masked_accuracy": _accuracy(logits_NV, targets_N)}
        x_BTD = module.hidden(batch["tokens"], batch["real"], batch["segments"])
        hidden_BT = batch["targets"] != IGNORED
        logits_NV, targets_N = module.head(x_BTD[hidden_BT]), batch["targets"][hidden_BT]
        pair_B2 = module.pair_head(x_BTD, batch["real"])
        # 1 for a whole batch; in a part of one the pairs count by their own number, not by that of the hidden tokens.
        share = batch["hidden_a_pair"].sum() / max(1, len(targets_N))
        loss = cross_entropy(logits_NV, targets_N) + share * cross_entropy(pair_B2, batch["follows"])
        return loss, {
            "masked_accuracy": _accuracy(logits_NV, targets_N),
            "next_sentence_accuracy": _accuracy(pair_B2, batch["follows"]),
        }

    def measures(self, module: Any, batch: Batch) -> dict[str, tuple[float, float]]:
        """Accuracy on the hidden tokens, their loss alone, and accuracy on the pairs."""
        logits_NV, targets_N = self.predict(module, batch)
        count = len(targets_N)
        found: dict[str, tuple[float, float]] = {
            "masked_accuracy": (float((logits_NV.argmax(-1) == targets_N).sum()), count),
            "masked_loss": (float(cross_entropy(logits_NV, targets_N)) * count, count),
        }
        if self.pairs:
            found["next_sentence_accuracy"] = _pair_accuracy(module, batch)
        return found

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        """The perplexity of a hidden token beside the accuracies. Bits per byte are no sum over a text here."""
        hidden = measures.pop("masked_loss", loss)
        return {"perplexity": math.exp(min(hidden, 700.0)), **measures}

    def tokens(self, batch: Batch) -> int:
        return batch["tokens"].numel()

    def _framed(self, ids_BT: np.ndarray) -> np.ndarray:
        """<cls> in front and <sep> behind, in place of the last two tokens; as it is where the tokenizer lacks them."""
        if self.cls is None or self.sep is None or ids_BT.shape[1] < 3:
            return ids_BT
        rows = len(ids_BT)
        cls, sep = np.full((rows, 1), self.cls), np.full((rows, 1), self.sep)
        return np.concatenate((cls, ids_BT[:, :-2], sep), axis=1)

    def _joined(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        """<cls> first <sep> second <sep>, and to which of the two each token belongs."""
        first, second = example["first"], example["second"]
        cls, sep = np.array([self.cls or 0]), np.array([self.sep or 0])
        ids = np.concatenate((cls, first, sep, second, sep))
        return ids, np.concatenate((np.zeros(len(first) + 2, dtype=np.int64), np.ones(len(second) + 1, dtype=np.int64)))


class NextSentence(Masked):
    """Whether the second sentence of a pair follows the first in its text, in nats a pair; half of the pairs do:

    loss = -1/B * sum_b log p(follows_b | first_b, second_b)
    """

    goal: ClassVar[Goal] = GOALS["nsp"]

    def __init__(self, task: Task):
        super().__init__(task)
        self.pairs = True

    def collate(self, examples: Any, rng: np.random.Generator) -> Batch:
        """Pairs with nothing hidden."""
        batch = super().collate(examples, rng)
        shown = torch.where(batch["targets"] == IGNORED, batch["tokens"], batch["targets"])
        return {"tokens": shown, "segments": batch["segments"], "real": batch["real"], "targets": batch["follows"]}

    def predict(self, module: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """One answer a pair: 0 follows, 1 is from elsewhere."""
        x_BTD = module.hidden(batch["tokens"], batch["real"], batch["segments"])
        return module.pair_head(x_BTD, batch["real"]), batch["targets"]

    def loss(self, module: Any, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        logits_B2, targets_B = self.predict(module, batch)
        return cross_entropy(logits_B2, targets_B), {"next_sentence_accuracy": _accuracy(logits_B2, targets_B)}

    def measures(self, module: Any, batch: Batch) -> dict[str, tuple[float, float]]:
        logits_B2, targets_B = self.predict(module, batch)
        return {"next_sentence_accuracy": (float((logits_B2.argmax(-1) == targets_B).sum()), len(targets_B))}

    def summary(self, loss: float, measures: dict[str, float], tokens_per_byte: float) -> dict[str, float]:
        return measures


class _Words:
    """Which tokens go on with the word of the token before them, for hiding whole words."""

    def __init__(self, task: Task):
        from nbllm.data.tokenizers import special_ids, token_bytes

        size = task.tokenizer.get_vocab_size()
        special = special_ids(task.tokenizer)
        texts = ["" if i in special else _text(task.tokenizer, i, token_bytes) for i in range(size)]
        self.ordinary = np.array([i for i in range(size) if i not in special])
        self.special = np.isin(np.arange(size), list(special))
        self.begins = np.array([_joins(text[:1]) for text in texts])
        self.ends = np.array([_joins(text[-1:]) for text in texts])

    def numbers(self, ids_BT: np.ndarray) -> np.ndarray:
        """(B, T) the number of the word each token belongs to, within its row."""
        goes_on = self.begins[ids_BT[:, 1:]] & self.ends[ids_BT[:, :-1]]
        return np.concatenate((np.zeros((len(ids_BT), 1), dtype=np.int64), np.cumsum(~goes_on, axis=1)), axis=1)


def _text(tokenizer: Any, token_id: int, token_bytes: Any) -> str:
    from nbllm.data.tokenizers import is_byte_level

    if is_byte_level(tokenizer):
        return token_bytes(tokenizer, token_id).decode("utf-8", errors="replace")
    return tokenizer.id_to_token(token_id) or ""


def _joins(character: str) -> bool:
    """Whether a character at the edge of a token joins it to a neighbour: letters and digits do, but not Chinese."""
    return character.isalnum() and not "\u2e80" <= character <= "\u9fff"


def _hide(ids_BT: np.ndarray, real_BT: np.ndarray, objective: Masked, rng: np.random.Generator) -> Batch:
    """Choose what is hidden, at least one token a row, and hide it."""
    words, share = objective.words, objective.task.config.mask_share
    may_BT = real_BT & ~words.special[ids_BT]
    if objective.task.config.whole_words:
        numbers_BT = words.numbers(ids_BT)
        draws = rng.random((len(ids_BT), int(numbers_BT.max(initial=0)) + 1))
        draw_BT = np.take_along_axis(draws, numbers_BT, axis=1)
    else:
        draw_BT = rng.random(ids_BT.shape)
    draw_BT = np.where(may_BT, draw_BT, 2.0)
    hidden_BT = (draw_BT < np.maximum(share, draw_BT.min(axis=1, keepdims=True) + 1e-12)) & may_BT
    how_BT = rng.random(ids_BT.shape)
    random_BT = words.ordinary[rng.integers(0, len(words.ordinary), ids_BT.shape)]
    mask = objective.mask
    shown_BT = np.where(hidden_BT & (how_BT < MASKED + RANDOM), random_BT, ids_BT)
    if mask is not None:
        shown_BT = np.where(hidden_BT & (how_BT < MASKED), mask, shown_BT)
    targets_BT = np.where(hidden_BT, ids_BT, IGNORED)
    return {
        "tokens": torch.from_numpy(shown_BT.astype(np.int64)),
        "targets": torch.from_numpy(targets_BT.astype(np.int64)),
    }


def _pair(store: Any, index: int, context: int, rng: np.random.Generator) -> Example:
    """Sentences of one document for the first half of the context, and for the second those that follow, or others.

    The first part leaves a sentence of its document behind it, where that has two: half of the pairs can then follow,
    and where the first part ends tells nothing.
    """
    room = max(1, (context - 3) // 2)
    if not _goes_on(store, index) and index and _goes_on(store, index - 1):
        index -= 1
    first, after = _stretch(store, index, room, leave=1)
    follows = _goes_on(store, after - 1) and rng.random() < 0.5
    if not follows:
        document = int(store[index]["document"][0])
        after = int(rng.integers(len(store)))
        for _ in range(20):  # another document where there is one
            if int(store[after]["document"][0]) != document:
                break
            after = int(rng.integers(len(store)))
    second, _ = _stretch(store, after, room)
    return {"first": first, "second": second, "other": np.array([0 if follows else 1])}


def _stretch(store: Any, index: int, room: int, leave: int = 0) -> tuple[np.ndarray, int]:
    """Whole sentences of one document from `index` on, as many as fit, at least one, and the place behind. With `leave`
    1 not the document's last, unless it is the only one."""
    parts = [store[index]["tokens"]]
    size, after = len(parts[0]), index + 1
    while _goes_on(store, after - 1) and (not leave or _goes_on(store, after)):
        following = store[after]["tokens"]
        if size + len(following) > room:
            break
        parts.append(following)
        size, after = size + len(following), after + 1
    return np.concatenate(parts).astype(np.int64), after


def _goes_on(store: Any, index: int) -> bool:
    """Whether a sentence of the same document follows."""
    return index + 1 < len(store) and bool(store[index + 1]["document"][0] == store[index]["document"][0])


def _encodings(task: Task, rows: Sequence[Row], role: str = "text") -> list[np.ndarray]:
    found = task.tokenizer.encode_batch([row[role] for row in rows], add_special_tokens=False)
    return [np.array(encoding.ids, dtype=np.int64) for encoding in found]


def _accuracy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    if not len(targets_N):
        return torch.zeros(())
    return (logits_NV.argmax(-1) == targets_N).float().mean()


def _pair_accuracy(module: Any, batch: Batch) -> tuple[float, float]:
    x_BTD = module.hidden(batch["tokens"], batch["real"], batch["segments"])
    answers_B = module.pair_head(x_BTD, batch["real"]).argmax(-1)
    return float((answers_B == batch["follows"]).sum()), len(answers_B)

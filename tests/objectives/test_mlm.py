"""Hidden tokens, whole words and pairs of sentences.

B examples, T tokens, N answers that count, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from nbllm.objectives.base import IGNORED
from nbllm.objectives.mlm import Masked, NextSentence
from tests.contract.cases import batch, made, ordinary
from tests.objectives.parts import RNG, SPECIAL, task


def masked(texts: Any = "abcdefghij .", kind: str = "char", **more: Any) -> Masked:
    return Masked(task(texts, kind, SPECIAL, **more))


def test_of_the_hidden_tokens_eight_in_ten_show_the_mask_and_one_in_ten_another_token() -> None:
    objective = masked(context=64)
    ids = RNG(0).choice(ordinary(objective.task.tokenizer), (500, 65)).astype(np.int64)
    found = objective.collate(ids, RNG(1))
    shown, targets = found["tokens"].numpy(), found["targets"].numpy()
    original = np.concatenate((np.full((500, 1), objective.cls), ids[:, :62], np.full((500, 1), objective.sep)), axis=1)
    hidden = targets != IGNORED
    assert hidden[:, 1:-1].mean() == pytest.approx(0.15, abs=0.005)
    assert not hidden[:, [0, -1]].any(), "what frames a text is never hidden"
    assert (targets[hidden] == original[hidden]).all()
    assert (shown[~hidden] == original[~hidden]).all()
    as_mask = shown[hidden] == objective.mask
    as_it_is = shown[hidden] == original[hidden]
    letters = len(ordinary(objective.task.tokenizer))
    assert as_mask.mean() == pytest.approx(0.8, abs=0.015)
    assert as_it_is.mean() == pytest.approx(0.1 + 0.1 / letters, abs=0.012)
    others = shown[hidden][~as_mask & ~as_it_is]
    assert len(others) / hidden.sum() == pytest.approx(0.1 * (1 - 1 / letters), abs=0.012)
    assert set(others) == set(ordinary(objective.task.tokenizer)), "any ordinary token, and no special one"
    again, other = objective.collate(ids, RNG(1)), objective.collate(ids, RNG(2))
    assert torch.equal(again["tokens"], found["tokens"])
    assert not torch.equal(other["tokens"], found["tokens"])


def test_at_least_one_token_of_a_row_is_hidden() -> None:
    objective = masked(context=8, mask_share=0.01)
    ids = RNG(0).choice(ordinary(objective.task.tokenizer), (200, 9)).astype(np.int64)
    found = objective.collate(ids, RNG(1))
    assert ((found["targets"] != IGNORED).sum(1) >= 1).all()


ENGLISH = "the fox jumped over 24 dogs; it didn't bark.\n"
CHINESE = "今天天气很好，我们去公园。"


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "word"])
def test_whole_words_are_hidden_together(kind: str) -> None:
    texts = [ENGLISH * 40]
    objective = masked(texts, kind, context=64, whole_words=True)
    encoding = objective.task.tokenizer.encode(ENGLISH * 4, add_special_tokens=False)
    ids = np.array([encoding.ids[:65]])
    spans = encoding.offsets[:62]  # of what is left between <cls> and <sep>
    text, hidden_words = ENGLISH * 4, Counter[str]()
    for seed in range(60):
        hidden = (objective.collate(ids, RNG(seed))["targets"][0] != IGNORED).tolist()[1:-1]
        letters = [False] * len(text)
        for (start, end), gone in zip(spans, hidden, strict=False):
            letters[start:end] = [gone] * (end - start)
        start = 0
        for word in text[: spans[-1][0]].split(" "):
            core = word.strip(".;'\n")
            at = text.index(core, start)
            if core.isalnum():
                assert len(set(letters[at : at + len(core)])) == 1, (word, seed)
                hidden_words[core] += letters[at]
            start = at + len(word)
    assert all(hidden_words[word] for word in ("the", "fox", "jumped", "over", "24"))


def test_whole_words_of_chinese_are_characters_or_the_segmenters_words() -> None:
    """Characters stand alone, Latin ones beside them do not; with the word tokenizer a token is a word already."""
    objective = masked([CHINESE * 9 + "abc"], context=32, whole_words=True)
    ids = np.array([objective.task.tokenizer.encode("天气abc好公园", add_special_tokens=False).ids])
    assert objective.words.numbers(ids)[0].tolist() == [0, 1, 2, 2, 2, 3, 4, 5]
    words = masked([CHINESE * 99], "word", context=32, whole_words=True)
    encoding = words.task.tokenizer.encode(CHINESE, add_special_tokens=False)
    assert any(end - start > 1 for start, end in encoding.offsets)
    assert words.words.numbers(np.array([encoding.ids]))[0].tolist() == list(range(len(encoding.ids)))


@pytest.mark.parametrize("objective", ["nsp bert", "mlm bert pairs"])
@pytest.mark.parametrize("sizes", [[4] * 30, [2] * 40, [1, 1, 6, 2, 9] * 8, [60]])
def test_half_of_the_pairs_follow_each_other_in_their_document(objective: str, sizes: list[int]) -> None:
    found = made(objective, **{"train.context": 24})
    rows = []
    for document, size in enumerate(sizes):
        for number in range(size):
            rows.append({"text": "abcdefghij"[number % 10] * (2 + number % 4), "document": str(document)})
    store = found.objective.encode(rows)
    follows = possible = 0
    for index in range(len(store)):
        for seed in range(8):
            (pair,) = found.objective.examples(store, np.array([index]), RNG((index, seed)))
            assert len(pair["first"]) + len(pair["second"]) + 3 <= 24
            document = int(store[index]["document"][0])
            if sizes[document] == 1:
                assert pair["other"][0] == 1
                continue
            possible += 1
            if pair["other"][0] == 0:
                follows += 1
                flat = np.concatenate([e["tokens"] for e in store if e["document"][0] == document])
                joined = np.concatenate((pair["first"], pair["second"]))
                assert any((flat[i : i + len(joined)] == joined).all() for i in range(len(flat) - len(joined) + 1))
    assert follows / possible == pytest.approx(0.5, abs=0.07)
    if len(sizes) == 40:
        each = found.objective.collate(found.objective.examples(store, np.arange(60), RNG(0)), RNG(0))
        told = each["follows" if "follows" in each else "targets"]
        assert 0.3 < told.float().mean() < 0.7


def test_a_pair_is_framed_as_berts() -> None:
    """<cls> first <sep> second <sep>, segments 0 and 1 (Devlin et al. 2019, figure 2)."""
    objective = NextSentence(task(special=SPECIAL, context=24))
    example = {"first": np.array([5, 6]), "second": np.array([7, 8, 9]), "other": np.array([1])}
    found = objective.collate([example, {**example, "second": np.array([7]), "other": np.array([0])}], RNG(0))
    cls, sep, pad = objective.cls, objective.sep, objective.task.token("<pad>")
    assert found["tokens"].tolist() == [[cls, 5, 6, sep, 7, 8, 9, sep], [cls, 5, 6, sep, 7, sep, pad, pad]]
    assert found["segments"].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0, 0]]
    assert found["real"].tolist() == [[True] * 8, [True] * 6 + [False] * 2]
    assert found["targets"].tolist() == [1, 0]


def test_the_loss_of_pairs_is_the_sum_of_both() -> None:
    found = made("mlm bert pairs")
    each = batch(found)
    logits = found.module(each["tokens"], each["real"], each["segments"])
    hidden = each["targets"] != IGNORED
    words = -logits.log_softmax(-1)[hidden].gather(1, each["targets"][hidden][:, None]).mean()
    answers = found.module.pair_head(found.module.hidden(each["tokens"], each["real"], each["segments"]), each["real"])
    pairs = -answers.log_softmax(-1).gather(1, each["follows"][:, None]).mean()
    torch.testing.assert_close(found.objective.loss(found.module, each, 0)[0], words + pairs, rtol=0, atol=1e-6)

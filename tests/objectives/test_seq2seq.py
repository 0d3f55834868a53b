"""Sources and targets, scheduled sampling, and spans that are hidden.

B examples, T tokens, N answers that count, V vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nbllm.objectives.base import IGNORED
from nbllm.objectives.evaluate import evaluate
from nbllm.objectives.seq2seq import SpanCorruption, Translate
from tests.contract.cases import batch, made, ordinary
from tests.objectives.parts import RNG, Says, task


def test_a_target_is_read_behind_its_beginning_and_ends() -> None:
    objective = Translate(task(context=16))
    (example,) = objective.encode([{"source": "abc", "target": "de"}])
    assert example is not None
    found = objective.collate([example, {"source": np.array([2]), "target": np.array([3, 4, 5])}], RNG(0))
    end = objective.task.end
    assert found["source"].tolist() == [[*example["source"], end], [2, end, end, end]]
    assert found["real"].tolist() == [[True] * 4, [True, True, False, False]]
    assert found["inputs"].tolist() == [[end, *example["target"], end], [end, 3, 4, 5]]
    assert found["targets"].tolist() == [[*example["target"], end, IGNORED], [3, 4, 5, end]]


def test_long_texts_are_cut_with_room_for_their_end_and_counted() -> None:
    objective = Translate(task(context=6, target_context=4))
    found = objective.encode(
        [{"source": "a" * 9, "target": "b" * 9}, {"source": "ab", "target": "c"}, {"source": "", "target": "a"}]
    )
    assert found[0] is not None
    assert (len(found[0]["source"]), len(found[0]["target"]), objective.cut, found[2]) == (5, 3, 1, None)


def test_scheduled_sampling_reads_the_models_own_answers_at_a_share_that_rises() -> None:
    """Bengio et al. 2015, in the parallel form: a token that is drawn is what a first pass held likeliest there."""
    found = made("seq2seq seq2seq scheduled")
    each = batch(found)
    seen: list[torch.Tensor] = []
    whole = found.module.forward

    def watched(source: torch.Tensor, inputs: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        seen.append(inputs)
        return whole(source, inputs, real)

    found.module.forward = watched
    answers = whole(each["source"], each["inputs"], each["real"]).argmax(-1)
    own = torch.cat((each["inputs"][:, :1], answers[:, :-1]), dim=1)
    found.module.train()
    for step, share in ((0, 0.0), (500, 0.25), (1000, 0.5), (9000, 0.5)):
        seen.clear()
        found.objective.loss(found.module, each, step)
        drawn = each["draws"] < share
        drawn[:, 0] = False
        assert torch.equal(seen[-1], torch.where(drawn, own, each["inputs"])), step
        assert len(seen) == (2 if share else 1)
    assert drawn.any()
    assert not drawn.all()
    found.module.eval()
    seen.clear()
    found.objective.loss(found.module, each, 1000)
    assert torch.equal(seen[0], each["inputs"]), "what is measured is measured with the right tokens"


@pytest.mark.parametrize("share", [0.15, 0.5])
@pytest.mark.parametrize("length", [2, 9, 63])
def test_source_and_target_of_span_corruption_give_back_the_text(share: float, length: int) -> None:
    objective = SpanCorruption(task(special=SpanCorruption.special_tokens, context=length + 1, mask_share=share))
    marks = set(objective.sentinels)
    assert len(marks) == 32
    letters = ordinary(objective.task.tokenizer)
    hidden = spans = 0
    for seed in range(40):
        ids = RNG(seed).choice(letters, length)
        source, target = objective._corrupt(ids, RNG(seed))
        assert (
            [i for i in source if i in marks]
            == [i for i in target if i in marks]
            == objective.sentinels[: sum(i in marks for i in source)]
        )
        assert len(source) <= length
        gone: dict[int, list[int]] = {}
        for token in target:
            if token in marks:
                gone[mark := int(token)] = []
            else:
                gone[mark].append(int(token))
        rebuilt = [each for token in source for each in (gone[int(token)] if token in marks else [int(token)])]
        assert rebuilt == ids.tolist()
        hidden += sum(map(len, gone.values()))
        spans += len(gone)
        assert all(gone.values()), "no span is empty"
        assert any(token not in marks for token in source)
    assert hidden / (40 * length) == pytest.approx(max(1, round(share * length)) / length)
    if length == 63:
        assert hidden / spans == pytest.approx(3, abs=0.6)


def test_accuracy_of_tokens_and_of_whole_answers() -> None:
    found = made("seq2seq seq2seq")
    each = batch(found)
    logits = torch.zeros(*each["targets"].shape, found.objective.task.tokenizer.get_vocab_size())
    right = each["targets"].clamp(min=0)
    logits.scatter_(2, right.unsqueeze(-1), 5.0)
    logits[1, 0, :] = 0.0
    logits[1, 0, int(right[1, 0]) - 1] = 5.0  # one token of one answer is wrong
    _, told = evaluate(found.objective, Says(logits), [each])
    count = int((each["targets"] != IGNORED).sum())
    assert told["token_accuracy"] == pytest.approx((count - 1) / count)
    assert told["sentence_accuracy"] == pytest.approx(3 / 4)
    assert found.objective.summary(1.0, {}, 0.5)["bits_per_byte"] == pytest.approx(0.5 / math.log(2))
    assert "bits_per_byte" not in made("span seq2seq").objective.summary(1.0, {}, 0.5)  # of what is hidden alone


@pytest.mark.parametrize("room", [4, 8, 12])
def test_span_corruption_keeps_to_the_room_of_the_target(room: int) -> None:
    """A decoder of few places is never asked for more, however much is to be hidden."""
    special = SpanCorruption.special_tokens
    objective = SpanCorruption(task(special=special, context=32, target_context=room, mask_share=0.9))
    letters = ordinary(objective.task.tokenizer)
    windows = np.stack([RNG(seed).choice(letters, 33) for seed in range(20)])
    assert objective.collate(windows, RNG(0))["inputs"].shape[1] <= room

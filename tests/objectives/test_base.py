"""Cross-entropy, filling up and cutting, of which every objective is made.

B examples, T tokens, N answers that count, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nbllm.objectives.base import IGNORED, cross_entropy, padded, split
from tests.contract.cases import batch, encoded, made


def test_cross_entropy_is_the_mean_over_what_counts() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([1, IGNORED, 3, 0, IGNORED])
    expected = -torch.stack([logits[i].log_softmax(-1)[targets[i]] for i in (0, 2, 3)]).mean()
    torch.testing.assert_close(cross_entropy(logits, targets), expected)
    assert cross_entropy(logits[:0], targets[:0]).item() == 0.0
    assert cross_entropy(logits.bfloat16(), targets).dtype == torch.float32


def test_label_smoothing_spreads_a_share_over_all_answers() -> None:
    """1 - e on the answer and e spread evenly (Szegedy et al. 2016), while training; not when it is measured."""
    found = made("seq2seq seq2seq smooth")
    each = batch(found)
    logits, targets = found.objective.predict(found.module, each)
    e, v = 0.1, logits.shape[1]
    wanted = torch.full_like(logits, e / v).scatter_add(1, targets[:, None], torch.full_like(logits[:, :1], 1 - e))
    expected = -(wanted * logits.log_softmax(-1)).sum(1).mean()
    found.module.train()
    torch.testing.assert_close(found.objective.loss(found.module, each, 0)[0], expected, rtol=0, atol=1e-8)
    found.module.eval()
    plain = -logits.log_softmax(-1).gather(1, targets[:, None]).mean()
    torch.testing.assert_close(found.objective.loss(found.module, each, 0)[0], plain, rtol=0, atol=1e-8)


def test_a_batch_is_filled_up_and_cut_along_its_examples() -> None:
    block, real = padded([np.array([5, 6, 7]), np.array([8]), np.array([], dtype=int)], 9)
    assert block.tolist() == [[5, 6, 7], [8, 9, 9], [9, 9, 9]]
    assert real.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    parts = split({"tokens": block, "real": real}, 2)
    assert [len(part["tokens"]) for part in parts] == [2, 1]
    assert torch.equal(torch.cat([part["tokens"] for part in parts]), block)


@pytest.mark.parametrize("case", ["classification bert pairs", "seq2seq seq2seq", "elbo vae", "mlm bert pairs"])
def test_an_example_tells_its_row(case: str) -> None:
    found = made(case)
    for example in encoded(found):
        row = found.objective.row(example)
        again = found.objective.encode([{"document": "0", **row}])[0]
        assert again is not None
        assert all((again[name] == example[name]).all() for name in example if name != "document")

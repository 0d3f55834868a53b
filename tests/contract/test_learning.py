"""Each family learns, in seconds, a task that its structure allows, on examples that it has never seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nbllm.generation.decode import generate
from nbllm.generation.latent import reconstruct
from nbllm.objectives.base import IGNORED, Batch
from nbllm.objectives.evaluate import evaluate
from tests.contract.cases import Made, made, ordinary

Draw = Callable[[np.random.Generator], Batch]


def learn(found: Made, draw: Draw, steps: int, lr: float = 5e-3, until: float = 0.02) -> dict[str, float]:
    """Train on fresh batches until the mean loss is small, and measure on others."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(found.module.parameters(), lr=lr, weight_decay=0.0, betas=(0.9, 0.98))
    found.module.train()
    mean = 10.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 20) * (0.1 if step > 0.8 * steps else 1.0)
        loss, _ = found.objective.loss(found.module, draw(np.random.default_rng((1, step))), step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(found.module.parameters(), 1.0)
        optimizer.step()
        mean = 0.9 * mean + 0.1 * loss.item()
        if mean < until:
            break
    loss, told = evaluate(found.objective, found.module, [draw(np.random.default_rng((2, n))) for n in range(4)])
    print(f"{step + 1} steps, loss {loss:.3f}, {told}")
    return {"loss": loss, **told}


def words(rng: np.random.Generator, count: int, letters: str, shortest: int, longest: int) -> list[str]:
    return ["".join(rng.choice(list(letters), rng.integers(shortest, longest + 1))) for _ in range(count)]


def collated(found: Made, rows: list[dict[str, str]], rng: np.random.Generator) -> Batch:
    examples = [example for example in found.objective.encode(rows) if example is not None]
    return found.objective.collate(examples, rng)


@pytest.mark.parametrize("case", ["seq2seq seq2seq", "seq2seq seq2seq additive", "preset vanilla-2017"])
def test_reversal_by_looking_at_the_source(case: str) -> None:
    one = {"model.encoder": "lstm", "model.decoder": "lstm"} if case.endswith("additive") else {"model.layers": 1}
    found = made(case, fresh=True, **{"model.width": 32, **one})

    def draw(rng: np.random.Generator) -> Batch:
        rows = [{"source": word, "target": word[::-1]} for word in words(rng, 32, "abcdef", 3, 6)]
        return collated(found, rows, rng)

    assert learn(found, draw, 500)["token_accuracy"] > 0.95
    tokenizer = found.objective.task.tokenizer
    answers = [generate(found.module, tokenizer, w, context=16, temperature=0)[0] for w in ("abcd", "fedba", "cab")]
    assert answers == ["dcba", "abdef", "bac"]


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm", "hybrid"])
def test_the_parity_of_a_count_by_carrying_a_state(kind: str) -> None:
    """a repeated n times, then b where n is even and c where it is odd: of no use to look at any window of the past."""
    found = made(f"clm {kind}", fresh=True, **{"model.width": 32})
    a, b, c, end = (found.objective.task.tokenizer.token_to_id(token) for token in ("a", "b", "c", "."))

    def draw(rng: np.random.Generator) -> Batch:
        windows = np.full((32, 14), end)
        for row in windows:
            n = int(rng.integers(1, 11))
            row[:n] = a
            row[n] = (b, c)[n % 2]
        batch = found.objective.collate(windows, rng)
        answers = (batch["targets"] == b) | (batch["targets"] == c)
        return {**batch, "targets": batch["targets"].masked_fill(~answers, IGNORED)}

    learn(found, draw, 400)
    batch = draw(np.random.default_rng(5))
    answers = batch["targets"] != IGNORED
    with torch.no_grad():
        said = found.module.eval()(batch["tokens"]).argmax(-1)
    assert (said == batch["targets"])[answers].float().mean() > 0.95


@pytest.mark.parametrize("kind", ["transformer", "hybrid"])
def test_induction_by_attention(kind: str) -> None:
    """A random word, and the same again: each letter of the second is found behind its like in the first."""
    more = {"model.width": 32, "model.layers": 2, "train.context": 15}
    found = made(f"clm {kind}", fresh=True, **more)
    letters = ordinary(found.objective.task.tokenizer)

    def draw(rng: np.random.Generator) -> Batch:
        once = np.stack([rng.permutation(letters)[:8] for _ in range(32)])
        batch = found.objective.collate(np.concatenate((once, once), axis=1), rng)
        targets = batch["targets"].clone()
        targets[:, :8] = IGNORED
        return {**batch, "targets": targets}

    learn(found, draw, 600)
    batch = draw(np.random.default_rng(5))
    with torch.no_grad():
        said = found.module.eval()(batch["tokens"]).argmax(-1)
    assert (said == batch["targets"])[:, 8:].float().mean() > 0.9


@pytest.mark.parametrize("reach", [7, 8])
def test_a_convolution_matches_as_far_as_it_reaches_and_no_further(reach: int) -> None:
    """The next token is the one `reach` - 1 places back, all else is random; three taps by 1 and by 2 see 7 tokens."""
    found = made(
        "clm cnn", fresh=True, **{"model.width": 32, "model.layers": 2, "model.kernel": 3, "train.context": 24}
    )
    letters = ordinary(found.objective.task.tokenizer)[:6]

    def draw(rng: np.random.Generator) -> Batch:
        period = rng.choice(letters, (32, reach))
        batch = found.objective.collate(np.tile(period, (1, 4))[:, :25], rng)
        targets = batch["targets"].clone()
        targets[:, : reach - 1] = IGNORED
        return {**batch, "targets": targets}

    learn(found, draw, 400)
    batch = draw(np.random.default_rng(5))
    with torch.no_grad():
        said = found.module.eval()(batch["tokens"]).argmax(-1)
    right = (said == batch["targets"])[batch["targets"] != IGNORED].float().mean()
    assert right > 0.95 if reach == 7 else right < 0.5


@pytest.mark.parametrize("case", ["mlm bert", "mlm transformer", "mlm lstm", "mlm cnn", "mlm hybrid"])
def test_hidden_tokens_from_both_sides_of_patterned_text(case: str) -> None:
    """Ten letters in their order from any of them on: each follows from any other's letter and place."""
    found = made(case, fresh=True, **{"model.width": 32, "objective.next_sentence": False})
    letters = ordinary(found.objective.task.tokenizer)[:10]

    def draw(rng: np.random.Generator) -> Batch:
        starts = rng.integers(0, 10, (32, 1))
        return found.objective.collate(letters[(starts + np.arange(17)) % 10], rng)

    assert learn(found, draw, 300, until=0.1)["masked_accuracy"] > 0.9


CLASSIFIERS = ["bert", "transformer", "cnn", "lstm", "gru", "rnn", "hybrid", "lstm ends", "bert sigmoid"]


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_label_by_one_keyword(kind: str) -> None:
    found = made(f"classification {kind}", fresh=True, **{"model.width": 32, "objective.labels": ["x", "y"]})

    def draw(rng: np.random.Generator) -> Batch:
        rows = []
        for number, word in enumerate(words(rng, 32, "abcdefghi", 3, 12)):
            at = int(rng.integers(len(word)))
            rows.append({"text": word[:at] + "j" + word[at:] if number % 2 else word, "label": "xy"[number % 2]})
        return collated(found, rows, rng)

    told = learn(found, draw, 250)
    assert told["accuracy"] > 0.95
    assert told["f1"] > 0.95


@pytest.mark.parametrize("case", ["nsp bert", "nsp lstm", "nsp cnn", "mlm bert pairs"])
def test_the_next_sentence_where_documents_have_topics(case: str) -> None:
    """Three topics, each with letters of its own: the second sentence follows where its letters are the first's."""
    found = made(case, fresh=True, **{"model.width": 32, "train.context": 20})
    rng = np.random.default_rng(0)
    rows = [
        {"text": text, "document": str(number)}
        for number in range(60)
        for text in words(rng, 4, ("abc", "def", "ghij")[number % 3], 4, 6)
    ]
    store = found.objective.encode(rows)

    def draw(rng: np.random.Generator) -> Batch:
        return found.objective.collate(found.objective.examples(store, rng.integers(0, len(store), 32), rng), rng)

    # A third of the random ones is of the same topic by chance: 5 of 6 can be right.
    assert learn(found, draw, 400, until=0.45 if case.startswith("nsp") else 0.0)["next_sentence_accuracy"] > 0.75


@pytest.mark.parametrize("case", ["elbo vae", "elbo vae attention"])
def test_a_vae_gives_back_a_few_sentences_and_says_something_with_its_latent(case: str) -> None:
    more: dict[str, Any] = {
        "model.width": 48,
        "model.latent": 8,
        "objective.kl_steps": 150,
        "objective.word_dropout": 0.5,
    }
    found = made(case, fresh=True, **more)
    texts = ["abba cab.", "hid a jig.", "dad.", "feed big dog.", "cafe.", "i did."]

    def draw(rng: np.random.Generator) -> Batch:
        return collated(found, [{"text": text} for text in texts * 2], rng)

    told = learn(found, draw, 400)
    assert told["kl"] > 1.0
    assert told["active_units"] >= 1
    tokenizer = found.objective.task.tokenizer
    back = [reconstruct(found.module, tokenizer, text, context=16) for text in texts]
    assert sum(one == other for one, other in zip(back, texts, strict=True)) >= 5

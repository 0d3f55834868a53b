"""Examples on disk come back as they were, and batches of like length hold each as often as they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbllm.data.examples import Examples, ExampleWriter
from nbllm.data.order import SORTED_TOGETHER, Order
from nbllm.errors import DataError

RAGGED = [
    {"source": [5, 6, 7], "target": [1]},
    {"source": [], "target": [2, 3]},
    {"source": [9], "target": []},
    {"source": [1] * 50, "target": [4, 4]},
]  # fmt: skip


def written(path: Path, examples: list[dict[str, list[int]]], **about: int) -> Examples:
    writer = ExampleWriter(path)
    for example in examples:
        writer.append({name: np.array(numbers, dtype=np.int64) for name, numbers in example.items()})
    assert writer.count == len(examples)
    return writer.close(**about)


@pytest.mark.parametrize(
    ("largest", "kind"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.int32)]
)
def test_examples_come_back(tmp_path: Path, largest: int, kind: type) -> None:
    examples = [*RAGGED, {"source": [largest], "target": [0]}]
    written(tmp_path / "train", examples, tokens=7)
    found = Examples.open(tmp_path / "train")
    assert len(found) == 5
    assert found.about["tokens"] == 7
    for index, example in enumerate(examples):
        assert {name: numbers.tolist() for name, numbers in found[index].items()} == example
        assert all(numbers.dtype == np.int64 for numbers in found[index].values())
    assert found.lengths.tolist() == [4, 2, 1, 52, 2]
    assert np.load(tmp_path / "train.source.npy").dtype == kind
    assert not list(tmp_path.glob("*.part"))


def test_many_examples_are_memory_mapped(tmp_path: Path) -> None:
    found = written(tmp_path / "train", [{"tokens": list(range(100))} for _ in range(2000)])
    assert isinstance(found.fields["tokens"][0], np.memmap)
    assert found[1999]["tokens"].tolist() == list(range(100))


@pytest.mark.parametrize("damage", ["json", "numbers", "ends", "gone", "count", "format"])
def test_damaged_examples_are_refused(tmp_path: Path, damage: str) -> None:
    written(tmp_path / "train", RAGGED)
    about, numbers = tmp_path / "train.json", tmp_path / "train.source.npy"
    if damage == "json":
        about.write_text("[]")
    elif damage == "numbers":
        np.save(numbers, np.zeros(3, dtype=np.uint8))
    elif damage == "ends":
        (tmp_path / "train.source.ends.npy").write_bytes(b"x")
    elif damage == "gone":
        numbers.unlink()
    elif damage == "count":
        about.write_text(about.read_text().replace('"count": 4', '"count": 5'))
    else:
        about.write_text(about.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(DataError, match=r"missing or damaged.*Prepare the run again") as caught:
        Examples.open(tmp_path / "train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("count", "batch_size"), [(100, 7), (64, 4), (5, 8), (1, 3), (1000, 16)])
def test_batches_of_like_length_hold_what_the_plain_ones_hold(count: int, batch_size: int) -> None:
    """The 16 batches of a group hold the examples of 16 plain ones, so every epoch shows each of them once."""
    lengths = np.random.default_rng(0).integers(1, 200, count)
    order = Order(count)
    for group in range(4):
        steps = range(group * SORTED_TOGETHER, (group + 1) * SORTED_TOGETHER)
        plain = np.concatenate([order.batch(step, batch_size, 3) for step in steps])
        like = [order.batch_of_like_length(step, batch_size, 3, lengths) for step in steps]
        assert all(len(batch) == batch_size for batch in like)
        assert sorted(np.concatenate(like)) == sorted(plain)
        spread = np.mean([lengths[batch].max() - lengths[batch].min() for batch in like])
        if count > SORTED_TOGETHER * batch_size:
            assert spread < 0.5 * np.mean([np.ptp(lengths[each]) for each in np.split(plain, SORTED_TOGETHER)])
    shown = np.concatenate([order.batch(step, batch_size, 3) for step in range(-(-4 * count // batch_size))])
    assert (np.bincount(shown[: 4 * count], minlength=count) == 4).all()


def test_batches_of_like_length_are_a_pure_function_of_the_step() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 300)
    order = Order(300)
    steps = [order.batch_of_like_length(step, 8, 3, lengths) for step in range(70)]
    for step in (37, 2, 69, 0, 16, 15):  # in any order, by another object
        np.testing.assert_array_equal(Order(300).batch_of_like_length(step, 8, 3, lengths), steps[step])
    assert any(
        (a != b).any()
        for a, b in zip(steps, [order.batch_of_like_length(s, 8, 4, lengths) for s in range(70)], strict=True)
    )
    by_length = [lengths[batch].mean() for batch in steps[:16]]
    assert by_length != sorted(by_length), "short ones do not all come first"

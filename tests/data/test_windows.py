"""Windows, the order of examples, and token files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbllm.data import order as order_module
from nbllm.data.order import Order, shuffled
from nbllm.data.token_file import TokenFile, TokenWriter
from nbllm.data.windows import Windows
from nbllm.errors import DataError


@pytest.mark.parametrize(("length", "context", "stride", "count"), [
    (65, 64, None, 1), (64, 64, None, 0), (0, 4, None, 0), (129, 64, None, 2), (128, 64, None, 1),
    (10, 4, 1, 6), (10, 4, 3, 2), (11, 4, 3, 3), (20, 4, 10, 2),
])  # fmt: skip
def test_count_and_content(length: int, context: int, stride: int | None, count: int) -> None:
    windows = Windows(np.arange(length, dtype=np.uint16), context, stride)
    assert len(windows) == count
    if count:
        batch = windows.batch(np.arange(count))
        assert batch.dtype == np.int64
        step = stride or context
        np.testing.assert_array_equal(batch, [np.arange(i * step, i * step + context + 1) for i in range(count)])
        assert count * step + context >= length  # one more would not fit


def test_an_epoch_shows_each_example_once_and_depends_on_seed_and_epoch_alone() -> None:
    one, two = Order(100), Order(100)
    np.testing.assert_array_equal(np.sort(one.epoch(3, 0)), np.arange(100))
    two.epoch(9, 9)
    np.testing.assert_array_equal(one.epoch(3, 1), two.epoch(3, 1))
    assert (one.epoch(3, 0) != one.epoch(3, 1)).any()
    assert (one.epoch(3, 0) != one.epoch(4, 0)).any()


@pytest.mark.parametrize("limit", [50, 10_000])
def test_steps_are_a_pure_function_and_cover_the_epochs(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_module, "LARGEST_PERMUTATION", limit)
    order = Order(100)
    steps = [order.batch(step, 7, seed=5) for step in range(60)]
    joined = np.concatenate(steps)
    for epoch in range(4):
        np.testing.assert_array_equal(joined[epoch * 100 : epoch * 100 + 100], order.epoch(5, epoch))
        np.testing.assert_array_equal(np.sort(order.epoch(5, epoch)), np.arange(100))
    for step in (37, 2, 59, 0):  # in any order, by another object
        np.testing.assert_array_equal(Order(100).batch(step, 7, seed=5), steps[step])
    assert len(order.batch(0, 250, seed=5)) == 250


@pytest.mark.parametrize("count", [1, 2, 3, 5, 17, 1000, 4097])
def test_computed_order_is_a_permutation(count: int) -> None:
    order = shuffled(np.arange(count, dtype=np.uint64), count, 1, 2)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_computed_order_is_well_mixed() -> None:
    order = shuffled(np.arange(100_000, dtype=np.uint64), 100_000, 7, 0).astype(float)
    assert abs(np.corrcoef(np.arange(100_000), order)[0, 1]) < 0.02
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")]
)
def test_token_file(tmp_path: Path, vocab_size: int, dtype: str) -> None:
    path = tmp_path / "train.bin"
    ids = np.array([0, 5, vocab_size - 1])
    with TokenWriter(path, vocab_size, "mark") as writer:
        writer.append(ids)
        writer.append(ids[:1])
        assert not path.exists()
        writer.bytes = 9
        writer.close()
    file = TokenFile.open(path)
    assert (file.dtype, file.tokens, file.bytes, file.fingerprint) == (dtype, 4, 9, "mark")
    assert isinstance(file.ids(), np.memmap)
    np.testing.assert_array_equal(file.ids(), [*ids, 0])
    assert path.stat().st_size == 4 * np.dtype(dtype).itemsize
    with pytest.raises(ValueError, match="read-only"):
        file.ids()[0] = 1


def test_broken_off_writing_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with TokenWriter(tmp_path / "train.bin", 10) as writer:
            writer.append(np.arange(3))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "meta", "gone", "format", "dtype"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "train.bin"
    with TokenWriter(path, 10) as writer:
        writer.append(np.arange(3))
        writer.close()
    meta = path.with_suffix(".json")
    if damage == "cut":
        path.write_bytes(b"x")
    elif damage == "gone":
        path.unlink()
    elif damage == "meta":
        meta.write_text("[]")
    elif damage == "format":
        meta.write_text(meta.read_text().replace('"format": 1', '"format": 2'))
    else:
        meta.write_text(meta.read_text().replace("uint8", "object"))
    with pytest.raises(DataError, match="Prepare the run again"):
        TokenFile.open(path)

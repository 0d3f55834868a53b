"""Attention maps as files: read back as they were, or refused in a line; pages and pictures that need nothing else."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbllm.errors import ModelError
from nbllm.inspection.maps import AttentionMaps
from tests.plots.test_heads import causal

HOSTILE = ['<img src=x onerror="alert(1)">', "</script><script>alert(2)</script>", "\x00", "\u202eabc", "你好", "&lt;"]


def maps(dtype: Any = np.float32, **fields: Any) -> AttentionMaps:
    weights = causal(2, 3, 6).astype(dtype)
    return AttentionMaps(weights, HOSTILE, key_ids=[5, 4, 3, 3, 1, 0], **fields)


@pytest.mark.parametrize(
    "given",
    [
        maps(),
        maps(np.float16, part="encoder", segments=[0, 0, 0, 1, 1, 1], blocks=[1, 3]),
        AttentionMaps(causal(1, 1, 6)[:, :, 2:], HOSTILE[2:], HOSTILE, start=2, written=True),
    ],
)
def test_arrays_come_back_as_they_were(tmp_path: Path, given: AttentionMaps) -> None:
    found = AttentionMaps.load(given.save(tmp_path / "deep" / "x.npz"))
    np.testing.assert_array_equal(found.weights, given.weights)
    assert found.weights.dtype == given.weights.dtype
    names = ("tokens", "key_tokens", "part", "key_ids", "start", "written", "segments", "blocks")
    assert [getattr(found, name) for name in names] == [getattr(given, name) for name in names]


def test_a_file_of_something_else_is_refused_and_never_run(tmp_path: Path) -> None:
    good = {"format": 1, "tokens": HOSTILE, "key_ids": [1] * 6}
    wrong: dict[str, dict[str, Any]] = {
        "format": {"about": json.dumps({**good, "format": 2})},
        "length": {"about": json.dumps({**good, "key_ids": [1]})},
        "kind": {"about": json.dumps({**good, "tokens": [1, 2, 3, 4, 5, 6]})},
        "field": {"about": json.dumps({**good, "more": 1})},
        "start": {"about": json.dumps({**good, "start": -1})},
        "shape": {"weights": np.zeros((6, 6), np.float32)},
        "json": {"about": "not json"},
    }
    for name, change in wrong.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **{"weights": causal(2, 3, 6), "about": np.array(json.dumps(good)), **change})
        with pytest.raises(ModelError, match=f"{name}.npz holds no attention maps"):
            AttentionMaps.load(path)
    np.savez(tmp_path / "pickle.npz", weights=np.array([object()], dtype=object), about=np.array("{}"))
    (tmp_path / "text.npz").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as file:
        file.writestr("weights.npy", b"damaged")
    for name in ("pickle", "text", "zip"):
        with pytest.raises(ModelError, match=f"{name}.npz holds no attention maps"):
            AttentionMaps.load(tmp_path / f"{name}.npz")
    with pytest.raises(ModelError, match="There is no file"):
        AttentionMaps.load(tmp_path / "none.npz")


def test_the_page_needs_nothing_else_and_runs_no_token(tmp_path: Path) -> None:
    page = maps().save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert not re.search(r"""(?:from|import)\s*\(?["']""", page), "one module, with no imports"
    assert "<img src" not in page
    assert "alert(2)</script>" not in page
    assert "\u202eabc" not in re.sub(r"<script.*?</script>", "", page, flags=re.S), (
        "what turns text around is written out"
    )
    assert page.count("<script") == page.count("</script>") == 3
    large = AttentionMaps(np.zeros((12, 12, 600, 600), np.float16), ["a"] * 600)
    with pytest.raises(ModelError, match="layer=0"):
        large.save(tmp_path / "large.html")
    assert large.save(tmp_path / "large.html", layer=0, head=3).is_file()


def test_pictures_of_all_heads_or_of_one(tmp_path: Path) -> None:
    whole, one = maps().save(tmp_path / "x.png"), maps().save(tmp_path / "y.png", layer=1, head=2)
    assert whole.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert one.stat().st_size < whole.stat().st_size
    drawn = maps().save(tmp_path / "x.SVG", layer=1).read_text(encoding="utf-8")
    assert drawn.count("layer 1, head") == 3
    assert "layer 0" not in drawn
    with pytest.raises(ModelError, match=r"x\.npz, \.html, \.png, \.svg"):
        maps().save(tmp_path / "x.pdf")
    with pytest.raises(ModelError, match="no head 3"):
        maps().save(tmp_path / "x.png", head=3)

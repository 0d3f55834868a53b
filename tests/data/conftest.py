"""A folder that stands for the user's, and no way out to the network."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from nbllm.config import DataConfig, TokenizerConfig
from nbllm.data import words

CHINESE = "今天天气很好。我们去公园玩吧，带上苹果和绿茶。\n小明说：“好！”\n"
SEGMENTER = words.segmenter
SEGMENTER_ONCE = functools.cache(SEGMENTER)  # its dictionary takes a second to read
ENGLISH = "The quick brown fox jumps over the lazy dog.\nIt barks; nobody minds.\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An empty folder for sources."""
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fetched files go to a folder of the test."""
    monkeypatch.setenv("NBLLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def one_segmenter(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests share one segmenter; a run reads it once and lets go of it."""
    monkeypatch.setattr(words, "segmenter", SEGMENTER_ONCE)


def data(source: str, **settings: object) -> DataConfig:
    """A DataConfig of that source."""
    return DataConfig.model_validate({"source": source, **settings})


def tokenizer_config(**settings: object) -> TokenizerConfig:
    """A TokenizerConfig, the defaults for what is not given."""
    return TokenizerConfig.model_validate(settings)

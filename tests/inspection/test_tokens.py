"""How tokenizers cut a text: every kind, text of every script, and what is told of it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from tokenizers import Tokenizer

import nbllm
from nbllm.errors import ConfigError, ModelError
from tests import foreign

TEXT = "The dog 你好 👍🏽\n<img src=x onerror=1>"


def test_all_kinds_side_by_side() -> None:
    found = nbllm.tokens(TEXT, corpus="python-docs")
    assert [cut.name for cut in found.cuts] == ["char", "byte", "word", "bpe"]
    char, byte, word, bpe = found.cuts
    assert len(byte.ids) == len(TEXT.encode()) == sum(byte.sizes)
    assert byte.tokens[TEXT.encode().index("你".encode())] == "⟨E4⟩"
    assert byte.stands_for[TEXT.encode().index("你".encode()) + 2] == "你"
    assert len(char.ids) == len(TEXT)
    assert char.unknown == len("你好👍🏽")
    assert char.sizes[TEXT.index("你")] == 3
    assert sum(bpe.sizes) == len(TEXT.encode())
    assert len(word.ids) < len(bpe.ids) < len(char.ids)
    table = found.table
    assert table.loc["byte", "bytes_per_token"] == 1
    assert table.loc["char", "characters_per_token"] == 1
    assert table.loc["bpe", "bytes_per_token"] == pytest.approx(len(TEXT.encode()) / len(bpe.ids))
    assert table.loc["bpe", "about"] == "learned on python-docs"
    frame = found.to_frame()
    assert len(frame) == sum(len(cut.ids) for cut in found.cuts)
    assert frame[frame.tokenizer == "byte"]["id"].tolist() == list(TEXT.encode())
    page = found._repr_html_()
    assert "<img" not in page
    strips = [unescape(re.sub("<[^>]*>", "", each)) for each in re.findall(r"<bdi[^>]*>(.*?)</bdi>", page, re.S)]
    assert "".join(strips[: len(TEXT)]).replace("⏎\n", "\n").replace("<unk>", "?") == re.sub("[你好👍🏽]", "?", TEXT)
    assert "id 84, 1 byte" in page
    text = str(found)
    assert "T│h│e│ │d│o│g" in text
    assert "⟨E4⟩│⟨BD⟩│⟨A0⟩" in text


def test_chinese_is_whole_where_it_was_learned() -> None:
    found = nbllm.tokens("今天天气很好", "char", "word", "bpe:1000")
    assert "".join(found.cuts[0].tokens) == "".join(found.cuts[1].tokens) == "今天天气很好"
    assert len(found.cuts[1].ids) < 6
    assert found.cuts[2].vocabulary == 1000
    assert found.table.loc["word", "about"] == "learned on python-docs, zh-phrases"


def test_of_models_files_and_objects(tmp_path: Path) -> None:
    place = foreign.make("bert", tmp_path / "bert")
    given = Tokenizer.from_file(str(place / "tokenizer.json"))
    found = nbllm.tokens("The fox", f"hf:{place}", str(place / "tokenizer.json"), given, nbllm.load(f"hf:{place}"))
    assert len({tuple(cut.ids) for cut in found.cuts}) == 1
    assert [cut.about for cut in found.cuts] == ["of Hugging Face", "of a file", "given", "of the model"]


def test_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBLLM_RUNS", str(tmp_path / "runs"))
    (tmp_path / "poem.txt").write_text("abba cab " * 200, encoding="utf-8")
    nbllm.train(
        "poem", data=str(tmp_path / "poem.txt"), model="lstm", size="tiny", steps=1, runner="inline",
        **{"sample.every": 0, "probe.every": 0, "context": 8},
    )  # fmt: skip
    found = nbllm.tokens("abba", "poem", "byte")
    assert found.cuts[0].tokens == list("abba")
    assert found.cuts[0].about == "of the run"
    assert found.cuts[0].ids == nbllm.load("poem").tokenizer.encode("abba").ids


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("", "byte"), ModelError, "no text"),
        (("a", "bytes"), ConfigError, "Did you mean 'byte'"),
        (("a", "bpe:3"), Exception, "vocab_size"),
    ],
)
def test_what_cannot_be_cut(arguments: tuple[str, ...], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        nbllm.tokens(*arguments)
    with pytest.raises(ConfigError, match="built-in corpus 'docs'"):
        nbllm.tokens("a", corpus="docs")

"""Every tokenizer gives back any text, survives its file, loads in transformers, and streams whole characters."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from nbllm.data import tokenizers, words
from nbllm.data.builtin import zh_phrases
from nbllm.data.encode import encoder
from nbllm.data.streaming import StreamDecoder
from nbllm.errors import ConfigError, DataError
from nbllm.registry import TOKENIZERS
from tests.data.conftest import CHINESE, ENGLISH, SEGMENTER, tokenizer_config

EMOJI = "👩‍👩‍👧 🎉 é e\u0301 ﬁ \u200f\u3000𠮷\n\r\n\t"
CORPUS = [CHINESE, ENGLISH, EMOJI, "".join(list(zh_phrases())[:100]), "def f(x):\n    return x_1 + 2  # <eos> <unk>\n"]
TEXTS = [*CORPUS, "", " ", "\n\n  \n", "小明说: hello, 世界!\n\tbye ", "  two  spaces   three", "<eos>", "😀😀"]
KINDS = ("char", "byte", "word", "bpe")


@pytest.fixture(scope="module")
def learned() -> dict[str, Tokenizer]:
    return {kind: tokenizers.train(tokenizer_config(kind=kind, vocab_size=4000), CORPUS) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(learned: dict[str, Tokenizer], kind: str, text: str) -> None:
    tokenizer = learned[kind]
    known = tokenizer.get_vocab()
    if kind in ("char", "word"):
        text = "".join(c for c in text if c in known)
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == text
    assert not set(ids) & tokenizers.special_ids(tokenizer)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_unk_and_eos(learned: dict[str, Tokenizer], kind: str) -> None:
    special = {learned[kind].id_to_token(i) for i in tokenizers.special_ids(learned[kind])}
    assert special == ({"<eos>", "<unk>"} if kind in ("char", "word") else {"<eos>"})
    assert tokenizers.end_id(learned[kind]) == learned[kind].token_to_id("<eos>")


@pytest.mark.parametrize("kind", KINDS)
def test_saved_file_loads_here_and_in_transformers(learned: dict[str, Tokenizer], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    learned[kind].save(str(path))
    again = tokenizers.load(tmp_path)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path), eos_token="<eos>")
    for text in CORPUS[:4]:
        ids = learned[kind].encode(text).ids
        assert again.encode(text).ids == ids
        assert fast(text)["input_ids"] == ids
        assert fast.decode(ids) == learned[kind].decode(ids)
    retrained = tokenizers.train(tokenizer_config(kind=str(path)), [])
    assert retrained.get_vocab() == learned[kind].get_vocab()


def test_what_the_kinds_are() -> None:
    def ids(kind: str, text: str) -> list[str]:
        return tokenizers.train(tokenizer_config(kind=kind), ["ab 你b"]).encode(text).tokens

    assert ids("char", "b你\n好b") == ["b", "你", "<unk>", "<unk>", "b"]
    byte = tokenizers.train(tokenizer_config(kind="byte"), [])
    assert byte.encode("é a").ids == list("é a".encode())
    assert byte.get_vocab_size() == 257


def test_words_are_words(learned: dict[str, Tokenizer]) -> None:
    tokens = learned["word"].encode("The quick brown fox").tokens
    assert tokens == ["The", " quick", " brown", " fox"]
    pytest.importorskip("jieba")
    tokens = learned["word"].encode("今天天气很好。我们去公园玩吧").tokens
    assert {"我们", "公园", "。"} <= set(tokens)
    assert "".join(learned["word"].encode("我们公园天气").tokens) == "我们公园天气"


def test_words_without_a_segmenter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "segmenter", lambda: list)
    tokenizer = tokenizers.train(tokenizer_config(kind="word"), [CHINESE, ENGLISH])
    assert tokenizer.encode("我们去 fox").tokens[:3] == ["我", "们", "去"]
    assert tokenizer.decode(tokenizer.encode(CHINESE).ids) == CHINESE


def test_segmenter_writes_nothing_to_the_shared_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jieba")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert SEGMENTER()("我们去公园") == ["我们", "去", "公园"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_vocabulary_keeps_its_size(kind: str) -> None:
    for size in (300, 500):
        assert tokenizers.train(tokenizer_config(kind=kind, vocab_size=size), CORPUS).get_vocab_size() == size


def test_lowercase_and_frequency() -> None:
    for kind in KINDS:
        tokenizer = tokenizers.train(tokenizer_config(kind=kind, lowercase=True), ["The THE the a"])
        assert tokenizer.decode(tokenizer.encode("THE the").ids) == "the the"
    rare = tokenizers.train(tokenizer_config(kind="char", min_frequency=2), ["aab"])
    assert rare.encode("ab").tokens == ["a", "<unk>"]


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_encoded_as_the_tokenizer_does(learned: dict[str, Tokenizer], kind: str) -> None:
    tokenizer = learned[kind]
    expected: list[int | None] = []
    for text in TEXTS:
        expected += [*tokenizer.encode(text).ids, tokenizer.token_to_id("<eos>")]
    block = b"\xff".join(text.encode() for text in TEXTS)
    np.testing.assert_array_equal(encoder(tokenizer)(block), expected[:-1])


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_tables_are_used_only_where_they_are_right(kind: str) -> None:
    tokenizer = tokenizers.train(tokenizer_config(kind=kind, lowercase=True), ["abc ÀÉ"])
    np.testing.assert_array_equal(encoder(tokenizer)("ABc À".encode()), tokenizer.encode("abc à").ids)


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_long_lines_are_cut_between_characters(learned: dict[str, Tokenizer], kind: str) -> None:
    text = "今天天气" * 20_000
    assert learned[kind].decode(encoder(learned[kind])(text.encode()).tolist()) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_streaming_is_decoding(learned: dict[str, Tokenizer], kind: str, seed: int) -> None:
    tokenizer, draw = learned[kind], random.Random(seed)
    for _ in range(20):
        text = "".join(draw.choice("你好世界，。😀👩‍é a\n𠮷zß") for _ in range(draw.randint(1, 60)))
        ids = tokenizer.encode(text).ids
        if draw.random() < 0.5:  # any ids at all, broken characters and special tokens too
            ids = [draw.randrange(tokenizer.get_vocab_size()) for _ in range(40)]
        decoder = StreamDecoder(tokenizer)
        parts = [decoder.push(i) for i in ids]
        assert "".join(parts) + decoder.flush() == tokenizer.decode(ids)


def test_streaming_never_shows_half_a_character(learned: dict[str, Tokenizer]) -> None:
    decoder = StreamDecoder(learned["byte"])
    parts = [decoder.push(i) for i in learned["byte"].encode("你😀a").ids]
    assert parts == ["", "", "你", "", "", "", "😀", "a"]


def test_streaming_of_a_foreign_tokenizer() -> None:
    vocabulary = {"<unk>": 0, "▁the": 1, "▁": 2, "a": 3, "b": 4, "▁b": 5}
    foreign = Tokenizer(models.BPE(vocabulary, [("▁", "b")], unk_token="<unk>"))
    foreign.pre_tokenizer = pre_tokenizers.Metaspace()
    foreign.decoder = decoders.Metaspace()
    ids = [1, 5, 3, 1, 2, 4]
    decoder = StreamDecoder(foreign)
    assert "".join(decoder.push(i) for i in ids) + decoder.flush() == foreign.decode(ids)


def test_labels_for_people(learned: dict[str, Tokenizer]) -> None:
    def labels(kind: str, text: str) -> list[str]:
        return tokenizers.token_strings(learned[kind], learned[kind].encode(text).ids)

    assert labels("char", "你 a\n") == ["你", "␣", "a", "⏎"]
    assert labels("byte", "你a ") == ["⟨E4⟩", "⟨BD⟩", "⟨A0⟩", "a", "␣"]
    assert "".join(labels("bpe", "天气很好")) == "天气很好"
    assert labels("word", "The quick") == ["The", " quick"]
    assert tokenizers.token_strings(learned["byte"], [256, 9999]) == ["<eos>", "⟨9999⟩"]
    hostile = "\u202e\x1b\x0b\u3000\u200dא"
    unseen = tokenizers.train(tokenizer_config(kind="char"), [hostile])
    assert tokenizers.token_strings(unseen, unseen.encode(hostile).ids) == [
        *("⟨U+202E⟩", "⟨U+001B⟩", "⟨U+000B⟩", "␣", "⟨U+200D⟩", "א")
    ]
    assert tokenizers.token_bytes(learned["byte"], 0xE4) == b"\xe4"


FAULTS = [("none.json", "no tokenizer file"), ("broken.json", "is no tokenizer file"), ("list.json", "is no tokenizer")]


@pytest.mark.parametrize(("name", "message"), FAULTS)
def test_faults(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match=message) as caught:
        tokenizers.load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_too_small_for_bpe() -> None:
    with pytest.raises(ConfigError, match="Use 257 or more"):
        tokenizers.train(tokenizer_config(kind="bpe", vocab_size=100), [ENGLISH])


def test_registered_tokenizer() -> None:
    TOKENIZERS.register("mine")(lambda config, texts: tokenizers.byte(config, texts))
    assert tokenizers.train(tokenizer_config(kind="mine"), []).get_vocab_size() == 257

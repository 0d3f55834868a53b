"""Stop strings and whole characters, for any way a text is cut into tokens."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from nbllm.config import TokenizerConfig
from nbllm.data import tokenizers
from nbllm.generation.writer import Writer

TEXT = "One END two\nUser: 你好，世界 🙂 done"


@pytest.fixture(scope="module", params=["char", "byte", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return tokenizers.train(TokenizerConfig(kind=request.param, vocab_size=300), iter([TEXT * 20]))


def write(tokenizer: Tokenizer, text: str, stop: list[str]) -> tuple[str, Writer, list[str]]:
    """What comes out, and what had been shown after every token."""
    writer = Writer(tokenizer, stop, eos=None)
    shown, ids, texts = "", [], []
    for token_id in tokenizer.encode(text, add_special_tokens=False).ids:
        for piece in writer.push(token_id, 0.5):
            shown += piece.text
            ids.append(piece.token_id)
        texts.append(shown)
        if writer.finished:
            return shown, writer, texts
    shown += "".join(piece.text for piece in writer.close())
    return shown, writer, [*texts, shown]


def test_without_stop_strings_the_whole_text_comes(tokenizer: Tokenizer) -> None:
    shown, _, texts = write(tokenizer, TEXT, [])
    assert shown == TEXT
    assert all(TEXT.startswith(text) for text in texts)  # so no broken character was ever shown
    assert texts[len(texts) // 2]  # and it came while it was written


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (["END"], "One "),
        (["\nUser:", "nothing"], "One END two"),
        (["ENDE", "two\nU"], "One END "),
        (["世界"], "One END two\nUser: 你好，"),
        (["好", "END t"], "One "),
        (["done!"], TEXT),
        (["O"], ""),
    ],
)
def test_stop_strings_cut_exactly_and_nothing_is_taken_back(
    tokenizer: Tokenizer, stop: list[str], expected: str
) -> None:
    shown, writer, texts = write(tokenizer, TEXT, stop)
    assert shown == expected
    assert writer.finished
    assert all(expected.startswith(text) for text in texts)


def test_the_end_of_text_token_ends(tokenizer: Tokenizer) -> None:
    eos = tokenizer.token_to_id("<eos>")
    assert eos is not None
    writer = Writer(tokenizer, ["zzz"], eos)
    first = tokenizer.encode("O", add_special_tokens=False).ids[0]
    pieces = writer.push(first, 0.5) + writer.push(eos, 0.5)
    assert "".join(piece.text for piece in pieces) == "O"
    assert writer.finished


def test_a_character_cut_off_by_the_end_is_not_shown_broken_and_its_tokens_are_kept() -> None:
    tokenizer = tokenizers.train(TokenizerConfig(kind="byte"), iter([TEXT]))
    writer = Writer(tokenizer, [], None)
    ids = tokenizer.encode("a你", add_special_tokens=False).ids
    pieces = [piece for token_id in ids[:-1] for piece in writer.push(token_id, 0.5)]
    assert [piece.text for piece in pieces] == ["a"]
    pieces += writer.close()
    assert [piece.token_id for piece in pieces] == ids[:-1]
    assert "".join(piece.text for piece in pieces) == "a"

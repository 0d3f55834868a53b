"""Tokenizers, all `tokenizers.Tokenizer` objects that are wholly described by their JSON file.

    char   each Unicode character is a token; a character that was never seen is <unk>
    byte   each of the 256 bytes of UTF-8 is a token: any text, any language, nothing unknown
    word   words, Chinese ones too; a word outside the vocabulary falls apart into the fewest known pieces
    bpe    byte-level byte pair encoding (Sennrich et al. 2016; Radford et al. 2019), learned on the corpus

Two special tokens at most: <unk> where the kind needs one, and <eos>, the end of a document. Text that happens to
contain the characters `<eos>` is text: it never becomes the special token.
"""

from __future__ import annotations

import codecs
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from nbllm.config import TokenizerConfig
from nbllm.data.words import PATTERN, count_words
from nbllm.errors import ConfigError, DataError, did_you_mean, one_line
from nbllm.registry import TOKENIZERS

UNKNOWN = "<unk>"
END = "<eos>"
_OTHERS = {"<cls>": ("<s>",), "<sep>": ("</s>",)}
MAX_FILE = 512 << 20  # bytes of a tokenizer.json
LONGEST_PIECE = 48  # bytes of a bpe token, so that a row of dashes is not one
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # categories of Unicode that draw nothing of their own
_JOINERS = "\u200c\u200d"


def train(config: TokenizerConfig, texts: Iterable[str], special: Sequence[str] = ()) -> Tokenizer:
    """The tokenizer of that kind, learned on the texts; a kind that ends in .json is loaded. `special` are tokens that
    an objective needs beside <unk> and <eos>; those that the tokenizer has already, also by BERT's names, stay."""
    if config.kind.endswith(".json"):
        tokenizer = load(Path(config.kind))
    else:
        tokenizer = TOKENIZERS.get(config.kind)(config, iter(texts))
    new = [token for token in special if special_id(tokenizer, token) is None]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in new])
    return tokenizer


def load(path: Path | str) -> Tokenizer:
    """A saved tokenizer. Raises DataError when there is none, or when the file is not one."""
    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.json")] if path.parent.is_dir() else []
        raise DataError(f"There is no tokenizer file '{path}'.", did_you_mean(path.name, near))
    if path.stat().st_size > MAX_FILE:
        raise DataError(f"{path} is over {MAX_FILE >> 20} MB, too large for a tokenizer.", "Give a tokenizer.json.")
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises plain Exception
        raise DataError(
            f"{path} is no tokenizer file: {one_line(error)[:120]}.", "Give the tokenizer.json that `tokenizers` saved."
        ) from None
    return adopt(tokenizer)


def adopt(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer of another's, so that it treats texts as ours do: whole, and special tokens in them as text."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def special_id(tokenizer: Tokenizer, name: str) -> int | None:
    """Id of a special token of ours (<pad>, <cls>, <sep>, <mask>, <hidden-0>), also by the names that BERT, RoBERTa and
    T5 have for it; None where there is none."""
    others = _OTHERS.get(name, ())
    if name.startswith("<hidden-"):
        others = (f"<extra_id_{name[8:-1]}>",)
    found = (tokenizer.token_to_id(each) for each in (name, f"[{name.strip('<>').upper()}]", *others))
    return next((i for i in found if i is not None), None)


def source_frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids before and behind a source that is to be answered: those that the tokenizer itself puts around a text, or
    the end of the text where it puts none."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    framed = tokenizer.encode("a", add_special_tokens=True).ids
    for start in range(len(framed) - len(plain) + 1):
        if framed[start : start + len(plain)] == plain and len(framed) > len(plain):
            return framed[:start], framed[start + len(plain) :]
    return [], [end_id(tokenizer) or 0]


def end_id(tokenizer: Tokenizer) -> int | None:
    """Id of the token that ends a document, also in tokenizers of others; None where there is none."""
    names = (END, "<|endoftext|>", "</s>", "<|end_of_text|>", "<|im_end|>", "[SEP]")
    return next((i for i in map(tokenizer.token_to_id, names) if i is not None), None)


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Id of the token for what the vocabulary lacks; None where nothing can be unknown."""
    return next((i for i in map(tokenizer.token_to_id, (UNKNOWN, "[UNK]")) if i is not None), None)


def char(config: TokenizerConfig, texts: Iterator[str]) -> Tokenizer:
    """Every character of the texts, in the order of code points. A BPE model without merges cuts into characters."""
    counts: Counter[str] = Counter()
    normalizer = _normalizer(config)
    for text in texts:
        counts.update(normalizer.normalize_str(text) if normalizer else text)
    characters = sorted(c for c, n in counts.items() if n >= config.min_frequency)
    vocabulary = {token: i for i, token in enumerate((UNKNOWN, END, *characters))}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=UNKNOWN, fuse_unk=False))
    tokenizer.decoder = decoders.Fuse()
    return _finished(tokenizer, config, (UNKNOWN, END))


def byte(config: TokenizerConfig, texts: Iterator[str]) -> Tokenizer:
    """Byte b is token b, <eos> is 256. Learns nothing from the texts."""
    vocabulary = {character: b for b, character in enumerate(BYTE_TO_CHARACTER)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _finished(tokenizer, config, (END,))


def bpe(config: TokenizerConfig, texts: Iterator[str]) -> Tokenizer:
    """Byte-level BPE with the word pattern of GPT-2."""
    if config.vocab_size < 257:
        raise ConfigError(
            f"tokenizer.vocab_size is {config.vocab_size}, and bpe needs the 256 bytes and <eos>.", "Use 257 or more."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer(config)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[END],
        initial_alphabet=sorted(BYTE_TO_CHARACTER),
        max_token_length=LONGEST_PIECE,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _finished(tokenizer, config, (END,))


def word(config: TokenizerConfig, texts: Iterator[str]) -> Tokenizer:
    """The commonest words of the texts, and every character of them.

    A Unigram model (Kudo 2018) whose scores make it choose the cut with the fewest pieces, of those the likeliest:
    each piece costs between 10 and 19, so that one piece is always better than two. A space before a word belongs to
    the word, so that decoding gives back the same text.
    """
    words = count_words(texts, _normalizer(config))
    characters = Counter[str]()
    for piece, count in words.items():
        for character in piece:
            characters[character] += count
    room = config.vocab_size - 2
    kept: dict[str, int] = {}
    for character, count in sorted(characters.items(), key=lambda item: (-item[1], item[0])):
        # rare characters may take half of the vocabulary at most; the commonest words share the rest with them
        if count >= config.min_frequency and len(kept) < max(room // 2, 1):
            kept[character] = words.get(character, 1)
    for piece, count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        if len(kept) >= room or count < config.min_frequency:
            break
        kept[piece] = count
    ordered = sorted(kept.items(), key=lambda item: (-item[1], item[0]))
    most = math.log1p(ordered[0][1]) if ordered else 1.0
    scores = [(piece, -10.0 - 9.0 * (1 - math.log1p(count) / most)) for piece, count in ordered]
    tokenizer = Tokenizer(models.Unigram([(UNKNOWN, -40.0), (END, -40.0), *scores], unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return _finished(tokenizer, config, (UNKNOWN, END))


def _normalizer(config: TokenizerConfig) -> Any:
    return normalizers.Lowercase() if config.lowercase else None


def _finished(tokenizer: Tokenizer, config: TokenizerConfig, special: tuple[str, ...]) -> Tokenizer:
    tokenizer.normalizer = _normalizer(config)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.encode_special_tokens = True
    return tokenizer


def _byte_characters() -> list[str]:
    """The printable character that stands for each byte in byte-level vocabularies (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


BYTE_TO_CHARACTER = _byte_characters()
CHARACTER_TO_BYTE = {character: b for b, character in enumerate(BYTE_TO_CHARACTER)}


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether tokens are made of bytes rather than characters."""
    return "ByteLevel" in str(tokenizer.decoder)


def token_bytes(tokenizer: Tokenizer, token_id: int) -> bytes:
    """The bytes that a token of a byte-level tokenizer stands for."""
    token = tokenizer.id_to_token(token_id) or ""
    if all(c in CHARACTER_TO_BYTE for c in token):
        return bytes(CHARACTER_TO_BYTE[c] for c in token)
    return token.encode("utf-8")  # an added token, written as itself


def token_strings(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """Labels for people: readable text, a lone byte of a character as ⟨E4⟩, a line feed as ⏎, a lone space as ␣, and
    what would be out of sight or turn the text around, as a control or a bidirectional mark, as ⟨U+202E⟩."""
    special = special_ids(tokenizer)
    byte_level = is_byte_level(tokenizer)
    labels = []
    for token_id in ids:
        token_id = int(token_id)
        token = tokenizer.id_to_token(token_id)
        label = f"⟨{token_id}⟩" if token is None else token
        if token is not None and token_id not in special:
            if byte_level:
                label = token_bytes(tokenizer, token_id).decode("utf-8", errors="nbllm_show_bytes")
            label = label.replace("▁", " ").replace("\n", "⏎").replace("\t", "⇥").replace("\r", "␍")
            if label and not label.strip(" "):
                label = "␣" * len(label)
        labels.append(label if label.isprintable() else _in_sight(label))
    return labels


def _in_sight(label: str) -> str:
    """The label with its invisible characters written out; joiners inside of an emoji or a word do their work."""
    if all(unicodedata.category(c) == "Zs" for c in label):
        return "␣" * len(label)
    joined = label[1:-1]
    return "".join(
        f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _UNSEEN and not (c in _JOINERS and c in joined) else c
        for c in label
    )


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """Ids that decoding leaves out."""
    return {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def _show_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"⟨{b:02X}⟩" for b in error.object[error.start : error.end]), error.end


codecs.register_error("nbllm_show_bytes", _show_bytes)


def describe(tokenizer: Tokenizer) -> dict[str, Any]:
    """The parts of its JSON that say what kind it is, without the vocabulary's entries."""
    spec = json.loads(tokenizer.to_str())
    model = spec["model"]
    return {
        "model": model["type"],
        "merges": len(model.get("merges") or ()),
        "normalizer": spec["normalizer"],
        "pre_tokenizer": spec["pre_tokenizer"],
        "post_processor": spec["post_processor"],
        "decoder": (spec["decoder"] or {}).get("type"),
    }


def __getattr__(name: str) -> Any:
    """`StreamDecoder` lives in a file of its own and is reached from here too."""
    if name == "StreamDecoder":
        from nbllm.data.streaming import StreamDecoder

        return StreamDecoder
    raise AttributeError(name)

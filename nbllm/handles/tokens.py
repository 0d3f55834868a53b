"""Tokenizers by name, to cut a text side by side: kinds that learn here and now, those of runs, and others' own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import TokenizerConfig
from nbllm.errors import ConfigError, did_you_mean
from nbllm.inspection.tokens import Cuts, cuts
from nbllm.registry import CORPORA, TOKENIZERS
from nbllm.store.folder import RunFolder, list_runs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KINDS = ("char", "byte", "word", "bpe")
LEARNED_ON = ("python-docs", "zh-phrases")
_LETTERS = 2_000_000  # of a corpus that a tokenizer learns on here: a second or two


def tokens(text: str, *tokenizers: Any, corpus: str | Sequence[str] = LEARNED_ON, allow_download: bool = False) -> Cuts:
    """How tokenizers cut a text, side by side: char, byte, word and bpe where none is named.

    Each is a kind (`bpe:1000` for a vocabulary of that size), the name of a run, `hf:NAME_OR_PATH`, a tokenizer.json, a
    Model, or a Tokenizer. A kind that learns, learns on the built-in `corpus`, one or several.
    """
    named = [(corpus,) if isinstance(corpus, str) else tuple(corpus)][0]
    for each in named:
        CORPORA.get(each)  # a wrong name is said at once
    return cuts(text, [_found(each, named, allow_download) for each in tokenizers or KINDS])


def _found(asked: Any, corpus: tuple[str, ...], allow_download: bool) -> tuple[str, str, Tokenizer]:
    """A name for it, where it is from, and the tokenizer."""
    from tokenizers import Tokenizer

    from nbllm.data import tokenizers

    if isinstance(asked, Tokenizer):
        return "tokenizer", "given", tokenizers.adopt(Tokenizer.from_str(asked.to_str()))
    if isinstance(tokenizer := getattr(asked, "tokenizer", None), Tokenizer):
        return asked.folder.name, "of the model", tokenizer
    name = str(asked)
    kind, _, size = name.partition(":")
    runs = {run.name: run for run in list_runs()}
    if kind in TOKENIZERS and (not size or size.isdecimal()):
        config = TokenizerConfig(kind=kind, **({"vocab_size": int(size)} if size else {}))
        learns = kind != "byte"
        about = f"learned on {', '.join(corpus)}" if learns else "the bytes of UTF-8"
        return name, about, tokenizers.train(config, _texts(corpus) if learns else [])
    if name in runs or name == "last":
        from nbllm.handles.train import find_run

        run: RunFolder = find_run(name)
        return run.name, "of the run", tokenizers.load(run.tokenizer)
    from nbllm.models.huggingface import source

    if source.is_hugging_face(name) or name in source.PACKAGED:
        from nbllm.models.huggingface.load import read_tokenizer

        place = source.locate(name if source.is_hugging_face(name) else f"hf:{name}", Path.cwd(), allow_download)
        return name, "of Hugging Face", tokenizers.adopt(read_tokenizer(place))
    if name.endswith(".json") or Path(name).is_dir():
        return Path(name).name, "of a file", tokenizers.load(Path(name).expanduser())
    raise ConfigError(f"There is no tokenizer or run '{name}'.", did_you_mean(name, [*TOKENIZERS, *runs]))


def _texts(corpus: tuple[str, ...]) -> Iterator[str]:
    """The documents of the corpora, of each about so many letters."""
    for name in corpus:
        left = _LETTERS
        for text in islice(CORPORA.get(name)(), 100_000):
            yield text[:left]
            left -= len(text)
            if left <= 0:
                break

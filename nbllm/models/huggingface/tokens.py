"""The tokenizer of a model's folder, written so that AutoTokenizer loads it.

It frames texts by itself as the network was trained to see them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, processors


def write_tokenizer(
    tokenizer: Tokenizer, folder: Path, context: int, names: Mapping[str, str], frame: str = "plain", *, segments: bool
) -> None:
    """tokenizer.json and tokenizer_config.json.

    `names` are the special tokens by their role (eos, bos, pad, unk, cls, sep, mask). `frame` is what the tokenizer
    puts around a text: nothing (`plain`; a pair is parted by the end), the encoder's <cls> text <sep> (`sentence`), or
    the end behind it (`source`). `segments`: whether the model takes the number of the text (token_type_ids).
    """
    written = Tokenizer.from_str(tokenizer.to_str())
    template = _template(written, names, frame)
    if template is not None:
        written.post_processor = template
    written.save(str(folder / "tokenizer.json"))
    about: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"],
        **{f"{role}_token": name for role, name in names.items()},
    }
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def _template(tokenizer: Tokenizer, names: Mapping[str, str], frame: str) -> Any:
    if tokenizer.post_processor is not None:
        return None  # it frames texts already
    cls, sep, eos = names.get("cls"), names.get("sep"), names.get("eos")
    if frame == "sentence" and cls and sep:
        single, pair = f"{cls} $A {sep}", f"{cls} $A {sep} $B:1 {sep}:1"
    elif frame == "source" and eos:
        single, pair = f"$A {eos}", f"$A {eos} $B:1 {eos}:1"
    elif frame == "plain" and eos:
        single, pair = "$A", f"$A {eos} $B:1"
    else:
        return None
    used = {name: tokenizer.token_to_id(name) for name in (cls, sep, eos) if name and name in f"{single} {pair}"}
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(used.items()))

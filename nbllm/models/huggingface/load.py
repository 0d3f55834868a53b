"""A model of transformers from its folder, or built anew from its config.json; and its weights for our own core."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from nbllm.errors import ModelError, one_line
from nbllm.models.huggingface.classes import auto_class
from nbllm.models.huggingface.foreign import Foreign, wrap
from nbllm.models.huggingface.names import to_ours
from nbllm.models.huggingface.quiet import quiet
from nbllm.models.huggingface.source import HEADS, labels_of
from nbllm.models.huggingface.tags import names_of

# Keys of model.options that are ours; all others go into the model's own configuration.
TRUST, KERNELS = "trust_remote_code", "attn_implementation"
_TABLES = {
    "qwen3": "rotary", "llama": "rotary", "mistral": "rotary", "gpt2": "gpt2", "bert": "bert",
    "modernbert": "modernbert", "mbart": "bart", "bart": "bart", "marian": "bart", "pegasus": "bart",
}  # fmt: skip
_HEAD_PARTS = ("classifier", "score", "classification_head")


@dataclass(frozen=True)
class Wanted:
    """What a run asks of a model: its head, the entries of its vocabulary, the labels, the padding's id."""

    head: str
    vocab: int
    labels: tuple[str, ...] = ()
    outputs: int = 0
    pad: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answers(self) -> list[str]:
        """The label of each output: of one sigmoid the second of the two."""
        if self.head == "tags":
            return names_of(self.labels)
        return list(self.labels if len(self.labels) == self.outputs else self.labels[-1:])


def build(settings: Mapping[str, Any], wanted: Wanted, trusted: bool = False) -> Foreign:
    """The model that a config.json describes, with fresh weights: checkpoints are then put into it."""
    import transformers

    kind = str(settings.get("model_type"))
    with _told(kind), quiet():
        if kind not in transformers.CONFIG_MAPPING:
            raise ModelError(f"This transformers knows no model of type '{kind}'.", "pip install -U transformers")
        config = transformers.CONFIG_MAPPING[kind].from_dict({**settings})
        _adapt(config, wanted)
        cls = getattr(transformers, HEADS[wanted.head])
        model = _with_kernels(lambda **how: cls.from_config(config, trust_remote_code=trusted, **how), wanted.options)
        return _finished(model, wanted)


def load(folder: Path, wanted: Wanted, trusted: bool = False) -> tuple[Foreign, list[str]]:
    """The model in a folder, and the names of its parameters that the folder does not hold and that are fresh."""
    import transformers

    with _told(folder.name), quiet():
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
        labelled = wanted.head in ("labels", "tags")
        own_labels = labels_of(config.to_dict()) if labelled else []
        _adapt(config, wanted)
        cls = getattr(transformers, HEADS[wanted.head])

        def make(**how: Any) -> Any:
            return cls.from_pretrained(
                folder, config=config, output_loading_info=True, use_safetensors=True, local_files_only=True,
                trust_remote_code=trusted, dtype=torch.float32,
                ignore_mismatched_sizes=labelled or wanted.head == "ends", **how,
            )  # fmt: skip

        model, info = _with_kernels(make, wanted.options)
        fresh = {*info["missing_keys"], *(each[0] for each in info["mismatched_keys"])}
        if labelled and wanted.outputs and own_labels and not _same_labels(own_labels, wanted):
            fresh |= _renewed(model)
        module = _finished(model, wanted)
    parameters = {name.removeprefix("model.") for name, _ in module.named_parameters()}
    return module, sorted(f"model.{name}" for name in fresh & parameters)


def settings_of(module: Foreign) -> dict[str, Any]:
    """The config.json from which `build` makes this module again."""
    config: dict[str, Any] = json.loads(module.model.config.to_json_string(use_diff=False))
    return config


def tensors_of(folder: Path, settings: Mapping[str, Any]) -> tuple[dict[str, Tensor], str]:
    """The weights of a model in a folder under the names of our own core, and the head that they were made for.

    ModelError where the network is none of ours."""
    import transformers

    table = _TABLES.get(str(settings.get("model_type")), "")
    classes = [str(each) for each in settings.get("architectures") or []]
    found = next(filter(None, map(auto_class, classes)), "")
    heads = {name: head for head, name in HEADS.items()} | {"AutoModelForPreTraining": "masked"}
    head = heads.get(found) or {"bart": "target", "bert": "masked", "modernbert": "masked"}.get(table, "next")
    bare = "AutoModelForPreTraining" if table == "bert" else HEADS[head]  # which has room for the pooler of a bare BERT
    cls = getattr(transformers, found or bare)
    with _told(folder.name), quiet():
        model, info = cls.from_pretrained(
            folder, output_loading_info=True, use_safetensors=True, local_files_only=True, trust_remote_code=False,
            dtype=torch.float32,
        )  # fmt: skip
    there = {name: t for name, t in model.state_dict().items() if name not in info["missing_keys"]}
    bias = there.get("final_logits_bias")
    if bias is not None and bool(bias.any()):
        raise ModelError(
            f"{folder.name} adds a bias to the logits of each token, which our core does not.",
            "Leave model out: it then trains as it is.",
        )
    return to_ours(there, table, head), head


def read_tokenizer(folder: Path, trusted: bool = False) -> Tokenizer:
    """The fast tokenizer of a model in a folder. ModelError where it has none."""
    import transformers

    with _told(folder.name), quiet():
        try:
            found = transformers.AutoTokenizer.from_pretrained(
                folder, use_fast=True, local_files_only=True, trust_remote_code=trusted
            )
        except (ValueError, OSError, ImportError, KeyError) as error:
            raise ModelError(
                f"{folder.name} has no tokenizer that can be read: {one_line(error)[:160]}.",
                "Put its tokenizer.json beside its config.json, or give one: --tokenizer PATH.json",
            ) from None
    backend = getattr(found, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ModelError(
            f"The tokenizer of {folder.name} is no fast one.", "Give a tokenizer.json: --tokenizer PATH.json"
        )
    return backend


def _adapt(config: Any, wanted: Wanted) -> None:
    """Settle in the model's own configuration what the run asks for."""
    for key, value in wanted.options.items():
        if key in (TRUST, KERNELS):
            continue
        if not hasattr(config, key):
            raise ModelError(f"The model's configuration has no '{key}' (model.options).", "See its config.json.")
        setattr(config, key, value)
    if wanted.head == "ends":
        config.num_labels = 2
    if wanted.head not in ("labels", "tags"):
        return
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = wanted.pad  # by which a decoder finds the last token of a text
    if wanted.outputs:
        labels = wanted.answers or [f"LABEL_{index}" for index in range(wanted.outputs)]
        config.num_labels = wanted.outputs
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
        config.problem_type = None


def _finished(model: Any, wanted: Wanted) -> Foreign:
    """The model wrapped, with an embedding for every token of the run's vocabulary."""
    rows = model.get_input_embeddings().weight.shape[0]
    if rows < wanted.vocab:
        model.resize_token_embeddings(wanted.vocab, mean_resizing=False)
    return wrap(model.float(), wanted.head).train()


def _with_kernels(make: Any, options: Mapping[str, Any]) -> Any:
    """Made with torch's fused attention where the model has it."""
    if options.get(KERNELS):
        return make(attn_implementation=str(options[KERNELS]))
    try:
        return make(attn_implementation="sdpa")
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error) and "sdpa" not in str(error):
            raise
        return make(attn_implementation="eager")


def _same_labels(own: Sequence[str], wanted: Wanted) -> bool:
    """Whether the model's labels are the run's, in this order; LABEL_0, LABEL_1 are any."""
    unnamed = all(label == f"LABEL_{index}" for index, label in enumerate(own))
    return len(own) == wanted.outputs and (unnamed or list(own) == wanted.answers)


def _renewed(model: Any) -> set[str]:
    """Draw the head anew, for it answers other labels; the names of its parameters."""
    renewed: set[str] = set()
    for name, part in model.named_children():
        if name in _HEAD_PARTS:
            for each in part.modules():
                for value in each.parameters(recurse=False):
                    value.__dict__.pop("_is_hf_initialized", None)
                each.__dict__.pop("_is_hf_initialized", None)
                model._init_weights(each)
            renewed |= {f"{name}.{inner}" for inner, _ in part.named_parameters()}
    return renewed


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """What the library says against a model, as one line."""
    try:
        yield
    except ModelError:
        raise
    except (ValueError, OSError, KeyError, RuntimeError, ImportError, TypeError, AttributeError) as error:
        said = one_line(error)
        if "trust_remote_code" in said:
            raise ModelError(
                f"{name} brings code of its own, which runs only where you say so.",
                "If you trust it: model: {options: {trust_remote_code: true}}",
            ) from None
        raise ModelError(f"{name} cannot be loaded: {said[:240]}", "Check the folder and its config.json.") from error

"""A trained model as a folder for others: as transformers loads it where its network has a home there, else as nbllm
does; with its tokenizer and its card; and the folder as a repository of the hub, where one says so."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import goal_of
from nbllm.errors import ModelError, one_line
from nbllm.handles.card import write_card
from nbllm.inspection.finding import kept
from nbllm.models.estimate import Shape
from nbllm.models.huggingface.classes import auto_class
from nbllm.models.huggingface.layouts import ADVICE, Layout, NoLayout, layout
from nbllm.registry import MODELS
from nbllm.store.files import write_text
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

    from nbllm.handles.model import Model

WEIGHTS = "model.safetensors"
# What an export may leave behind; an earlier one in the same folder makes way.
_OWN = (
    "config.json", "config.yaml", "generation_config.json", WEIGHTS, "model.safetensors.index.json", "tokenizer.json",
    "target_tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "README.md", "curve.png",
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """What was written: the folder, the class of transformers that loads it (where none does, the reason), and the
    address of what was uploaded."""

    folder: Path
    architecture: str = ""
    reason: str = ""
    pushed: str = ""

    @property
    def usage(self) -> str:
        """How the model is loaded, as code."""
        where = repr(str(self.folder))
        if not self.architecture:
            return f"nbllm.load({where})"
        return f"transformers.{auto_class(self.architecture) or 'AutoModel'}.from_pretrained({where})"

    def __str__(self) -> str:
        lines = [f"Wrote {self.folder}. Load it: {self.usage}", self.reason, self.pushed and f"Uploaded: {self.pushed}"]
        return "\n".join(line for line in lines if line)


def export(
    model: Model, folder: Path, *, license: str | None = None, push: str | None = None, public: bool = False
) -> Exported:
    """Write the model, its tokenizer and its card into the folder; `push` uploads it too (see `upload`)."""
    from nbllm.models.cheaper import is_rounded
    from nbllm.training import lora

    if model.module is None:
        raise ModelError("The model was closed.", "Load it again: nbllm.load(NAME)")
    if RunFolder(folder).exists():
        raise ModelError(f"{folder} is the folder of a run.", "Export into a folder of its own.")
    if is_rounded(model.module):
        raise ModelError("A quantized model only writes.", "Export the one that it was made of: nbllm.load(NAME)")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OWN:
        (folder / name).unlink(missing_ok=True)
    tensors = lora.merged(_tensors(model), model.config.lora)
    if model.config.model.kind == "huggingface":
        written = Exported(folder, _foreign(model, tensors, folder))
    else:
        try:
            written = Exported(folder, _standard(model, _layout(model), tensors, folder))
        except NoLayout as error:
            _own_form(model, tensors, folder)
            written = Exported(folder, reason=str(error))
    write_card(model, written.architecture, written.reason, folder, license)
    if push is None:
        return written
    pictures = [f"{finding.kind}.svg" for finding in kept(model.folder)]
    return Exported(folder, written.architecture, written.reason, upload(folder, push, public, pictures))


def export_run(
    name: str | Path,
    folder: str | Path,
    *,
    step: int | None = None,
    license: str | None = None,
    push: str | None = None,
    public: bool = False,
) -> Exported:
    """Write the model that `nbllm.load(name)` gives; what was written prints as lines that say how to load it."""
    from nbllm.handles.train import load

    return export(load(name, step), Path(folder).expanduser(), license=license, push=push, public=public)


def upload(folder: Path, repository: str, public: bool = False, pictures: Sequence[str] = ()) -> str:
    """The folder as a repository of the hub, made where there is none, private unless `public`. Returns its address.
    Only what an export writes is sent, with the `pictures` that its card shows.

    ModelError where the hub refuses: one line with its reason.
    """
    import huggingface_hub

    api = huggingface_hub.HfApi()
    try:
        made = api.create_repo(repository, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message="Model exported by nbllm",
            allow_patterns=[*_OWN, "model-*-of-*.safetensors", "cells/*.py", *pictures],
        )  # fmt: skip
    except Exception as error:  # the hub's client raises many kinds, from three packages
        raise ModelError(
            f"{folder} was written, and not uploaded to {repository}: {one_line(error)[:200]}.",
            "Sign in with: hf auth login, and name the repository as in me/my-model.",
        ) from None
    return str(made)


def _tensors(model: Model) -> dict[str, Tensor]:
    from nbllm.training.checkpoint import weights

    return weights(model.module)


def _layout(model: Model) -> Layout:
    """The layout of a network of ours; NoLayout where it has none."""
    config, task = model.config, model.objective.task
    goal = goal_of(config.objective)
    if not MODELS.is_builtin(config.model.kind):
        raise NoLayout(f"No class of transformers computes the model '{config.model.kind}' of a cell.", ADVICE)
    shape = Shape(
        task.tokenizer.get_vocab_size(), task.context, goal.head,
        None if task.target_tokenizer is None else task.target_tokenizer.get_vocab_size(), task.target_context,
        model.objective.outputs,
    )  # fmt: skip
    return layout(config.model, shape, pairs=_pairs(model), prefix=config.objective.kind == "prefix-lm")


def _pairs(model: Model) -> bool:
    return model.config.objective.kind == "nsp" or (
        model.config.objective.kind == "mlm" and model.config.objective.next_sentence
    )


def _standard(model: Model, found: Layout, tensors: dict[str, Tensor], folder: Path) -> str:
    """A folder that transformers loads; the name of its class."""
    from nbllm.models.huggingface.export import write
    from nbllm.models.huggingface.tokens import write_tokenizer

    task, head = model.objective.task, goal_of(model.config.objective).head
    names = _special_names(model)
    two_way = model.config.model.bidirectional and head != "target"
    ids = {role: int(task.tokenizer.token_to_id(name) or 0) for role, name in names.items()}
    write(
        tensors, found, head, folder, ids, labels=_labels(model), several=model.config.objective.multi_label,
        pairs=_pairs(model), most=min(200, task.target_context or task.context),
    )  # fmt: skip
    frame = "source" if head == "target" else "sentence" if two_way else "plain"
    segments = found.model_type == "bert"
    write_tokenizer(task.tokenizer, folder, task.context, names, frame, segments=segments)
    return found.architecture


def _special_names(model: Model) -> dict[str, str]:
    """The special tokens of a network of ours, by their role in transformers."""
    from nbllm.data.tokenizers import end_id, special_id, unknown_id

    tokenizer = model.tokenizer
    end, head = end_id(tokenizer), goal_of(model.config.objective).head
    pad = special_id(tokenizer, "<pad>")
    roles: dict[str, int | None] = {"unk": unknown_id(tokenizer), "pad": end if pad is None else pad}
    if head in ("masked", "labels") and model.config.model.bidirectional:
        roles |= {role: special_id(tokenizer, f"<{role}>") for role in ("cls", "sep", "mask")}
    else:
        roles |= {"eos": end, **({"bos": end} if head == "next" else {})}
    return _named(tokenizer, roles)


def _labels(model: Model) -> list[str]:
    """The name of each answer of a classifier; one sigmoid says whether it is the second label."""
    labels = list(model.objective.task.labels)
    return labels[1:] if model.objective.outputs == 1 and len(labels) == 2 else labels


def _foreign(model: Model, tensors: dict[str, Tensor], folder: Path) -> str:
    """A model of transformers, as the library itself writes it; the name of its class."""
    from nbllm.models.huggingface.export import write_foreign
    from nbllm.models.huggingface.tokens import write_tokenizer

    module: Any = model.module
    write_foreign(module.model, tensors, folder)
    context, segments = model.objective.task.context, module.takes_segments
    write_tokenizer(model.tokenizer, folder, context, _foreign_names(model), segments=segments)
    if model.chat_template is not None and model.chat_template.source:
        write_text(folder / "chat_template.jinja", model.chat_template.source)
    return type(module.model).__name__


def _foreign_names(model: Model) -> dict[str, str]:
    """The special tokens that the model's own configuration and its tokenizer name."""
    from nbllm.data.tokenizers import end_id, special_id, unknown_id

    config: Any = model.module.model.config  # type: ignore[union-attr]
    ids = {role: getattr(config, f"{role}_token_id", None) for role in ("bos", "eos", "pad")}
    ids |= {role: special_id(model.tokenizer, f"<{role}>") for role in ("cls", "sep", "mask")}
    ids["unk"] = unknown_id(model.tokenizer)
    if not isinstance(ids["eos"], int):
        ids["eos"] = end_id(model.tokenizer)
    return _named(model.tokenizer, ids)


def _named(tokenizer: Any, ids: dict[str, Any]) -> dict[str, str]:
    """The tokens of these ids; roles that have none are left out."""
    names = {role: tokenizer.id_to_token(i) for role, i in ids.items() if isinstance(i, int)}
    return {role: name for role, name in names.items() if name is not None}


def _own_form(model: Model, tensors: dict[str, Tensor], folder: Path) -> None:
    """What nbllm.load reads: the weights under our names, the configuration, the tokenizers."""
    from safetensors.torch import save_file

    save_file(tensors, folder / WEIGHTS)
    config = model.config.model_copy(deep=True)
    config.lora.rank = 0  # the adapters are in the weights
    write_text(folder / "config.yaml", config.to_yaml())
    model.tokenizer.save(str(folder / "tokenizer.json"))
    target = model.objective.task.target_tokenizer
    if target is not None:
        target.save(str(folder / "target_tokenizer.json"))
    cells = model.folder / "cells"
    if cells.is_dir():
        shutil.copytree(cells, folder / "cells", dirs_exist_ok=True)

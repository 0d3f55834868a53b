"""Weights to start from: what `init_from` names is brought into the run folder when the run is made, so that it stands
alone, and put into the fresh module by the worker. Models of Hugging Face are in `hub`.

    init/  parent.json  model.safetensors  config.yaml  tokenizer.json
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import FAMILIES, GOALS, Layers, RunConfig, asked, goal_of
from nbllm.errors import NbllmError, RunError
from nbllm.models.huggingface import source
from nbllm.runners import hub
from nbllm.store.files import link_or_copy, read_json, write_json
from nbllm.store.folder import RunFolder, find_run

if TYPE_CHECKING:
    from torch import nn

    from nbllm.objectives.base import Objective

FOLDER = "init"
_BROUGHT = ("config.yaml", "tokenizer.json", "target_tokenizer.json", "model.safetensors", hub.SETTINGS)
# What a child takes over from its parent's network where nothing is said; the rest follows from its own objective.
_OWN = ("kind", "pool", "options", "plain")


def parent_of(init_from: str) -> RunFolder:
    """The run that `init_from` names. RunError where there is none, or where it has no checkpoint."""
    parent = find_run(init_from)
    if not parent.checkpoint_steps():
        raise RunError(
            f"Run '{parent.name}' has no checkpoint to start from ({parent.status().state}).",
            f"Wait for it, or ask for one: nbllm.attach('{parent.name}').checkpoint()",
        )
    return parent


def parent_layer(init_from: str, asked_kind: str | None, learns: str | None = None) -> dict[str, Any]:
    """The settings that a child takes over: the parent's network, as far as its own family knows the field, and the
    context. One of another family that `learns` the next token reads one way, whatever its parent did."""
    config = parent_config(parent_of(init_from))
    kind = asked_kind or config.model.kind
    known = FAMILIES[kind].fields if kind in FAMILIES else None
    model = config.model.model_dump(mode="json")
    taken = {
        f"model.{name}": value
        for name, value in model.items()
        if (name not in _OWN or (name == "plain" and kind == config.model.kind)) and (known is None or name in known)
    }
    goal = GOALS.get(str(learns or FAMILIES[kind].objective)) if kind in FAMILIES else None
    if kind != config.model.kind and goal is not None and goal.head == "next":
        taken.pop("model.bidirectional", None)
    if config.model.kind == "seq2seq" and kind != "seq2seq":
        taken["model.layers"] = len(config.model.two_stacks()[0])
    if kind == "huggingface":
        taken |= {**hub.GENTLE, "objective.kind": config.objective.kind}
    return {"model.kind": kind, **taken, "train.context": config.train.context}


def parent_config(parent: RunFolder) -> RunConfig:
    """The configuration of a parent."""
    step = parent.checkpoint_steps()[-1]
    place = parent.checkpoint(step) / "config.yaml"
    return RunConfig.from_yaml(place.read_text(encoding="utf-8"), f"config.yaml of '{parent.name}'")


def check(config: RunConfig) -> None:
    """ConfigError or ModelError for what can be known of a model of Hugging Face before a worker has it."""
    if source.is_hugging_face(config.init_from):
        hub.check(config)


def bring(config: RunConfig, folder: Path) -> None:
    """Copy (or link) the parent's latest weights, tokenizer and configuration into a new run folder. A model of Hugging
    Face is left where it is: the worker reads it there once."""
    if config.init_from is None:
        return
    if source.is_hugging_face(config.init_from):
        hub.agree(config)
        return
    copy_run(parent_of(config.init_from), folder / FOLDER)


def copy_run(parent: RunFolder, target: Path) -> None:
    """Copy (or link) a run's latest weights with what belongs to them, and write down which they are. RunError where
    that cannot be done."""
    for _ in range(3):  # the parent may still train, and thin its checkpoints at this moment
        step = parent.checkpoint_steps()[-1]
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        try:
            place = parent.checkpoint(step)
            for name in _BROUGHT:
                if (place / name).is_file():
                    link_or_copy(place / name, target / name)
            best = read_json(place / "state.json", {}).get("val_loss")
            write_json(target / "parent.json", {"name": parent.name, "step": step, "val_loss": best})
            return
        except OSError as error:
            fault = error
    raise RunError(f"The weights of '{parent.name}' could not be copied: {fault}.", "Try again.")


def tokenizer_of(folder: RunFolder) -> Path | None:
    """The parent's tokenizer, where the run has a parent."""
    path = folder.path / FOLDER / "tokenizer.json"
    return path if path.is_file() else None


def fetch(folder: RunFolder, config: RunConfig) -> None:
    """What the data's preparation needs of a model of Hugging Face: its tokenizer."""
    if source.is_hugging_face(config.init_from):
        hub.fetch(folder, config)


def begin(folder: RunFolder, config: RunConfig, objective: Objective) -> tuple[nn.Module, dict[str, Any]]:
    """The module as it is before its first step, with the parent's weights and with adapters where they are asked for;
    and what was taken, for environment.json."""
    from nbllm.training import lora

    foreign = config.model.kind == "huggingface"
    from_hub = source.is_hugging_face(config.init_from)
    goes_on = bool(folder.checkpoint_steps())  # its own weights come: the parent's are not needed any more
    about: dict[str, Any] = {}
    module: nn.Module
    if foreign and from_hub and not (goes_on and (folder.path / hub.SETTINGS).is_file()):
        module, fresh = hub.begin(folder, config, objective)
        about = _told(folder, config, sum(1 for _ in module.parameters()) - len(fresh), fresh)
    else:
        if foreign and not from_hub:
            _inherit(folder, config, objective)
        module = module_of(folder.path, config, objective)
        if config.init_from and not goes_on:
            about = _put(folder, config, module)
    if config.lora.rank:
        known = about or read_json(folder.environment, {}).get("parent", {})  # what was fresh at the start learns on
        layers = lora.inject(module, config.lora, known.get("fresh", []))
        print(f"lora: {len(layers)} layers adapted, {lora.trained(module):,} parameters learn", flush=True)
    return module, about


def module_of(place: Path, config: RunConfig, objective: Objective) -> nn.Module:
    """The module that a configuration describes, with fresh weights; that of a Hugging Face model by the file beside it
    in the run's folder or the checkpoint's."""
    if config.model.kind == "huggingface":
        return hub.rebuild(place, config, objective)
    from nbllm.objectives.make import module_for

    return module_for(config, objective)


def _put(folder: RunFolder, config: RunConfig, module: nn.Module) -> dict[str, Any]:
    """Put the parent's weights into the module; what was taken."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from nbllm.training import lora
    from nbllm.training.transfer import transfer

    place = folder.path / FOLDER
    about = read_json(place / "parent.json", {})
    name = str(about.get("name", config.init_from))
    if source.is_hugging_face(config.init_from):
        tensors, head = hub.weights(folder, config)
    else:
        where = str(place / "config.yaml")
        try:
            parent = RunConfig.from_yaml((place / "config.yaml").read_text(encoding="utf-8"), where)
            tensors = lora.merged(load_file(place / "model.safetensors"), parent.lora)
        except (OSError, SafetensorError, NbllmError) as error:
            raise RunError(f"The weights to start from in {place} are damaged ({error}).", "Train it anew.") from None
        head = goal_of(parent.objective).head
        about["objective"] = parent.objective.kind
    done = transfer(module, tensors, f"'{name}'", head)
    step = about.get("step")
    print(f"from {name}{'' if step is None else f', step {step:,}'}: {done}", flush=True)
    return {**about, "tensors_taken": len(done.taken), "fresh": done.fresh, "parameters_taken": done.parameters}


def _told(folder: RunFolder, config: RunConfig, taken: int, fresh: list[str]) -> dict[str, Any]:
    about = read_json(folder.path / FOLDER / "parent.json", {})
    said = f"; fresh: {', '.join(fresh[:6])}{' ...' if len(fresh) > 6 else ''}" if fresh else ""
    print(f"from {config.init_from}: {taken} of {taken + len(fresh)} tensors taken{said}", flush=True)
    return {**about, "tensors_taken": taken, "fresh": fresh}


def _inherit(folder: RunFolder, config: RunConfig, objective: Objective) -> None:
    """The configuration of a parent's model, with the head of this run."""
    from nbllm.models.huggingface.load import settings_of

    if (folder.path / hub.SETTINGS).is_file():
        return
    module = hub.rebuild(folder.path / FOLDER, config, objective)
    write_json(folder.path / hub.SETTINGS, settings_of(module))


def with_parent(layers: Layers, settings: Layers) -> Layers:
    """The layers, on top of what the parent that they name sets."""
    said = {**asked(settings), **asked(layers)}
    name = said.get("init_from")
    if not name:
        return layers
    if source.is_hugging_face(name):
        return [(f"model {name}", hub.layer(str(name), said)), *layers]
    taken = parent_layer(str(name), said.get("model.kind"), said.get("objective.kind"))
    return [(f"parent {name}", taken), *layers]

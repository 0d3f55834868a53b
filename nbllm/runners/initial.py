"""Weights to start from: what `init_from` names is brought into the run folder when the run is made, so that it stands
alone, and put into the fresh module by the worker.

    init/  parent.json  model.safetensors  config.yaml  tokenizer.json
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from nbllm.config import FAMILIES, Layers, RunConfig, goal_of
from nbllm.errors import NbllmError, RunError
from nbllm.store.files import read_json, write_json
from nbllm.store.folder import RunFolder, find_run

FOLDER = "init"
HUGGING_FACE = "hf:"
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


def parent_layer(init_from: str, asked_kind: str | None) -> dict[str, Any]:
    """The settings that a child takes over: the parent's network, as far as its own family knows the field, and the
    context."""
    config = parent_config(parent_of(init_from))
    kind = asked_kind or config.model.kind
    known = FAMILIES[kind].fields if kind in FAMILIES else None
    model = config.model.model_dump(mode="json")
    taken = {
        f"model.{name}": value
        for name, value in model.items()
        if (name not in _OWN or (name == "plain" and kind == config.model.kind)) and (known is None or name in known)
    }
    if config.model.kind == "seq2seq" and kind != "seq2seq":
        taken["model.layers"] = len(config.model.two_stacks()[0])
    return {"model.kind": kind, **taken, "train.context": config.train.context}


def parent_config(parent: RunFolder) -> RunConfig:
    """The configuration of a parent."""
    step = parent.checkpoint_steps()[-1]
    place = parent.checkpoint(step) / "config.yaml"
    return RunConfig.from_yaml(place.read_text(encoding="utf-8"), f"config.yaml of '{parent.name}'")


def bring(init_from: str, folder: Path) -> None:
    """Copy (or link) the parent's latest weights, tokenizer and configuration into a new run folder."""
    parent = parent_of(init_from)
    for _ in range(3):  # the parent may still train, and thin its checkpoints at this moment
        step = parent.checkpoint_steps()[-1]
        target = folder / FOLDER
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        try:
            place = parent.checkpoint(step)
            for name in ("config.yaml", "tokenizer.json", "target_tokenizer.json", "model.safetensors"):
                if (place / name).is_file():
                    _bring(place / name, target / name)
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


def put(folder: RunFolder, config: RunConfig, module: Any) -> dict[str, Any]:
    """Put the parent's weights into the module; what was taken, for environment.json."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from nbllm.training.transfer import transfer

    place = folder.path / FOLDER
    about = read_json(place / "parent.json", {})
    try:
        parent = RunConfig.from_yaml((place / "config.yaml").read_text(encoding="utf-8"), str(place / "config.yaml"))
        tensors = load_file(place / "model.safetensors")
    except (OSError, SafetensorError, NbllmError) as error:
        raise RunError(f"The weights to start from in {place} are damaged ({error}).", "Train it anew.") from None
    done = transfer(module, tensors, f"'{about.get('name', config.init_from)}'", goal_of(parent.objective).head)
    print(f"from {about.get('name')}, step {about.get('step')}: {done}", flush=True)
    about["objective"] = parent.objective.kind
    return {**about, "tensors_taken": len(done.taken), "fresh": done.fresh, "parameters_taken": done.parameters}


def with_parent(layers: Layers, settings: Layers) -> Layers:
    """The layers, on top of what the parent that they name sets."""
    asked: dict[str, Any] = {}
    for _, layer in (*settings, *layers):
        for key in ("init_from", "model.kind", "model"):
            if key in layer and layer[key] is not None:
                asked[key] = layer[key]
    name = asked.get("init_from")
    if not name or str(name).startswith(HUGGING_FACE):
        return layers
    model = asked.get("model")
    kind = asked.get("model.kind") or (model.get("kind") if isinstance(model, dict) else model)
    return [(f"parent {name}", parent_layer(str(name), kind)), *layers]


def _bring(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

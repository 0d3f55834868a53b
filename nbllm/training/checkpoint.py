"""A checkpoint: a folder with weights, optimizer, generators and counters, enough to go on bit for bit.

step-N/  model.safetensors  optimizer.safetensors  state.json  config.yaml  tokenizer.json
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nbllm.errors import RunError
from nbllm.store.files import folder_size, replace, sync_folder

FORMAT = 1


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the module once, contiguous on the CPU; of tied weights the first name."""
    found: dict[str, Tensor] = {}
    seen: set[tuple[int, torch.Size]] = set()
    for name, tensor in module.state_dict().items():
        key = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        found[name.removeprefix("_orig_mod.")] = tensor.detach().to("cpu", copy=False).contiguous()
    return found


def load_weights(module: nn.Module, folder: Path) -> None:
    """Put a checkpoint's weights into the module. RunError where they are damaged or do not fit."""
    try:
        tensors = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise damaged(folder, error) from None
    expected = set(weights(module))
    if set(tensors) != expected:
        odd = sorted(set(tensors) ^ expected)[0]
        raise RunError(
            f"The weights in {folder.name} do not fit the model: '{odd}' stands on one side only.",
            "Was the model's class changed since? Run its old cell, or train anew with --replace.",
        )
    own = module.state_dict()
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            raise RunError(
                f"'{name}' in {folder.name} has shape {tuple(tensor.shape)}, the model has {tuple(own[name].shape)}.",
                "Was the model's class changed since? Run its old cell, or train anew with --replace.",
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def save(
    folder: Path, module: nn.Module, optimizer: dict[str, Tensor], state: dict[str, Any], beside: dict[str, Path]
) -> int:
    """Write a checkpoint whole: under a temporary name, fsynced, renamed. Returns its bytes.

    `beside` are small files to copy in. Raises OSError where the disk is full; nothing half done is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        _write(weights(module), temporary / "model.safetensors")
        _write({**optimizer, **generator_states(module)}, temporary / "optimizer.safetensors")
        (temporary / "state.json").write_text(json.dumps({"format": FORMAT, **state}), encoding="utf-8")
        for name, path in beside.items():
            if path.is_file():
                shutil.copyfile(path, temporary / name)
        for path in temporary.iterdir():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        old = folder.with_name(f".old-{folder.name}")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            replace(folder, old)
        replace(temporary, folder)
        sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder_size(folder)


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors. OSError with the system's number where the system refuses: safetensors has an error of its own."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def load_state(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """state.json and the tensors of optimizer and generators. RunError where they are damaged."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "optimizer.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise damaged(folder, error) from None
    if state.get("format") != FORMAT:
        raise RunError(f"{folder.name} has format {state.get('format')}.", "Type: pip install --upgrade nbllm")
    return state, tensors


def damaged(folder: Path, error: Exception) -> RunError:
    """The one line for a checkpoint that cannot be read."""
    return RunError(
        f"Checkpoint {folder.name} of '{folder.parent.parent.name}' is damaged ({error}).",
        "Delete its folder; an earlier checkpoint is then used.",
    )


def generator_states(module: nn.Module) -> dict[str, Tensor]:
    """The states of torch's generators that training draws from (dropout)."""
    states = {"generator.cpu": torch.get_rng_state()}
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    if device.type == "cuda":
        states["generator.cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["generator.mps"] = torch.mps.get_rng_state()
    return states


def set_generator_states(states: dict[str, Tensor], module: nn.Module) -> None:
    """Put the generators where they were."""
    torch.set_rng_state(states["generator.cpu"])
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    if device.type == "cuda" and "generator.cuda" in states:
        torch.cuda.set_rng_state(states["generator.cuda"], device)
    elif device.type == "mps" and "generator.mps" in states:
        torch.mps.set_rng_state(states["generator.mps"])

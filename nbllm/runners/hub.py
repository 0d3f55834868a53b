"""Runs that start from a model of Hugging Face: what its config.json settles, and the model itself in the worker.

init/  parent.json  tokenizer.json          what was taken, and its tokenizer
huggingface.json                            the model's own configuration, which makes a checkpoint whole
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import FAMILIES, SIZES, RunConfig, goal_of, resolve
from nbllm.errors import ConfigError, ModelError, RunError
from nbllm.models.huggingface import source
from nbllm.models.huggingface.settings import ours
from nbllm.models.huggingface.tags import kinds_of
from nbllm.store.files import read_json, write_json, write_text
from nbllm.store.folder import RunFolder, user_folder

if TYPE_CHECKING:
    from nbllm.models.huggingface.foreign import Foreign
    from nbllm.objectives.base import Objective

SETTINGS = "huggingface.json"
# What goes on from weights that were trained before learns gently, where nothing else is said.
GENTLE = {"train.optimizer": "adamw", "train.lr": 5e-5, "train.weight_decay": 0.01}
ADAPTERS_LR = 2e-4
UNLIMITED = 1024
"""Tokens that a model without a limit of its own is given at a time."""


def layer(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a model of Hugging Face brings: its objective, the longest text, gentle learning; its network
    where it is to be built in our own core (`model: transformer`)."""
    settings = source.read_settings(name, Path.cwd(), bool(asked.get("data.allow_download")))
    kind = str(asked.get("model.kind") or "huggingface")
    found: dict[str, Any] = {"model.kind": kind}
    if kind != "huggingface":
        network = ours(settings)
        if network["kind"] != kind:
            raise ConfigError(
                f"{name} is a {settings['model_type']}, which is of kind {network['kind']} here, not {kind}.",
                f"Say model: {network['kind']}, or leave model out: it then trains as it is.",
            )
        found |= {f"model.{key}": value for key, value in network.items()}
        if kind == "transformer":
            found["model.bidirectional"] = False
    if not asked.get("objective.kind"):
        found["objective.kind"] = _objective(settings, name, kind)
    size = SIZES.get(str(asked.get("size") or RunConfig().size), SIZES["mini"])
    found["train.context"] = min(
        size["any"]["train"]["context"], source.longest(settings) or size["any"]["train"]["context"]
    )
    lr = {"train.lr": ADAPTERS_LR} if int(asked.get("lora.rank") or 0) else {}
    return {**found, **GENTLE, **lr}


def check(config: RunConfig) -> None:
    """ConfigError or ModelError for what can be known of a model before a worker has it."""
    name = str(config.init_from)
    settings = source.read_settings(name, Path.cwd(), config.data.allow_download)
    most = source.longest(settings)
    asked = max(config.train.context, config.train.target_context or 0)
    if most is not None and asked > most:
        raise ConfigError(f"{name} reads at most {most:,} tokens, and context is {asked:,}.", f"Try context: {most}.")
    if source.local_folder(name, Path.cwd()) is not None or not config.data.allow_download:
        source.locate(name, Path.cwd(), code=_asks_trust(config))


def agree(config: RunConfig) -> None:
    """Remember, for this user, that a model's own code may run: it was said in the call that makes the run. A folder
    from elsewhere cannot say so."""
    if _asks_trust(config):
        write_text(_agreed(config), str(config.init_from))


def trusted(config: RunConfig) -> bool:
    """Whether the model's own code may run. ModelError where the configuration says so and this user has not."""
    if not _asks_trust(config):
        return False
    if not _agreed(config).is_file():
        raise ModelError(
            f"The model of {config.init_from} needs code of its own, which nobody has agreed to here.",
            "Train a run from it yourself, with model: {options: {trust_remote_code: true}}, if you trust it.",
        )
    return True


def fetch(folder: RunFolder, config: RunConfig) -> None:
    """The model's tokenizer into the run folder, before the data are prepared; its files are fetched where agreed."""
    from nbllm.models.huggingface.load import read_tokenizer

    init = folder.path / "init"
    if (init / "tokenizer.json").is_file():
        return
    place = _place(folder, config)
    init.mkdir(exist_ok=True)
    about: dict[str, Any] = {"name": str(config.init_from), "step": None, "val_loss": None}
    if place.parent.name == "snapshots":
        about["revision"] = place.name
    write_json(init / "parent.json", about)
    if not config.tokenizer.kind.endswith(".json"):
        read_tokenizer(place, trusted(config)).save(str(init / "tokenizer.json"))


def begin(folder: RunFolder, config: RunConfig, objective: Objective) -> tuple[Foreign, list[str]]:
    """The model with its weights, and the parameters that are fresh. Its configuration is written into the folder."""
    from nbllm.models.huggingface.load import load, settings_of

    module, fresh = load(_place(folder, config), wanted(config, objective), trusted(config))
    write_json(folder.path / SETTINGS, settings_of(module))
    return module, fresh


def weights(folder: RunFolder, config: RunConfig) -> tuple[dict[str, Any], str]:
    """The tensors of the model under our own names, and the head they were made for."""
    from nbllm.models.huggingface.load import tensors_of

    place = _place(folder, config)
    return tensors_of(place, source.read_settings(f"hf:{place}", place))


def wanted(config: RunConfig, objective: Objective) -> Any:
    """What a run asks of a model."""
    from nbllm.models.huggingface.load import Wanted
    from nbllm.objectives.base import PAD

    task = objective.task
    pad = task.token(PAD)
    return Wanted(
        head=goal_of(config.objective).head,
        vocab=task.tokenizer.get_vocab_size(),
        labels=task.labels,
        outputs=objective.outputs,
        pad=task.end if pad is None else pad,
        options=config.model.options,
    )


def rebuild(place: Path, config: RunConfig, objective: Objective) -> Foreign:
    """The model with fresh weights, from the configuration beside a checkpoint. RunError where it is missing."""
    from nbllm.models.huggingface.load import build

    settings = read_json(place / SETTINGS)
    if not isinstance(settings, dict):
        raise RunError(f"{place / SETTINGS} is missing or damaged.", "Train it anew, or take an earlier checkpoint.")
    return build(settings, wanted(config, objective), trusted(config))


def _objective(settings: Mapping[str, Any], name: str, kind: str) -> str:
    try:
        return source.objective_of(settings, name)
    except ConfigError:
        if kind == "huggingface":
            raise
        return FAMILIES[kind].objective


def _place(folder: RunFolder, config: RunConfig) -> Path:
    base = Path(read_json(folder.environment, {}).get("cwd") or Path.cwd())
    return source.locate(str(config.init_from), base, config.data.allow_download, _asks_trust(config))


def _asks_trust(config: RunConfig) -> bool:
    return config.model.options.get("trust_remote_code") is True


def _agreed(config: RunConfig) -> Path:
    return user_folder("trusted") / hashlib.sha256(str(config.init_from).encode()).hexdigest()[:32]


def open_model(name: str, allow_download: bool = False, learns: str | None = None) -> tuple[RunConfig, Any, Objective]:
    """The configuration, module and objective of a model that no run has trained. Nothing is written."""
    from nbllm.data.tokenizers import adopt
    from nbllm.models.huggingface.load import load, read_tokenizer
    from nbllm.objectives.make import make

    settings = source.read_settings(name, Path.cwd(), allow_download)
    headless = learns is None and source.headless(settings)
    objective = learns or ("mlm" if headless else source.objective_of(settings, name))
    given: dict[str, Any] = {"init_from": name, "objective.kind": objective, "data.allow_download": allow_download}
    if objective == "tagging":
        given["objective.labels"] = kinds_of(source.labels_of(settings))
    if objective == "classification":
        labels = source.labels_of(settings)
        one = len(labels) == 1  # a sigmoid, which says how likely the one label is
        given["objective.labels"] = [f"not {labels[0]}", *labels] if one else labels
        given["objective.answer"] = "sigmoid" if one else "softmax"
        given["objective.multi_label"] = settings.get("problem_type") == "multi_label_classification" and not one
    brought = {**layer(name, given), "train.context": source.longest(settings) or UNLIMITED}
    config = resolve([("model", brought), ("call", given)])
    place = source.locate(name, Path.cwd(), allow_download)
    goal = make(config, adopt(read_tokenizer(place)))
    asked = wanted(config, goal)
    if headless:
        asked = replace(asked, head="none")
    elif asked.head == "tags":
        asked = replace(asked, outputs=0)  # its own tags, which may be of another scheme
    module, _ = load(place, asked)
    return config, module, goal

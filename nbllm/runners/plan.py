"""From what was asked for to a run folder, in the kernel: quick, without torch; what can be known now is checked."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import platformdirs

from nbllm.config import DataConfig, Layers, RunConfig, goal_of, read_settings, resolve
from nbllm.data import notebook_objects, rows, sources
from nbllm.errors import ConfigError, RunError
from nbllm.models import estimate
from nbllm.runners import initial, quota, teacher
from nbllm.runners.machine import memory_free, memory_limit
from nbllm.store.files import write_json, write_text
from nbllm.store.folder import RunFolder, check_name, free_name, runs_root
from nbllm.store.status import Status, write_status

RECORDS = "data/records.jsonl"
_PACKAGES = ("nbllm", "torch", "transformers", "tokenizers", "safetensors", "numpy", "ipywidgets", "plotly")
_GUESSED_VOCABULARY = {"char": 128, "byte": 257}

DEFAULTS: dict[str, Any] = {}  # what `%config NbLLM` says, by dotted key


def configure(layers: Layers) -> RunConfig:
    """The configuration by the order of precedence: settings files, %config, then the given layers."""
    config = resolve(*gathered(layers))
    cap = os.environ.get("NBLLM_QUICK_STEPS")
    if cap:  # notebooks and README examples in tests: the same cells, cut short
        steps = min(config.train.steps or int(cap), int(cap))
        short = {**config.train.model_dump(), "tokens": None, "epochs": None, "minutes": None, "steps": steps}
        config.train = type(config.train).model_validate(short)
    return config


def gathered(layers: Layers) -> tuple[Layers, Layers]:
    """The layers with what a parent's network brings, and those that a user has set once, as `resolve` takes them."""
    files = [Path(platformdirs.user_config_dir("nbllm", appauthor=False)) / "config.yaml", Path("nbllm.yaml")]
    settings = [*read_settings(files), ("%config NbLLM", DEFAULTS)]
    return initial.with_parent(layers, settings), settings


def create(
    name: str | None, config: RunConfig, *, records: Any = None, replace: bool = False, command: str = ""
) -> RunFolder:
    """Make the run folder, state `starting`. RunError for a name that is taken, DataError and ConfigError for the rest.

    `records` is a DataFrame, list or data set of the notebook: it is written to the folder, and read from there.
    """
    root = runs_root()
    unnamed = name is None
    name = check_name(name) if name is not None else free_name(config.model.kind, root)
    folder = RunFolder(root / name)
    if not unnamed:  # another process may take a free name at any moment: `_put` then finds the next
        _check_free(folder, replace)
    check(config, records)
    check_disk(config, root)
    made = RunFolder(Path(tempfile.mkdtemp(prefix=".new-", dir=root)))
    try:
        fill(made, config, records, command)
        write_status(made.status_file, Status("starting", steps=config.train.steps), durable=True)
        made.path.chmod(0o755)
        return _put(made, folder, replace, stem=config.model.kind if unnamed else None)
    except BaseException:
        shutil.rmtree(made.path, ignore_errors=True)
        raise


def check(config: RunConfig, records: Any = None) -> None:
    """DataError and ConfigError for what can be known before anything is made: the source, its columns, the memory."""
    roles = goal_of(config.objective).columns
    if records is None and roles:
        rows.check_rows(config.data, roles, Path.cwd())
    elif records is None:
        sources.check_source(config.data, Path.cwd())
    initial.check(config)
    check_memory(config)


def fill(made: RunFolder, config: RunConfig, records: Any = None, command: str = "") -> None:
    """Put into an empty folder what a worker needs: the notebook's records, the weights to start from, the settings."""
    made.data.mkdir()
    if records is not None:
        write_object(records, made.path / RECORDS, config.data, goal_of(config.objective).columns)
    initial.bring(config, made.path)
    teacher.bring(config, made.path)
    write_text(made.config, config.to_yaml())
    write_json(made.environment, environment(config, command))


def write_object(thing: Any, path: Path, data: DataConfig, roles: Sequence[str]) -> None:
    """Write an object of the notebook; `data` then reads it from there, under the names that its columns have there."""
    if roles:
        notebook_objects.write_rows(thing, path, data, roles)
        for role in (*roles, *rows.further_roles(data, roles)):
            setattr(data, f"{role}_column", role)
    else:
        notebook_objects.write_records(thing, path, data.text_column)
        data.text_column = "text"
    data.source, data.format = RECORDS, "jsonl"


def _put(made: RunFolder, folder: RunFolder, replace: bool, stem: str | None) -> RunFolder:
    """Give the finished folder its name. Where another took the name meanwhile, an unnamed run takes the next one."""
    for tries_left in reversed(range(1000)):
        if stem is None:
            _check_free(folder, replace)
            if replace and folder.exists():
                folder.delete()
        _clear(folder.path)
        try:
            made.path.rename(folder.path)  # refused where something is in the folder, whoever put it there
            return folder
        except OSError:
            if not tries_left or not folder.path.exists():
                raise
            if stem is not None:
                folder = RunFolder(folder.path.with_name(free_name(stem, folder.path.parent)))
    raise AssertionError("the last try returns or raises")


def _clear(path: Path) -> None:
    """Remove a folder in which nothing is but an old lock. One that another has filled meanwhile stays."""
    try:
        if {each.name for each in path.iterdir()} <= {".lock"}:
            (path / ".lock").unlink(missing_ok=True)
            path.rmdir()
    except OSError:
        pass  # it is not there, or no longer empty: the renaming will tell


def _check_free(folder: RunFolder, replace: bool) -> None:
    if not folder.path.exists():
        return
    if not folder.exists():
        if any(path.name != ".lock" for path in folder.path.iterdir()):
            raise RunError(f"{folder.path} is there and is not a run.", "Use another name.")
        return
    if folder.alive():
        raise RunError(
            f"Run '{folder.name}' is still at work.",
            f"Watch it: %llm_attach {folder.name}; stop it: nbllm.attach('{folder.name}').stop(); or use another name.",
        )
    if not replace:
        raise RunError(
            f"Run '{folder.name}' is there already ({folder.status().state}).",
            "Add --resume to go on with it, --replace to start over, or use another name.",
        )


def check_memory(config: RunConfig) -> None:
    """ConfigError where the training cannot fit into this machine's memory. A GPU's is checked by the worker."""
    if config.train.device not in ("auto", "cpu") or not estimate.knows(config.model):
        return
    vocabulary = guessed_vocabulary(config)
    needed = estimate.memory(config, vocabulary)["total"]
    if (needed > memory_limit() and config.train.device == "cpu") or needed > 4 * memory_limit():
        raise ConfigError(
            f"This needs about {needed / 1e9:.1f} GB of memory and the machine has {memory_limit() / 1e9:.1f} GB.",
            "Take a smaller --size, model.width, train.context or train.batch_size, or train.accumulate.",
        )


def guessed_vocabulary(config: RunConfig) -> int:
    """Entries of the vocabulary, before a text was read."""
    return _GUESSED_VOCABULARY.get(config.tokenizer.kind, config.tokenizer.vocab_size)


def check_disk(config: RunConfig, root: Path) -> None:
    """RunError where a few checkpoints have no room, or all runs are over $NBLLM_DISK_GB."""
    root.mkdir(parents=True, exist_ok=True)
    vocabulary = guessed_vocabulary(config)
    shape = estimate.Shape.of(config, vocabulary)
    a_checkpoint = 12 * estimate.parameters(config.model, shape)["total"] if estimate.knows(config.model) else 0
    free = shutil.disk_usage(root).free
    if free < 2 * a_checkpoint + 50e6:
        raise RunError(
            f"{free / 1e6:.0f} MB are free in {root} and a checkpoint takes {a_checkpoint / 1e6:.0f} MB.",
            "Make room: %llm_runs --prune, or set NBLLM_RUNS to a folder on another disk.",
        )
    quota.check(root)


def environment(config: RunConfig, command: str) -> dict[str, Any]:
    """Versions, machine, seed and command of a run; the worker adds device, threads and the data's fingerprint."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": versions,
        "seed": config.train.seed,
        "memory_free_mb": round(memory_free() / 1e6),
        "cwd": str(Path.cwd()),
        "command": command,
    }

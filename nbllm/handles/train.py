"""The calls that make, find and list runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from nbllm.config import Layers, RunConfig
from nbllm.errors import NbllmError, RunError
from nbllm.handles.model import Model
from nbllm.handles.run import Run, start
from nbllm.models.huggingface import source
from nbllm.runners import inline, pieces, plan
from nbllm.store import archive
from nbllm.store.files import read_json
from nbllm.store.folder import RunFolder, find_run, list_runs, runs_root

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.repeat import Repeats


@overload
def train(name: str | None = None, *, seeds: None = None, **settings: Any) -> Run: ...


@overload
def train(name: str | None = None, *, seeds: int, **settings: Any) -> Repeats: ...


def train(
    name: str | None = None,
    *,
    data: Any = None,
    model: str | Mapping[str, Any] | None = None,
    size: str | None = None,
    objective: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    config: Mapping[str, Any] | None = None,
    runner: str = "process",
    wait: bool = False,
    resume: bool = False,
    replace: bool = False,
    seeds: int | None = None,
    **overrides: Any,
) -> Run | Repeats:
    """Train a model in the background and return its Run at once.

    `data` is a path, glob, built-in corpus, DataFrame, list of strings or data set; `config` a whole configuration as a
    dict; `overrides` are single keys, dotted or short (`**{"train.context": 64}`, `lr=3e-3`). `runner="inline"` trains
    here and blocks; `wait` blocks until the end. Of a name that is taken, `resume` goes on and `replace` starts over.
    `seeds=5` trains five runs that differ by their seed, one after another, and returns them as Repeats.
    Raises an NbllmError, one line that says what to write instead.
    """
    given = {"model": model, "size": size, "objective": objective, "steps": steps, "minutes": minutes, **overrides}
    layers, data_object = call_layers(data, config, given)
    if seeds is not None:
        from nbllm.handles.repeat import repeat_layers

        return repeat_layers(
            name, layers, seeds, data_object=data_object, runner=runner, wait=wait, resume=resume, replace=replace
        )
    return train_layers(name, layers, data_object=data_object, runner=runner, wait=wait, resume=resume, replace=replace)


def call_layers(data: Any, config: Mapping[str, Any] | None, given: Mapping[str, Any]) -> tuple[Layers, Any]:
    """The layers of a configuration that a call in Python gives, and the notebook's object where `data` is one."""
    line = {key: value for key, value in given.items() if value is not None}
    data_object = None
    if isinstance(data, str | Path):
        line["data.source"] = str(data)
    elif isinstance(data, Mapping):
        line["data"] = data
    elif data is not None:
        data_object = data
    return [("config", config or {}), ("call", line)], data_object


def train_layers(
    name: str | None,
    layers: Layers,
    *,
    data_object: Any = None,
    runner: str = "process",
    wait: bool = False,
    resume: bool = False,
    replace: bool = False,
    command: str = "",
) -> Run:
    """What `train` and the magics share: the layers of the configuration, lowest first, made into a run."""
    if resume:
        return _resume(name, layers, runner=runner, wait=wait)
    config = plan.configure(layers)
    folder = create(name, config, runner, records=data_object, replace=replace, command=command)
    start(folder, config, runner)
    run = Run(folder.path)
    return run.wait() if wait else run


def create(
    name: str | None, config: RunConfig, runner: str, *, records: Any = None, replace: bool = False, command: str = ""
) -> RunFolder:
    """The folder of a run, to be started. An NbllmError where the run cannot be made."""
    if runner not in ("process", "inline"):
        raise RunError(f"There is no runner '{runner}'.", "Use process or inline.")
    if runner == "inline":
        inline.check(config)
    if runner == "process":
        pieces.pack(config)  # what cannot be sent is said before there is a run
    return plan.create(name, config, records=records, replace=replace, command=command)


def attach(name: str | Path = "last") -> Run:
    """The run of that name or folder; `last` is the newest."""
    return Run(find_run(name).path)


def load(
    name: str | Path,
    step: int | None = None,
    *,
    allow_download: bool = False,
    objective: str | None = None,
    weights: str = "float32",
) -> Model:
    """The model of a run, by name or folder, from its latest checkpoint or the one at `step`; of an exported folder; or
    of Hugging Face, as hf:NAME_OR_PATH. `minilm` is a sentence encoder that pip brings with its weights.

    A model of the hub that is not on this machine is fetched where `allow_download` says so. `objective` says what a
    Hugging Face model is used for, where its class does not: clm, mlm, seq2seq or classification. `weights` says what
    numbers it computes with, to write quicker: float32, bfloat16 or int8 (see `Model.quantize`).
    """
    if weights != "float32":
        return load(name, step, allow_download=allow_download, objective=objective).quantize(weights)
    if source.is_hugging_face(name):
        return Model.from_hugging_face(str(name), allow_download=allow_download, objective=objective)
    folder = Path(name).expanduser()
    if (folder / "model.safetensors").is_file() and (folder / "config.yaml").is_file():
        return Model.from_folder(folder.absolute())
    if (folder / "config.json").is_file() and not (folder / "config.yaml").is_file():
        return Model.from_hugging_face(f"hf:{folder}", objective=objective)
    if str(name) in source.PACKAGED and str(name) not in [each.name for each in list_runs()]:
        return Model.from_hugging_face(f"hf:{name}", objective=objective)
    return attach(name).load(step)


def runs() -> pd.DataFrame:
    """All runs, newest first: state, step, losses, model, size on disk, tags and note."""
    import pandas as pd

    columns = ["state", "step", "steps", "loss", "val_loss", "model", "parameters", "minutes", "mb", "tags", "note"]
    rows = {folder.name: _row(folder) for folder in reversed(list_runs())}
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("name")


def unpack(path: str | Path, name: str | None = None) -> Run:
    """A packed run as a run of this machine, under its own name or another."""
    return Run(archive.unpack(Path(path).expanduser(), runs_root(), name).path)


def prune(*, keep: int = 1, apply: bool = False) -> pd.DataFrame:
    """What ended runs can give back: checkpoints but the last `keep` and the best; removed where `apply` is set."""
    import pandas as pd

    rows = []
    for folder in list_runs():
        if folder.alive():
            continue
        for step, size in archive.prunable(folder, keep):
            rows.append({"name": folder.name, "step": step, "mb": round(size / 1e6, 2), "removed": apply})
            if apply:
                archive.remove_checkpoint(folder, step)
    return pd.DataFrame(rows, columns=["name", "step", "mb", "removed"])


def _resume(name: str | None, layers: Layers, *, runner: str, wait: bool) -> Run:
    """Go on with a run; of its configuration only the learning rate and the budget in steps can change."""
    run = attach(name or "last")
    values: dict[str, Any] = {}
    for where, layer in layers:
        for key, value in layer.items():
            leaf = key.removeprefix("train.")
            if leaf not in ("lr", "steps"):
                raise RunError(
                    f"'{key}' ({where}) cannot change when a run goes on.",
                    "Only lr and steps can; use another name for another run.",
                )
            values[leaf] = value
    run.resume(runner=runner, **values)
    return run.wait() if wait else run


def _row(folder: RunFolder) -> list[Any]:
    status = folder.status()
    labels = read_json(folder.labels, {})
    labels = labels if isinstance(labels, dict) else {}
    model = ""
    if folder.config.is_file():
        try:
            config = RunConfig.from_yaml(folder.config.read_text(encoding="utf-8"), folder.name)
            model = f"{config.model.kind} {config.model.layers}x{config.model.width}"
            if config.model.kind == "huggingface":
                model = str(config.init_from)
        except (
            NbllmError,
            UnicodeDecodeError,
        ) as error:  # a damaged run is listed with its fault, so that it can be deleted
            model = f"damaged: {error}"[:60]
    return [
        status.state,
        status.step,
        status.steps,
        *(None if loss is None else round(loss, 4) for loss in (status.loss, status.val_loss)),
        model,
        status.parameters,
        round(status.seconds / 60, 2),
        round(archive.size(folder) / 1e6, 2),
        ", ".join(labels.get("tags", [])),
        labels.get("note", ""),
    ]

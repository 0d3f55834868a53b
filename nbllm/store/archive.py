"""A run as one file, and what of a run can go."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from nbllm.errors import RunError
from nbllm.store.files import folder_size, read_json
from nbllm.store.folder import RunFolder, check_name

MOST_BYTES = 200e9
MOST_RATIO = 200  # of what a file takes unpacked to packed; text of one letter reaches it, weights never


def pack(folder: RunFolder, path: Path) -> Path:
    """Write the run to a zip file: everything but locks and commands. RunError where the file is there already."""
    path = path if path.suffix == ".zip" else path.with_name(path.name + ".zip")
    if path.exists():
        raise RunError(f"{path} is there already.", "Use another file name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as target:
            for file in sorted(folder.path.rglob("*")):
                inside = file.relative_to(folder.path)
                if file.is_file() and not any(part.startswith(".") or part == "control" for part in inside.parts):
                    target.write(file, PurePosixPath(folder.name, *inside.parts).as_posix())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def unpack(path: Path, root: Path, name: str | None = None) -> RunFolder:
    """Make a run of a packed file. RunError where it is none, would leave its folder, or the name is taken."""
    try:
        with zipfile.ZipFile(path) as source:
            members = [info for info in source.infolist() if not info.is_dir()]
            own = _own_name(path, members)
            target = root / check_name(name or own)
            if target.exists():
                raise RunError(f"Run '{target.name}' is there already.", "Unpack it under another name.")
            temporary = root / f".unpack-{target.name}"
            shutil.rmtree(temporary, ignore_errors=True)
            try:
                for info in members:
                    place = temporary.joinpath(*PurePosixPath(info.filename).parts[1:])
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with source.open(info) as packed, open(place, "wb") as file:
                        shutil.copyfileobj(packed, file)
                temporary.rename(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be unpacked: {error}.", "Use a file made by %llm_runs --pack") from None
    return RunFolder(target)


def _own_name(path: Path, members: list[zipfile.ZipInfo]) -> str:
    """The one folder that all members lie in; RunError for anything else."""
    fault = RunError(f"{path.name} is not a packed run.", "Use a file made by %llm_runs --pack")
    parts = [PurePosixPath(info.filename).parts for info in members]
    if not parts or len({p[0] for p in parts}) != 1:
        raise fault
    if any(len(p) < 2 or ".." in p or p[0] == "/" or "\\" in "/".join(p) or ":" in "/".join(p) for p in parts):
        raise fault
    if not any(p[1:] == ("config.yaml",) for p in parts):
        raise fault
    if sum(info.file_size for info in members) > MOST_BYTES or any(
        info.file_size > 1e6 and info.file_size > MOST_RATIO * max(1, info.compress_size) for info in members
    ):
        raise fault
    return parts[0][0]


def size(folder: RunFolder) -> int:
    """Bytes of the run on disk."""
    return folder_size(folder.path)


def prunable(folder: RunFolder, keep: int) -> list[tuple[int, int]]:
    """Checkpoints that may go, as (step, bytes): all but the last `keep` and the one of the lowest held-out loss."""
    steps = folder.checkpoint_steps()
    losses = {step: read_json(folder.checkpoint(step) / "state.json", {}).get("val_loss") for step in steps}
    known = [step for step in steps if losses[step] is not None]
    kept = set(steps[-max(1, keep) :]) | ({min(known, key=losses.__getitem__)} if known else set())
    return [(step, folder_size(folder.checkpoint(step))) for step in steps if step not in kept]


def remove_checkpoint(folder: RunFolder, step: int) -> None:
    """Delete one checkpoint."""
    shutil.rmtree(folder.checkpoint(step), ignore_errors=True)

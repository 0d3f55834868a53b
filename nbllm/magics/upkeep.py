"""What %llm_runs and `nbllm runs` do beside listing: delete, rename, tag, note, prune, pack, unpack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbllm.errors import ConfigError


def carry_out(flags: Mapping[str, Any]) -> Iterator[str]:
    """Do what the flags ask, and say in a line each what was done."""
    from nbllm import api

    if flags.get("yes") and not flags.get("prune"):
        raise ConfigError("--yes goes with --prune.", "Write %llm_runs --prune --yes.")
    for name in flags.get("delete", ()):
        api.delete(str(name))
        yield f"Deleted {name}."
    if "rename" in flags:
        old, new = (str(each) for each in flags["rename"])
        api.rename(old, new)
        yield f"{old} is now {new}."
    if "tag" in flags:
        name, *tags = (str(each) for each in flags["tag"])
        api.tag(name, *tags)
        yield f"Tagged {name}: {', '.join(tags)}."
    if "note" in flags:
        name, *words = (str(each) for each in flags["note"])
        api.note(name, " ".join(words))
        yield f"Noted on {name}."
    if flags.get("prune"):
        yield _prune(bool(flags.get("yes")))
    if "pack" in flags:
        name, file = (str(each) for each in flags["pack"])
        yield f"Wrote {api.pack(name, file)}."
    if "unpack" in flags:
        file, *given = (str(each) for each in flags["unpack"])
        run = api.unpack(file, given[0] if given else None)
        yield f"{file} is now the run {run.name}."


def _prune(apply: bool) -> str:
    from nbllm import api

    found = api.prune(apply=apply)
    megabytes = float(found["mb"].sum()) if len(found) else 0.0
    what = f"{len(found)} older checkpoints, {megabytes:,.1f} MB"
    if not len(found):
        return "Nothing to remove: ended runs keep only their last and best checkpoints."
    return f"Removed {what}." if apply else f"--prune would remove {what}. To do it: %llm_runs --prune --yes"

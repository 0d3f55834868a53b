"""What a corpus holds, asked of data before training or of a run: nbllm.balance(data), run.balance()."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import DataConfig, RunConfig, goal_of
from nbllm.data import rows, sources
from nbllm.errors import DataError
from nbllm.runners import plan
from nbllm.store.files import read_json
from nbllm.store.folder import user_folder

if TYPE_CHECKING:
    from nbllm.handles.model import Model
    from nbllm.handles.run import Run
    from nbllm.inspection.finding import Finding

_LONGEST = 2_000  # characters of a paragraph
Groups = Any
"""Names with their words: a dict, or a CSV file or DataFrame with a column a group."""


def balance(
    data: Any = "python-docs", *, groups: Groups = None, model: Model | None = None, **overrides: Any
) -> Finding:
    """What a source holds before anything is trained on it: the shares of labels, of languages, and of documents that
    speak of groups, by their words (women and men where `groups` says nothing else).

    `data` is what `train` takes; `overrides` are keys of the data section, as text_column="review". A table is read
    with its labels where it has a column of them; of a text its paragraphs are counted. With a language `model` the
    table tells its bits per byte, too.
    """
    if isinstance(data, str | Path):
        config = plan.configure([("call", {"data.source": str(data), **overrides})])
        return _measured(config, Path.cwd(), _roles(config.data, Path.cwd()), str(data), groups, model)
    config = plan.configure([("call", overrides)])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "data").mkdir()
        name = f"a {type(data).__name__} of the notebook"
        try:
            roles: tuple[str, ...] = ("text", "label")
            plan.write_object(data, folder / plan.RECORDS, config.data, roles)
        except DataError:
            if config.data.label_column:
                raise
            roles = ()
            plan.write_object(data, folder / plan.RECORDS, config.data, roles)
        return _measured(config, folder, roles, name, groups, model)


def balance_of(run: Run, groups: Groups = None, *, bits: bool = False) -> Finding:
    """The same of the text that a run learned from, kept in its folder. With `bits` its model is asked, too."""
    from nbllm.inspection.finding import keep

    config = run.config
    base = run.folder
    if config.data.source != plan.RECORDS:
        base = Path(read_json(run.folder / "environment.json", {}).get("cwd") or os.getcwd())
    roles = tuple(goal_of(config.objective).columns)
    found = _measured(config, base, roles, run.name, groups, run.load() if bits else None)
    keep(found, run.folder)
    return found


def _measured(
    config: RunConfig, base: Path, roles: Sequence[str], about: str, groups: Groups, model: Model | None
) -> Finding:
    from nbllm.inspection.balance import balance

    cache = user_folder("tokens") if config.data.cache else None
    found = rows.read_rows(config.data, roles, base, cache, {}) if roles else _paragraphs(config.data, base, cache)
    several = config.objective.multi_label
    unit = "rows" if roles else "paragraphs"
    return balance(found, groups, about=about, unit=unit, several=several, bits=_bits(model))


def _paragraphs(data: DataConfig, base: Path, cache: Path | None) -> Iterator[dict[str, str]]:
    """A text by its paragraphs: a book is one document, and speaks of many things. A long one goes by its lines."""
    for record in sources.read_records(data, base, cache):
        for paragraph in re.split(r"\n[^\S\n]*\n", record.text):
            for part in [paragraph] if len(paragraph) <= _LONGEST else paragraph.split("\n"):
                yield {"text": part}


def _roles(data: DataConfig, base: Path) -> tuple[str, ...]:
    """text and label where the source is a table with such columns; nothing where it is text."""
    try:
        rows.check_rows(data, ("text", "label"), base)
    except DataError:
        sources.check_source(data, base)  # what is wrong with the source itself is said
        if data.label_column:
            raise
        return ()
    return ("text", "label")


def _bits(model: Model | None) -> Callable[[str], float] | None:
    if model is None:
        return None
    model.score("a text to see whether it can be asked")
    return model.score

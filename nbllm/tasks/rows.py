"""The rows that a task is asked about: of a run, of a table of the user's, or typed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import DataConfig, RunConfig
from nbllm.errors import DataError
from nbllm.runners.texts import places
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.handles.model import Model
    from nbllm.tasks.base import Row, Task


def of_model(task: Task, model: Model) -> tuple[list[Row], list[Row], str]:
    """The rows that a run learned from, those to score it on (its test rows, else its held-out ones), and which these
    are. Of a model of no run, the task's own table."""
    from nbllm.data.make_examples import split_rows
    from nbllm.runners import plan

    folder = RunFolder(model.folder)
    roles = role_names(task)
    if (own := task.rows(model)) is not None:
        train, held, test = own
    elif folder.exists():
        base, cache = places(folder, model.config)
        train, held, test = split_rows(model.config, roles, base, cache)
    else:
        train, held, test = split_rows(plan.configure(task.layers([])), roles, Path.cwd(), None)
    kind = "test rows" if test else "held-out rows"
    return by_column(task, train), by_column(task, test or held), kind


def of_data(task: Task, data: Any, columns: Mapping[str, Any]) -> tuple[list[Row], dict[str, int]]:
    """The rows of a table of the user's (its test rows where it says which are), and how many lacked which column."""
    from nbllm.data import rows
    from nbllm.data.notebook_objects import write_rows

    missing: dict[str, int] = {}
    roles = role_names(task)
    if "pair" in map(task.role, task.columns):
        columns = {"pair_column": "pair", **columns}
    columns = {**joined_columns(task), **columns}
    config = RunConfig()
    config.data = DataConfig.model_validate(
        {"source": str(data) if isinstance(data, str | Path) else "rows", **columns}
    )
    if isinstance(data, str | Path):
        found = list(rows.read_rows(config.data, roles, Path.cwd(), None, missing))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            write_rows(data, path, config.data, roles)
            named = {f"{role}_column": role for role in (*roles, *rows.further_roles(config.data, roles))}
            again = DataConfig.model_validate({"source": str(path), "format": "jsonl", **named})
            found = list(rows.read_rows(again, roles, Path(folder), None, missing))
    test = [row for row in found if row.get("split") == "test"]
    kept = by_column(task, [{k: v for k, v in row.items() if k != "split"} for row in test or found])
    if not kept:
        raise DataError("The data holds no row with all of its columns.", f"It needs {' and '.join(task.columns)}.")
    return kept, missing


def typed(task: Task, inputs: Any, columns: Mapping[str, Any]) -> tuple[list[Row], Any]:
    """Inputs as rows, and the DataFrame to give back with the answers. A text that is missing is "".

    `inputs`: a text, a list of texts, of tuples in the order of the task's columns, or of dicts; a DataFrame.
    """
    import pandas as pd

    if isinstance(inputs, str | dict):
        inputs = [inputs]
    if isinstance(inputs, pd.DataFrame):
        frame = inputs.copy()
    else:
        things = list(inputs)
        if all(isinstance(each, str) for each in things) and len(task.inputs) == 1:
            frame = pd.DataFrame({task.inputs[0]: things})
        elif things and all(isinstance(each, Mapping) for each in things):
            frame = pd.DataFrame(things)
        elif all(isinstance(each, tuple | list) and len(each) == len(task.inputs) for each in things):
            frame = pd.DataFrame([list(each) for each in things], columns=list(task.inputs))
        else:
            raise DataError(
                f"{task.name} takes {' and '.join(task.inputs)}.",
                "Give a text, a list of texts or tuples, or a DataFrame.",
            )
    names = [str(column) for column in frame.columns]
    chosen = _columns(task, names, columns)
    from nbllm.data.rows import value_of

    rows: list[Row] = []
    for record in frame.to_dict("records"):
        values = {str(key): value for key, value in record.items()}
        row = {}
        for column, name in chosen.items():
            value = value_of(values, name)
            row[column] = "" if value is None or value != value else str(value)
        rows.append(row)
    return rows, frame


def read_frame(path: str, reading: Mapping[str, Any]) -> pd.DataFrame:
    """A table of the user's with all of its columns, as texts. DataError where it cannot be read."""
    import pandas as pd

    from nbllm.data import members, sources, tables

    data = DataConfig.model_validate({"source": path, **reading})
    found: list[dict[str, Any]] = []
    for file in sources.find_files(data, Path.cwd(), None)[1]:
        for member in members.members(file, data.format):
            found += tables.table_rows(member, data)
    return pd.DataFrame(found)


def _columns(task: Task, names: Sequence[str], given: Mapping[str, Any]) -> dict[str, str]:
    """The column of the table for each input of the task; the answer's is not needed."""
    from nbllm.data.rows import columns_for

    wanted = {task.role(column): column for column in task.inputs}
    if len(wanted) < len(task.inputs):  # several columns that are one text: --source-column context+question
        return _parts(task, names, given)
    data = DataConfig.model_validate({**given, "split_column": None, "label_column": None})
    single = [name for name in names if name not in ("label", "split")]
    if len(wanted) == 1 and len(single) == 1 and not given:
        return {task.inputs[0]: single[0]}
    own = {column: column for column in task.inputs if column in names}
    if len(own) == len(wanted) and not given:
        return own
    found = columns_for(data, [role for role in wanted if role != "pair"], names, "The table")
    return {wanted[role]: name for role, name in found.items() if role in wanted}


def _parts(task: Task, names: Sequence[str], given: Mapping[str, Any]) -> dict[str, str]:
    """The column of the table for each input of a task whose inputs are one text. DataError where one is missing."""
    from nbllm.data.rows import JOINED_BY, columns_for

    role = task.role(task.inputs[0])
    data = DataConfig.model_validate({**joined_columns(task), **given, "split_column": None})
    parts = [part.strip() for part in columns_for(data, [role], names, "The table")[role].split(JOINED_BY)]
    if len(parts) != len(task.inputs):
        raise DataError(
            f"{task.name} takes {' and '.join(task.inputs)}.", f"Say which columns: {role}_column: ONE{JOINED_BY}OTHER"
        )
    return dict(zip(task.inputs, parts, strict=True))


def role_names(task: Task) -> list[str]:
    """The roles of the columns, in their order, each once, but for `pair`, which the settings ask for."""
    return [role for role in dict.fromkeys(map(task.role, task.columns)) if role != "pair"]


def joined_columns(task: Task) -> dict[str, str]:
    """Which columns make up one text, as settings, where several of the task's have the same role."""
    from nbllm.data.rows import JOINED_BY

    found: dict[str, list[str]] = {}
    for column in task.columns:
        found.setdefault(task.role(column), []).append(column)
    return {f"{role}_column": JOINED_BY.join(columns) for role, columns in found.items() if len(columns) > 1}


def by_column(task: Task, rows: Sequence[Row]) -> list[Row]:
    """Rows under the task's own names of the columns; of a text of several its last line is the last, and so on."""
    names: dict[str, list[str]] = {}
    for column in task.columns:
        names.setdefault(task.role(column), []).append(column)
    found = []
    for row in rows:
        own: Row = {}
        for role, text in row.items():
            columns = names.get(role, [role])
            own.update(zip(reversed(columns), reversed(text.rsplit("\n", len(columns) - 1)), strict=False))
        found.append({**{column: own.get(column, "") for column in task.columns if task.role(column) in row}, **own})
    return found

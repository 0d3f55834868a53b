"""A scan for personal data: nbllm.scan(data) before training, run.scan() of what a run learned from."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import goal_of
from nbllm.config.personal import KINDS, kinds, known
from nbllm.data import rows, sources
from nbllm.data.readers import Record
from nbllm.errors import ConfigError
from nbllm.runners import plan
from nbllm.runners.texts import places
from nbllm.store.folder import RunFolder

if TYPE_CHECKING:
    from nbllm.handles.run import Run
    from nbllm.inspection.finding import Finding


def scan(data: Any = "python-docs", kinds: Any = None, **overrides: Any) -> Finding:
    """Look for personal data in a source before anything is trained on it: e-mail, telephone, card, Chinese resident
    and US social security numbers, IBAN and internet addresses, by form and check digits. All of it is read.

    `data` is what `train` takes; `kinds` are some of email, phone, card, china-id, us-ssn, iban, ip, as "email,ip";
    `overrides` are keys of the data section, as text_column="review". To train without what was found:
    data.clean.redact: true.
    """
    from nbllm.inspection.scan import scan

    wanted = _kinds(kinds)
    if isinstance(data, str | Path):
        config = plan.configure([("call", {"data.source": str(data), **overrides})])
        return scan(sources.read_records(config.data, Path.cwd()), wanted, about=str(data))
    config = plan.configure([("call", overrides)])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "data").mkdir()
        plan.write_object(data, folder / plan.RECORDS, config.data, ())
        about = f"a {type(data).__name__} of the notebook"
        return scan(sources.read_records(config.data, folder), wanted, about=about)


def scan_of(run: Run, kinds: Any = None) -> Finding:
    """The same of the source that a run learned from, as it was before `data.clean`; kept in the run's folder."""
    from nbllm.inspection.finding import keep
    from nbllm.inspection.scan import scan

    config = run.config
    base, cache = places(RunFolder(run.folder), config)
    roles = tuple(goal_of(config.objective).columns)
    if roles:
        table = rows.read_rows(config.data, roles, base, cache, {})
        records = (Record(" \n".join(text for role, text in row.items() if role != "label")) for row in table)
    else:
        records = sources.read_records(config.data, base, cache)  # type: ignore[assignment]
    found = scan(records, _kinds(kinds), about=run.name)
    keep(replace(found, more={}), run.folder)  # not even masked, what stands about it may be personal
    return found


def _kinds(value: Any) -> list[str]:
    """The kinds that are asked for, all where none is; ConfigError for one that is not known."""
    if value is None:
        return list(KINDS)
    try:
        return known(kinds(value)) or list(KINDS)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{error}.") from None

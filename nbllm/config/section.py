"""What every part of the configuration is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def words(value: Any) -> Any:
    """`a, b` as ["a", "b"], each once; what is neither text nor a list is left to the checks."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return value
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


Words = Annotated[list[str], BeforeValidator(words)]
"""A list of names, on a line as `--metrics accuracy,top5`, in a body as `metrics: [accuracy, top5]`."""


def counts(value: Any) -> Any:
    """`1, 4, 16` or one number as [1, 4, 16], each once, the least first; what is neither is left to the checks."""
    parts = words(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)
    try:
        return sorted({int(part) for part in parts})
    except (TypeError, ValueError):
        return parts


Counts = Annotated[list[int], BeforeValidator(counts)]
"""A list of whole numbers, on a line as `--canaries 1,4,16`."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values are checked when they are set."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=(), allow_inf_nan=False)

"""The kinds of personal data that are looked for; `nbllm.data.personal` says how each is found."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from nbllm.config.section import words

KINDS = ("email", "phone", "card", "china-id", "us-ssn", "iban", "ip")


def kinds(value: Any) -> Any:
    """`true` as all of them, `false` as none; `email, ip` as a list."""
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false")):
        return ["all"] if str(value).lower() == "true" else []
    return words(value)


def known(value: list[str]) -> list[str]:
    """The kinds, spelled out and in their order."""
    for name in value:
        if name not in (*KINDS, "all"):
            near = difflib.get_close_matches(name.lower(), KINDS, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]}?" if near else f"Known: all, {', '.join(KINDS)}"
            raise ValueError(f"'{name}' is no kind of personal data. {hint}")
    return [kind for kind in KINDS if kind in value or "all" in value]


Kinds = Annotated[list[str], BeforeValidator(kinds), AfterValidator(known)]
"""Kinds of personal data, on a line as `--redact email,phone`, in a body as `redact: true`."""

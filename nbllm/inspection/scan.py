"""A scan for personal data in a text, before anything is trained on it: how much of which kind, and where.

What was found is shown masked: a finding may be kept and passed on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nbllm.config.personal import KINDS
from nbllm.data.clean import by_document
from nbllm.data.personal import find, masked, redact, whole_finds
from nbllm.data.readers import Record
from nbllm.errors import DataError
from nbllm.inspection.finding import Diagram, Finding, Series

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 5  # of a kind
_ABOUT = 24  # characters shown on either side
NAMES = {
    "email": "e-mail addresses",
    "phone": "telephone numbers",
    "card": "payment cards (Luhn)",
    "china-id": "Chinese resident numbers (checked)",
    "us-ssn": "US social security numbers (by form)",
    "iban": "bank accounts (IBAN, checked)",
    "ip": "internet addresses",
}


def scan(records: Iterable[Record], kinds: Sequence[str] = KINDS, *, about: str = "data") -> Finding:
    """Count personal data of these kinds in the documents, in bounded memory.

    Facts: found, documents, documents_with (any), characters, and the count of each kind by its name. Raises DataError
    where there is no text.
    """
    found, holding = Counter[str](), Counter[str]()
    examples: dict[str, list[tuple[int, str, str]]] = {kind: [] for kind in kinds}
    documents = characters = documents_with = 0
    for document in by_document(records):
        documents += 1
        here: set[str] = set()
        for piece in whole_finds(document):
            characters += len(piece.text)
            for each in find(piece.text, kinds):
                found[each.kind] += 1
                here.add(each.kind)
                if len(examples[each.kind]) < EXAMPLES:
                    shown = masked(piece.text[each.start : each.end]), _around(piece.text, each.start, each.end)
                    examples[each.kind].append((documents, *shown))
        holding.update(here)
        documents_with += bool(here)
    if not characters:
        raise DataError("There is no text to scan.", "Give a source with some text.")
    table = _table(kinds, found, holding, documents, characters)
    facts = {
        "found": sum(found.values()), "documents": documents, "documents_with": documents_with,
        "characters": characters, **{kind: found[kind] for kind in kinds},
    }  # fmt: skip
    total = sum(found.values())
    return Finding(
        "personal-data", "Personal data in the text", about, _says(found, total, documents, documents_with, characters),
        _LIMITS, table, _diagram(table), facts, _more(examples),
    )  # fmt: skip


_LIMITS = (
    "Only what has a form of its own is found. Names, addresses, birthdays, health and what a text tells between the "
    "lines are personal data too, and were not looked for; nor were telephone numbers written without any mark of "
    "their country, or numbers spelled out. Some finds are none: an example in a manual, a number that passes its "
    "check by chance (one of ten for cards). Whether data may be used is not a question of its form."
)


def _around(text: str, start: int, end: int) -> str:
    """The find in its text, with everything personal masked."""
    counts: dict[str, int] = {}
    before = redact(text[max(0, start - 4 * _ABOUT) : start], KINDS, counts)[-_ABOUT:]
    after = redact(text[end : end + 4 * _ABOUT], KINDS, counts)[:_ABOUT]
    return " ".join(f"{before}{masked(text[start:end])}{after}".split())


def _table(
    kinds: Sequence[str], found: Counter[str], holding: Counter[str], documents: int, characters: int
) -> pd.DataFrame:
    """A row a kind."""
    import pandas as pd

    rows = [
        {
            "kind": kind,
            "what": NAMES[kind],
            "found": found[kind],
            "a million characters": found[kind] / characters * 1e6,
            "documents": holding[kind],
            "share of documents": holding[kind] / documents,
        }
        for kind in kinds
    ]
    return pd.DataFrame(rows).set_index("kind")


def _more(examples: dict[str, list[tuple[int, str, str]]]) -> dict[str, pd.DataFrame]:
    import pandas as pd

    rows = [(kind, *each) for kind, some in examples.items() for each in some]
    if not rows:
        return {}
    return {
        "Some of them, masked": pd.DataFrame(rows, columns=["kind", "document", "found", "where"]).set_index("kind")
    }


def _says(found: Counter[str], total: int, documents: int, holding: int, characters: int) -> str:
    read = f"In {documents:,} {'document' if documents == 1 else 'documents'} of {characters:,} characters"
    if not total:
        return f"{read} no personal data of these kinds was found."
    parts = ", ".join(f"{NAMES[kind]} {count:,}" for kind, count in found.most_common())
    return (
        f"{read} personal data was found {total:,} times, in {holding:,} of them: {parts}. To train without it: "
        "data.clean.redact: true, which puts <email>, <phone>, ... in its place."
    )


def _diagram(table: pd.DataFrame) -> Diagram:
    return Diagram("bars", [Series("found", list(table.index), [float(n) for n in table.found])], "", "found")

"""Balance: who and what a corpus speaks of, and how much of it: labels, groups of people by their words, languages.

With a model it also tells the bits per byte by label and by language, since a model knows best what it saw most of. Why
to ask what a corpus holds: Gebru et al. 2021, Datasheets for Datasets, https://arxiv.org/abs/1803.09010; group words
beside labels: Zhao et al. 2017, Men Also Like Shopping, https://arxiv.org/abs/1707.09457.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbllm.errors import DataError, ModelError
from nbllm.inspection.bias_pairs import words_by_group
from nbllm.inspection.finding import Diagram, Finding, Series
from nbllm.inspection.group_words import GROUP_WORDS, HIDING
from nbllm.inspection.languages import NO_LETTERS, language_of, script_of_letter

if TYPE_CHECKING:
    import pandas as pd

MOST = 50_000_000  # characters that are read
MOST_LABELS = 40
SCORED = 40  # documents of a label or language that a model is asked about, at most
SCORED_LENGTH = 2_000  # characters of each


def balance(
    rows: Iterable[Mapping[str, str]],
    groups: Any = None,
    *,
    about: str,
    unit: str = "documents",
    several: bool = False,
    bits: Callable[[str], float] | None = None,
    step: int | None = None,
) -> Finding:
    """What `rows` hold: texts by their role, and a `label` where they have one. Reads at most 50 million characters.

    groups   names with their words, a dict, or a table with a column a group; women and men, in English and Chinese,
             where None
    unit     what a row is called: documents, rows, paragraphs
    several  whether a label is several, parted by |
    bits     (text) -> bits per byte by a model; asked about at most 40 documents a label and language

    Facts: documents, characters, complete, labels, largest_label and its share, ratio (largest by smallest label),
    main_language and its share, GROUP_documents. Raises DataError where there is no text.
    """
    counts = _Counts(GROUP_WORDS if groups is None else _checked(groups), several)
    complete = True
    for row in rows:
        counts.add(row)
        if counts.characters > MOST:
            complete = False
            break
    if not counts.documents:
        raise DataError("The data holds no text.", "Give at least one document.")
    if len(counts.labels) > max(MOST_LABELS, counts.documents // 4):
        counts.labels.clear()  # texts of their own, or numbers: hardly labels
    table = counts.table(bits)
    facts = counts.facts() | {"complete": complete}
    more = {"Groups beside labels": counts.beside()} if counts.labels and len(counts.words) else {}
    return Finding(
        "balance",
        "Balance of the corpus",
        about,
        _says(counts, facts, table, unit, bits is not None),
        _limits(counts, complete, bits is not None),
        table,
        _diagram(table, unit),
        facts,
        more,
        step,
    )


class _Counts:
    """Documents by label, language and group, and a few of each to be scored."""

    def __init__(self, groups: Mapping[str, Sequence[str]], several: bool):
        self.words = {name: _pattern(words) for name, words in groups.items()}
        self.several = several
        self.documents = self.characters = 0
        self.labels, self.languages = Counter[str](), Counter[str]()
        self.groups, self.mentions = Counter[str](), Counter[str]()
        self.together = Counter[tuple[str, str]]()
        self.kept: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, row: Mapping[str, str]) -> None:
        """Count one document."""
        text = "\n".join(part for role, part in row.items() if role not in ("label", "document"))
        if not text.strip():
            return
        self.documents += 1
        self.characters += len(text)
        language = language_of(text)
        self.languages[language] += 1
        labels = (row["label"].split("|") if self.several else [row["label"]]) if "label" in row else []
        self.labels.update(labels)
        for place in (("language", language), *(("label", label) for label in labels)):
            if len(self.kept[place]) < SCORED:
                self.kept[place].append(text[:SCORED_LENGTH])
        plain = HIDING.sub(" ", text)
        for name, pattern in self.words.items():
            if found := len(pattern.findall(plain)):
                self.groups[name] += 1
                self.mentions[name] += found
                self.together.update((label, name) for label in labels)

    def table(self, bits: Callable[[str], float] | None) -> pd.DataFrame:
        """A row a label, language and group: what it is, documents, their share, mentions of a group, bits per byte."""
        import pandas as pd

        rows = []
        for kind, found in (("label", self.labels), ("language", self.languages), ("group", self.groups)):
            names = self.words if kind == "group" else [name for name, _ in found.most_common()]
            for name in names:
                row = {"kind": kind, "name": name, "documents": found[name], "share": found[name] / self.documents}
                row["mentions"] = self.mentions[name] if kind == "group" else math.nan
                if bits is not None:
                    row["bits_per_byte"] = _mean_bits(bits, self.kept.get((kind, name), []))
                rows.append(row)
        table = pd.DataFrame(rows).set_index("name")
        return table if table.mentions.notna().any() else table.drop(columns="mentions")

    def facts(self) -> dict[str, Any]:
        """The key figures."""
        language, most = self.languages.most_common(1)[0]
        found: dict[str, Any] = {
            "documents": self.documents, "characters": self.characters, "labels": len(self.labels),
            "main_language": language, "main_language_share": most / self.documents,
            **{f"{name}_documents": self.groups[name] for name in self.words},
        }  # fmt: skip
        if self.labels:
            ranked = self.labels.most_common()
            found |= {
                "largest_label": ranked[0][0], "largest_share": ranked[0][1] / self.documents,
                "smallest_label": ranked[-1][0], "ratio": ranked[0][1] / ranked[-1][1],
            }  # fmt: skip
        return found

    def beside(self) -> pd.DataFrame:
        """(group, label): of the documents with words of the group the share with the label; and of all documents."""
        import pandas as pd

        labels = [name for name, _ in self.labels.most_common()]
        rows = {"all documents": [self.labels[label] / self.documents for label in labels]}
        for name in self.words:
            total = self.groups[name]
            rows[name] = [self.together[label, name] / total if total else math.nan for label in labels]
        return pd.DataFrame.from_dict(rows, orient="index", columns=labels)


def _checked(source: Any) -> Mapping[str, Sequence[str]]:
    """Names with words, of a dict, a CSV file or a DataFrame."""
    if isinstance(source, Mapping) and any(isinstance(words, str) for words in source.values()):
        raise DataError("A group has a text for its words.", 'Give lists: groups={"women": ["she"], "men": ["he"]}.')
    groups = {name: [word for word in words if word.strip()] for name, words in words_by_group(source).items()}
    if not groups or not all(groups.values()):
        raise DataError("A group has no words.", 'Give some: groups={"women": ["she"], "men": ["he"]}.')
    return groups


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Any of the words, whole; Chinese ones wherever they stand."""
    parts = []
    for word in sorted((str(each).strip() for each in words), key=len, reverse=True):
        spaced = script_of_letter(word[0]) not in ("Chinese", "Japanese", "Thai")
        parts.append(rf"\b{re.escape(word)}\b" if spaced else re.escape(word))
    return re.compile("|".join(parts), re.IGNORECASE)


def _mean_bits(bits: Callable[[str], float], texts: Sequence[str]) -> float:
    """Bits by bytes over all the texts that can be scored."""
    total = size = 0.0
    for text in texts:
        length = len(text.encode())
        try:
            total += bits(text) * length
        except ModelError:  # a text of one token has nothing to be predicted
            continue
        size += length
    return total / size if size else math.nan


def _says(counts: _Counts, facts: Mapping[str, Any], table: pd.DataFrame, unit: str, scored: bool) -> str:
    parts = [f"{counts.documents:,} {unit} with {counts.characters:,} characters."]
    if counts.labels:
        share = f"{facts['largest_share']:.1%}"
        parts.append(
            f"Of {len(counts.labels)} labels '{facts['largest_label']}' is the largest ({share}), {facts['ratio']:.1f} "
            f"times as large as '{facts['smallest_label']}': who always answers it is right in {share}."
        )
    spoken = [f"{name} {count / counts.documents:.1%}" for name, count in counts.languages.most_common(4)]
    parts.append(f"By their commonest words and letters: {', '.join(spoken)}.")
    groups = [
        f"words for {name} stand in {counts.groups[name]:,} {unit} ({counts.groups[name] / counts.documents:.1%}, "
        f"{counts.mentions[name]:,} times)"
        for name in counts.words
    ]
    parts.append("; ".join(groups)[:1].upper() + "; ".join(groups)[1:] + ".")
    # What stands in hardly any text says nothing of what the model knows.
    some = (table.kind != "group") & (table.documents >= 0.01 * counts.documents) & (table.index != NO_LETTERS)
    if scored and len(known := table[some].bits_per_byte.dropna()) > 1:
        parts.append(
            f"The model knows '{known.idxmin()}' best ({known.min():.2f} bits per byte) and '{known.idxmax()}' least "
            f"({known.max():.2f})."
        )
    return " ".join(parts)


def _limits(counts: _Counts, complete: bool, scored: bool) -> str:
    parts = [
        "Words are counted, not what is said: a group can be mentioned often and badly.",
        "Names, roles and what is left unsaid are not counted.",
        "A language is told by a text's commonest words: what is short, mixed or rare is told wrongly or as other.",
        "Whether a share is fair depends on what the model is for; that labels are even does not make them right.",
    ]
    if not complete:
        parts.append(f"Only the first {counts.characters:,} characters were read.")
    if scored:
        parts.append(
            f"Bits per byte are of at most {SCORED} texts each, many of which the model may have learned from; a "
            "script of several bytes a character takes fewer bits a byte: compare models by them rather than languages."
        )
    return " ".join(parts)


def _diagram(table: pd.DataFrame, unit: str) -> Diagram:
    """A bar a label, language and group: its share of the texts."""
    named = {"label": "labels", "language": "languages", "group": "words for a group"}
    series = []
    for kind, name in named.items():
        part = table[table.kind == kind]
        if len(part):
            series.append(Series(name, [str(each) for each in part.index], part.share.tolist()))
    return Diagram("bars", series, "", f"share of the {unit}")

"""Extract: the entities (or slots) of a text, and the relation between them, by a tag for each token.

A kind may carry a part in a relation behind a sign: `company#acquires.s` is a company, and the subject of `acquires`.
From the subject and the object of one relation a triple is made. Kinds without the sign are entities alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from nbllm.data.entities import Span, parse_spans
from nbllm.errors import ModelError
from nbllm.tasks.base import Answer, Row, Task

if TYPE_CHECKING:
    from nbllm.handles.model import Model

PART = "#"
_TAGGER: dict[str, Any] = {
    "model.kind": "lstm", "size": "tiny", "model.dropout": 0.3, "train.context": 128, "train.batch_size": 32,
    "train.evaluate_every": 100, "train.checkpoint_every": 100, "sample.every": 0,
}  # fmt: skip


class Extract(Task):
    """Entities with their places, and triples where kinds say parts."""

    summary = "finds entities, slots and relations in a text"
    columns: ClassVar[tuple[str, ...]] = ("text", "spans")
    table = "events"
    objective = "tagging"
    heads = frozenset({"tags"})
    needs = "marks tokens"
    preset: ClassVar[Mapping[str, Any]] = {
        **_TAGGER, "tokenizer.kind": "word", "tokenizer.vocab_size": 4096, "train.steps": 800,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {
        **_TAGGER, "tokenizer.kind": "bpe", "tokenizer.vocab_size": 8192, "train.epochs": 20, "train.patience": 8,
    }  # fmt: skip
    main = "entity_f1"
    examples = (
        "As expected, Nova Robotics took over Amber Glass on 21 May.",
        "Rosa Keller left Silver Media and moved to East Denby.",
    )

    def settings(self, source: str | None) -> Mapping[str, Any]:
        """Chinese sentences are read by characters."""
        found = super().settings(source)
        return {**found, "tokenizer.kind": "char"} if source == "zh-events" else found

    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        """spans (JSON, as a table holds them), entities and triples to be read, and the least sure probability."""
        from nbllm.generation.mark import mark

        if settings:
            raise ModelError(f"{self.name} has no setting '{next(iter(settings))}'.", "Leave it out.")
        texts = [row["text"] for row in rows]
        with model._threads():
            found = mark(model.module, model.objective, texts)
        return [
            told(text, [span for span, _ in spans], min((sure for _, sure in spans), default=1.0))
            for text, spans in zip(texts, found, strict=True)
        ]

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """Counts a row: entities and triples that are right, said, and there; whether all is right."""
        return [
            _counts(
                row["text"], parse_spans(row["text"], row["spans"]), parse_spans(row["text"], answer["spans"] or "[]")
            )
            for row, answer in zip(rows, answers, strict=True)
        ]

    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """Micro-averaged F1 over whole entities, as seqeval has it, with precision and recall; of triples where there
        are any; and the share of texts in which all is right."""
        total: Counter[str] = Counter()
        for counts in judged:
            total.update(counts)
        found = {
            "entity_f1": f1(total["right"], total["said"], total["there"]),
            "precision": total["right"] / max(1, total["said"]),
            "recall": total["right"] / max(1, total["there"]),
        }
        if total["triples there"]:
            found["triple_f1"] = f1(total["triples right"], total["triples said"], total["triples there"])
        return {**found, "whole_text": total["whole"] / len(judged)}

    def is_right(self, row: Row, answer: Answer) -> bool:
        return set(parse_spans(row["text"], row["spans"])) == set(parse_spans(row["text"], answer["spans"] or "[]"))

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """Names that were seen in training, wherever they stand."""
        if not known:
            return {}
        kinds: dict[str, Counter[str]] = {}
        for row in known:
            for start, end, kind in parse_spans(row["text"], row["spans"]):
                kinds.setdefault(row["text"][start:end], Counter())[kind] += 1
        names = {name: counts.most_common(1)[0][0] for name, counts in kinds.items()}
        return {"seen names": [told(row["text"], _seen(row["text"], names), 1.0) for row in rows]}


def _seen(text: str, names: Mapping[str, str]) -> list[Span]:
    """The known names in a text, the longest first, none over another."""
    found: list[Span] = []
    for name in sorted((name for name in names if name in text), key=len, reverse=True):
        start = text.find(name)
        if not any(start < last and start + len(name) > first for first, last, _ in found):
            found.append((start, start + len(name), names[name]))
    return sorted(found)


def told(text: str, spans: Sequence[Span], sure: float) -> Answer:
    """The columns of an answer."""
    entities = [f"{text[start:end]} ({kind.partition(PART)[0]})" for start, end, kind in spans]
    triples = [" ".join((s, r, "→", o)) for s, r, o in triples_of(text, spans)]
    return {
        "spans": json.dumps([list(span) for span in spans], ensure_ascii=False),
        "entities": "; ".join(entities),
        "triples": "; ".join(triples),
        "probability": sure,
    }


def triples_of(text: str, spans: Sequence[Span]) -> list[tuple[str, str, str]]:
    """(subject, relation, object) of each relation of which both parts are marked, the first of each."""
    parts: dict[tuple[str, str], str] = {}
    for start, end, kind in spans:
        relation, _, place = kind.partition(PART)[2].rpartition(".")
        if relation:
            parts.setdefault((relation, place), text[start:end])
    relations = dict.fromkeys(relation for relation, _ in parts)
    return [(parts[r, "s"], r, parts[r, "o"]) for r in relations if (r, "s") in parts and (r, "o") in parts]


def _counts(text: str, there: Sequence[Span], said: Sequence[Span]) -> dict[str, int]:
    plain = [{(start, end, kind.partition(PART)[0]) for start, end, kind in spans} for spans in (there, said)]
    triples = [set(triples_of(text, spans)) for spans in (there, said)]
    return {
        "right": len(plain[0] & plain[1]), "there": len(plain[0]), "said": len(plain[1]),
        "triples right": len(triples[0] & triples[1]), "triples there": len(triples[0]),
        "triples said": len(triples[1]), "whole": int(set(there) == set(said)),
    }  # fmt: skip


def f1(right: int, said: int, there: int) -> float:
    """2 right / (said + there); 0 where there is nothing."""
    return 2 * right / (said + there) if said + there else 0.0

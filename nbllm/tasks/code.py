"""Code: the rest of a line, or the body of a function, by a causal model of running code.

A prompt that ends in a line break asks for a body, which ends where the indentation falls back to that of its `def`;
one that ends within a line asks for the rest of that line.
"""

from __future__ import annotations

import ast
import difflib
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nbllm.config.presets import PRESETS
from nbllm.errors import ConfigError, ModelError
from nbllm.tasks.base import Answer, Heard, Row, Task
from nbllm.tasks.ngrams import ByteNgrams
from nbllm.tasks.writing import first_token

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.generation.complete import Stop
    from nbllm.handles.model import Model
    from nbllm.tasks.evaluate import Progress

NGRAM, COPY = "n-gram", "line before"
SETTINGS = frozenset({"max_tokens", "temperature", "seed"})
ROOM = {"line": 48, "body": 160}
"""Tokens written at most."""
_DEF = re.compile(r"^([ \t]*)(?:(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[(:])", re.MULTILINE)


class Code(Task):
    """A causal model that goes on from code."""

    summary = "completes a line or the body of a function"
    columns: ClassVar[tuple[str, ...]] = ("prompt", "completion")
    roles: ClassVar[Mapping[str, str]] = {"prompt": "source", "completion": "target"}
    table = "python-code"
    rows_table: ClassVar[str] = "python-completions"
    """The table of rows that go with the running text of `table`."""
    objective = "clm"
    heads = frozenset({"next"})
    needs = "goes on from a text"
    preset: ClassVar[Mapping[str, Any]] = {
        **PRESETS["fast"], "model.width": 128, "model.layers": 3, "model.heads": 4, "model.bigrams": 32_768,
        "tokenizer.kind": "bpe", "tokenizer.vocab_size": 2048, "data.split": "document", "data.held_out": 0.05,
        "train.context": 192, "train.batch_size": 16, "train.lr": 5e-3, "train.steps": 800,
        "train.evaluate_every": 200, "train.checkpoint_every": 200,
    }  # fmt: skip
    own_preset: ClassVar[Mapping[str, Any]] = {
        "model.kind": "transformer", "size": "mini", "model.dropout": 0.1, "tokenizer.kind": "bpe",
        "tokenizer.vocab_size": 4096, "data.split": "document", "train.context": 256, "train.batch_size": 16,
        "train.epochs": 10, "train.evaluate_every": 100, "train.checkpoint_every": 100, "train.patience": 6,
    }  # fmt: skip
    examples: ClassVar[tuple[str, ...]] = ("for key, value in ", "def read(path):\n", "    def __len__(self):\n")
    main = "exact_line"
    batch = 32

    def answer(self, model: Model, rows: Sequence[Row], **settings: Any) -> list[Answer]:
        """The completion and how likely the model held a token of it; where the true one is known, the bits of that."""
        return self._answer(model, rows, None, settings)

    def write(self, model: Model, row: Row, heard: Heard | None = None, **settings: Any) -> Answer:
        return self._answer(model, [row], heard, settings)[0]

    def _answer(self, model: Model, rows: Sequence[Row], heard: Heard | None, settings: dict[str, Any]) -> list[Answer]:
        from nbllm.generation.complete import bits, complete

        def hear(text: str, sure: float) -> bool | None:
            return heard({"completion": text, "probability": sure}) if heard else None

        if wrong := set(settings) - SETTINGS:
            raise ModelError(f"{self.name} has no setting '{min(wrong)}'.", f"There are {', '.join(sorted(SETTINGS))}.")
        context = model.objective.task.context
        room = settings.pop("max_tokens", None) or max(ROOM[kind(row["prompt"])] for row in rows)
        prompts = [row["prompt"] for row in rows]
        with model._threads():
            said = complete(
                model.module, model.tokenizer, prompts, [stop_of(prompt) for prompt in prompts],
                context=context, max_tokens=room, heard=hear if heard else None, **settings,
            )  # fmt: skip
            known = [row["completion"] for row in rows if "completion" in row]
            told: list[Any] = [None] * len(rows)
            if len(known) == len(rows):
                told = list(bits(model.module, model.tokenizer, prompts, known, context=context))
        return [
            {"completion": text, "probability": sure, **({} if cost is None else {"bits": cost})}
            for (text, sure), cost in zip(said, told, strict=True)
        ]

    def explain(self, model: Model, row: Row) -> Any:
        """What moved the first token of the completion."""
        return first_token(model, row["prompt"])

    def judge(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Any]:
        """Whether the first line is exact, how alike the two are, whether a body parses, and the bits and bytes."""
        judged = []
        for row, answer in zip(rows, answers, strict=True):
            said, true = str(answer["completion"]), row["completion"]
            cost, size = answer.get("bits", (float("nan"), 1))
            judged.append(
                (first_line(said) == first_line(true), alike(said, true), parses(row["prompt"], said), cost, size)
            )
        return judged

    def measure(self, judged: Sequence[Any]) -> dict[str, float]:
        """exact_line: the first line that is asked for, to the letter; edit_similarity: 0 to 1; parses: of bodies;
        bits_per_byte: of the true completions, with the white space before them."""
        exact, likeness, whole, cost, size = zip(*judged, strict=True)
        bodies = [each for each in whole if each is not None]
        return {
            "exact_line": float(np.mean(exact)),
            "edit_similarity": float(np.mean(likeness)),
            "parses": float(np.mean(bodies)) if bodies else float("nan"),
            "bits_per_byte": float(np.sum(cost) / np.sum(size)),
        }

    def is_right(self, row: Row, answer: Answer) -> bool:
        return str(answer["completion"]).rstrip() == row["completion"].rstrip()

    def rows(self, model: Model) -> tuple[list[Row], list[Row], list[Row]] | None:
        """Texts that were learned from (as rows without an answer), and rows of the modules that were not; of code of
        the user's, rows cut out of the held-out text. None where the run learned from a table."""
        from nbllm.registry import CORPORA, TABLES

        source = model.config.data.source
        if source in TABLES:
            return None
        if source in CORPORA or not (model.folder / "config.yaml").is_file():
            corpus = CORPORA.get(source if source == self.table else self.table)
            known = [{"source": text, "target": ""} for text in corpus()]
            test = [row for row in TABLES.get(self.rows_table)() if row["split"] == "test"]
            return known, [], [{"source": row["prompt"], "target": row["completion"]} for row in test]
        return self.held_out(model)

    def held_out(self, model: Model) -> tuple[list[Row], list[Row], list[Row]]:
        """Rows cut out of what a run of the user's code held out: lines of any text, functions where it is Python."""
        from nbllm.data.functions import rows_of_text
        from nbllm.data.token_file import TokenFile
        from nbllm.data.tokenizers import end_id

        def texts(name: str) -> list[str]:
            tokens = TokenFile.open(model.folder / "data" / name).ids()
            ends = np.flatnonzero(tokens == end_id(model.tokenizer))
            parts = [part for part in np.split(tokens, ends + 1) if len(part)]
            return [model.tokenizer.decode(part.tolist()) for part in parts]

        rows = [{"source": a, "target": b} for text in texts("held_out.bin") for a, b in rows_of_text(text)]
        return [{"source": text, "target": ""} for text in texts("train.bin")], rows, []

    def baselines(self, known: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Answer]]:
        """Counts of bytes in the same text, and the last line that began as this one does."""
        found = {COPY: [{"completion": line_before(row["prompt"])} for row in rows]}
        texts = [row["prompt"] + row["completion"] for row in known]
        if not texts:
            return found
        counted = ByteNgrams(texts)
        answers = []
        for row in rows:
            text = row["prompt"].rstrip(" \t\n")
            space = row["prompt"][len(text) :]
            said = counted.complete(row["prompt"], stop_of(row["prompt"]))
            answers.append({"completion": said, "bits": counted.bits(text, space + row["completion"])})
        return {NGRAM: answers, **found}

    def advice(self, table: pd.DataFrame) -> str:
        for name in (NGRAM, COPY):
            if name in table and table.loc["exact_line", name] > table.loc["exact_line", "value"]:
                return f"The {name} baseline has more lines exact: train longer, or on more code."
        return ""

    def evaluate(
        self,
        data: Any = None,
        *,
        run: str | None = None,
        model: Any = None,
        limit: int = 1000,
        progress: Progress | None = None,
        **settings: Any,
    ) -> pd.DataFrame:
        """As every task; with `execute=True` on a file in HumanEval's format also pass@k: the answers are run against
        its tests, each in a process of its own (see `nbllm.tasks.execution`), `samples` of them a problem."""
        execute, samples = settings.pop("execute", False), settings.pop("samples", None)
        if samples is not None and not execute:
            raise ConfigError("samples are for pass@k, for which code is run.", "Add execute=True, or --execute.")
        table = super().evaluate(data, run=run, model=model, limit=limit, progress=progress, **settings)
        if execute:
            from nbllm.tasks.pass_at_k import add_pass_at_k

            add_pass_at_k(self, table, data, run, model, samples or 1, limit, settings)
        return table


class Explain(Code):
    """A causal model of functions, each followed by what its docstring says."""

    summary = "says in a line what a function does"
    table = "python-explained"
    rows_table = "function-summaries"
    preset: ClassVar[Mapping[str, Any]] = {
        **Code.preset, "data.held_out": 0.1, "train.steps": 800, "train.evaluate_every": 100,
        "train.checkpoint_every": 100, "model.dropout": 0.1,
    }  # fmt: skip
    examples: ClassVar[tuple[str, ...]] = ("def size(path):\n    return os.stat(path).st_size\n# In words:",)
    main = "edit_similarity"


def kind(prompt: str) -> str:
    """body or line: what a prompt asks for."""
    return "body" if prompt.endswith("\n") else "line"


def stop_of(prompt: str) -> Stop:
    """Where the answer to a prompt ends."""
    if kind(prompt) == "line":
        return line_end
    found = _DEF.findall(prompt)
    depth = len(found[-1].expandtabs()) if found else -1
    return lambda text: body_end(text, depth)


def line_end(text: str) -> int | None:
    """The first line break."""
    at = text.find("\n")
    return at if at >= 0 else None


def body_end(text: str, depth: int) -> int | None:
    """Where the first line begins that stands no deeper than `depth`; blank lines before it are not of the body."""
    at = 0
    for line in text.splitlines(keepends=True):
        stripped = line.lstrip(" \t")
        if stripped.strip() and len(line[: len(line) - len(stripped)].expandtabs()) <= depth:
            return len(text[:at].rstrip()) + 1 if text[:at].strip() else at
        at += len(line)
    return None


def first_line(text: str) -> str:
    """The first line that is not blank, without white space at its end; its indentation counts."""
    return next((line.rstrip() for line in text.splitlines() if line.strip()), "")


def alike(said: str, true: str) -> float:
    """How alike two texts are, 0 to 1: difflib's ratio, twice the characters in common over those of both."""
    return difflib.SequenceMatcher(None, said.rstrip(), true.rstrip(), autojunk=False).ratio()


def parses(prompt: str, said: str) -> bool | None:
    """Whether the function with this body is Python; None where no body was asked for."""
    found = list(_DEF.finditer(prompt))
    if kind(prompt) == "line" or not found:
        return None
    try:
        ast.parse(textwrap.dedent(prompt[found[-1].start() :] + said))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(said.strip())


def line_before(prompt: str) -> str:
    """The rest of the last line that began as the one that is asked for; of a body the line before, once more."""
    *before, begun = prompt.split("\n")
    if kind(prompt) == "body":
        return (next((line for line in reversed(before) if line.strip()), "")) + "\n"
    same = (line.strip()[len(begun.strip()) :] for line in reversed(before) if line.strip().startswith(begun.strip()))
    return next(same, "")

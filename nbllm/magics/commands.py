"""What each command takes: the one table that parsing, help, completion and the command line read.

A `takes` string says which values a flag or a command takes, and is shown in the help as it stands:
"NAME" one, "OLD NEW" two, "NAME..." one or more, "FILE [NAME]" one or two, "" none (a switch).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nbllm.config import Option, options
from nbllm.handles.readable import COLUMNS


@dataclass(frozen=True)
class Flag:
    """A flag of a command that is not a leaf of the configuration."""

    name: str
    takes: str
    help: str
    kind: Literal["bool", "int", "float", "text"] = "text"
    choices: tuple[str, ...] = ()
    repeat: bool = False

    @property
    def key(self) -> str:
        """Its name as Python writes it: `--max-tokens` is `max_tokens`."""
        return self.name.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Command:
    """A command of the notebook or the terminal. The leaves of its `sections` of the configuration are flags of it."""

    name: str
    takes: str
    summary: str
    examples: tuple[str, ...]
    flags: tuple[Flag, ...] = ()
    sections: tuple[str, ...] = ()
    cell: str = ""  # what the body of the cell form is; no cell form where empty
    notes: str = ""
    prefix: str = "%llm_"

    @property
    def call(self) -> str:
        """How it is called: `%llm_train` in a cell, `nbllm train` in a terminal."""
        return f"{self.prefix}{self.name}"

    def leaves(self) -> list[Option]:
        """The leaves of the configuration that are flags of this command."""
        own = {flag.name for flag in self.flags}
        return [leaf for leaf in options() if leaf.path.partition(".")[0] in self.sections and leaf.flag not in own]

    def flag(self, name: str) -> Flag | None:
        """Its own flag of that name."""
        return next((flag for flag in self.flags if flag.name == name), None)


def limits(takes: str) -> tuple[int, int | None]:
    """Fewest and most values that a `takes` string allows; None for no limit."""
    words = takes.split()
    fewest = sum(not word.startswith("[") for word in words)
    endless = any("..." in word for word in words)
    return fewest, None if endless else len(words)


def value_names(takes: str) -> list[str]:
    """The bare names of the values: "NAME TAG..." is [NAME, TAG]."""
    return [re.sub(r"[\[\].]", "", word) for word in takes.split()]


HELP = Flag("--help", "", "show this text", "bool")

_SAMPLING = (
    Flag("--max-tokens", "N", "tokens to write at most [200]", "int"),
    Flag("--temperature", "X", "0 takes the likeliest token, higher is wilder [0.8]", "float"),
    Flag("--top-k", "K", "draw from the k likeliest tokens", "int"),
    Flag("--top-p", "P", "draw from the likeliest tokens that make up this share", "float"),
    Flag("--min-p", "P", "leave out tokens less likely than this share of the likeliest", "float"),
    Flag("--repetition-penalty", "X", "above 1 makes tokens already written less likely [1.0]", "float"),
    Flag("--stop", "TEXT", "end where this text comes (may be given several times; \\n is a new line)", repeat=True),
    Flag("--seed", "N", "the same seed writes the same text", "int"),
    Flag("--samples", "N", "texts to write [1]", "int"),
    Flag("--beams", "N", "the likeliest text that a beam search of this width finds, instead of a drawn one", "int"),
    Flag("--length-penalty", "X", "beam search: above 0 favours longer texts [0.6]", "float"),
    Flag("--step", "N", "the checkpoint of this step; the latest where not given", "int"),
)

_SECTIONS = (
    *("size", "preset", "init_from", "data", "tokenizer", "model", "objective", "train", "lora", "sample", "probe"),
)

_TABLE = (
    Command(
        "train",
        "[NAME]",
        "Train a language model in the background and watch it.",
        (
            "%llm_train",
            "%llm_train first --data python-docs --minutes 1",
            "run = %llm_train novel --data ./novel.txt --model lstm --size small",
            (
                "%%llm_train shakespeare --data ./input.txt --minutes 3\n"
                "model: {layers: 4, width: 128, heads: 4}\n"
                "train: {lr: 3e-3, batch_size: 32}\n"
                'sample: {prompt: "ROMEO:", every: 100}'
            ),
            "%llm_train reviews --data {{df}} --text-column review",
            "%llm_train shakespeare --resume",
            "%llm_train words --size tiny --seeds 5",
        ),
        flags=(
            Flag("--name", "NAME", "the run's name, as the first word does"),
            Flag("--config", "FILE", "a YAML file of settings; body and line go before it"),
            Flag(
                "--runner", "KIND", "a worker process of its own, or inside the kernel", choices=("process", "inline")
            ),
            Flag("--wait", "", "return when the run has ended", "bool"),
            Flag("--resume", "", "go on with the run of this name", "bool"),
            Flag("--replace", "", "delete the run of this name first", "bool"),
            Flag("--seeds", "N", "train so many runs with other seeds, one after another, and show the spread", "int"),
        ),
        sections=_SECTIONS,
        cell="settings in YAML, as in config.yaml",
        notes="Any setting can be given as section.name=value too, as in model.layers=6. {{name}} inserts a variable.",
    ),
    Command(
        "generate",
        "[RUN] [PROMPT...]",
        "Write text with a trained model, or with one that is still training.",
        (
            '%llm_generate shakespeare "To be, or" --max-tokens 200 --temperature 0.8 --top-k 40',
            'text = %llm_generate last "The " --seed 1 --stop "\\n"',
            "%%llm_generate shakespeare --samples 3\nROMEO:\nBut, soft!",
        ),
        flags=_SAMPLING,
        cell="the prompt",
        notes="RUN is a run's name, or last. The result is a str with .tokens and .probabilities.",
    ),
    Command(
        "runs",
        "",
        "List the runs; delete, rename, tag, note, prune, pack and unpack them.",
        (
            "%llm_runs",
            "%llm_runs --tag shakespeare good poetry",
            '%llm_runs --note shakespeare "the one for the talk"',
            "%llm_runs --rename test-1 shakespeare",
            "%llm_runs --delete test-1 test-2",
            "%llm_runs --prune --yes",
            "%llm_runs --pack shakespeare shakespeare.zip",
        ),
        flags=(
            Flag("--delete", "NAME...", "remove runs"),
            Flag("--rename", "OLD NEW", "give a run another name"),
            Flag("--tag", "NAME TAG...", "put tags on a run"),
            Flag("--untag", "NAME TAG...", "take tags off a run"),
            Flag("--note", "NAME TEXT...", "write a note to a run"),
            Flag("--prune", "", "say which checkpoints and leftovers could go; with --yes remove them", "bool"),
            Flag("--yes", "", "do what --prune says", "bool"),
            Flag("--pack", "NAME FILE", "write a run to one file"),
            Flag("--unpack", "FILE [NAME]", "make a run of such a file"),
        ),
    ),
    Command(
        "attach",
        "[NAME]",
        "Show the dashboard of a run, from any notebook, today or tomorrow.",
        ("%llm_attach", "%llm_attach shakespeare", "run = %llm_attach shakespeare"),
        notes="Without a name: the last run.",
    ),
    Command(
        "compare",
        "NAME...",
        "Show runs beside each other: curves, settings that differ, samples and figures.",
        ("%llm_compare first second", "%llm_compare words-seed-* --sort minutes", "table = %llm_compare first second"),
        flags=(
            Flag("--sort", "COLUMN", "order of the table; the best held-out loss first otherwise", choices=COLUMNS),
        ),
        notes="A name with * stands for all runs that fit. It gives back .table, .differences, .samples and .figure().",
    ),
    Command(
        "predictions",
        "[RUN] [TEXT...]",
        "Show what a model expected at each place of a text: the more surprising a token, the stronger its shade.",
        (
            '%llm_predictions shakespeare "To be, or not to be"',
            '%llm_predictions last "The value of the " --layers',
            "%%llm_predictions shakespeare\nTo be, or not to be, that is the question.",
            '%llm_predictions dates "14 juillet 2026" --source "July 14, 2026"',
        ),
        flags=(
            Flag("--top", "N", "alternatives to keep at each place [10]", "int"),
            Flag("--layers", "", "show what each layer would say, too (the logit lens)", "bool"),
            Flag("--source", "TEXT", "of an encoder-decoder: the text that is answered"),
            Flag("--step", "N", "the checkpoint of this step; the latest where not given", "int"),
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back .frame(), .alternatives, .bits_per_byte and .figure().",
    ),
    Command(
        "influence",
        "[RUN] [TEXT...]",
        "Show which token of a text moved which answer of a model, of any kind, as a heatmap.",
        (
            '%llm_influence shakespeare "To be, or not to be"',
            '%llm_influence topics "Parse the header of a message." --method occlusion',
            "%%llm_influence last --method integrated\nTo be, or not to be, that is the question.",
        ),
        flags=(
            Flag("--method", "NAME", "how it is measured [gradient]", choices=("gradient", "integrated", "occlusion")),
            Flag("--target", "TEXT", "the token or label to explain; of an encoder-decoder the whole answer"),
            Flag("--pair", "TEXT", "of a classifier of pairs: the second text"),
            Flag("--baseline", "NAME", "what is neutral: mean (of all embeddings), zero, or the text of one token"),
            Flag("--steps", "N", "points of integrated gradients [64]", "int"),
            Flag("--step", "N", "the checkpoint of this step; the latest where not given", "int"),
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back .values (bits), .frame(), .strongest() and .figure().",
    ),
    Command(
        "learning_curve",
        "[NAME]",
        "Train on growing shares of the text, to see what more of it would bring.",
        (
            "%llm_learning_curve words --data python-docs --size tiny --steps 400",
            "%llm_learning_curve words --size tiny --fractions 0.1 0.3 1",
        ),
        flags=(
            Flag("--fractions", "SHARE...", "shares of the training text [0.1 0.25 0.5 1.0]"),
            Flag("--config", "FILE", "a YAML file of settings; body and line go before it"),
            Flag(
                "--runner", "KIND", "a worker process of its own, or inside the kernel", choices=("process", "inline")
            ),
            Flag("--wait", "", "return when the runs have ended", "bool"),
            Flag("--replace", "", "delete the runs of these names first", "bool"),
        ),
        sections=_SECTIONS,
        cell="settings in YAML, as in config.yaml",
        notes="The held-out text and the number of steps stay the same. Its runs are called NAME-use-SHARE.",
    ),
    Command(
        "lr_find",
        "[RUN]",
        "Look for a learning rate: a hundred steps in memory while it rises, and the loss beside it.",
        (
            "%llm_lr_find --data python-docs --model lstm --size tiny",
            "%llm_lr_find shakespeare",
            "%%llm_lr_find --data ./input.txt\nmodel: {layers: 4, width: 128, heads: 4}",
            "found = %llm_lr_find --size tiny --seconds 20",
        ),
        flags=(
            Flag("--steps", "N", "steps of the test [100]", "int"),
            Flag(
                "--seconds",
                "S",
                "seconds that the test may take; fewer steps are made where they do not fit [60]",
                "float",
            ),
            Flag("--config", "FILE", "a YAML file of settings; body and line go before it"),
        ),
        sections=_SECTIONS,
        cell="settings in YAML, as in config.yaml",
        notes="With a RUN it starts from its last checkpoint. No run is made or changed. It gives back .lr and .table.",
    ),
    Command("pause", "[NAME]", "Pause a run; it keeps its place.", ("%llm_pause", "%llm_pause shakespeare")),
    Command(
        "resume", "[NAME]", "Go on with a paused, stopped or lost run.", ("%llm_resume", "%llm_resume shakespeare")
    ),
    Command("stop", "[NAME]", "Stop a run and keep a checkpoint.", ("%llm_stop", "%llm_stop shakespeare")),
    Command("checkpoint", "[NAME]", "Save a checkpoint now.", ("%llm_checkpoint shakespeare",)),
    Command(
        "set",
        "[NAME]",
        "Change the learning rate or the budget while a run trains.",
        ("%llm_set shakespeare lr=1e-3", "%llm_set shakespeare steps=4000"),
        flags=(Flag("--lr", "X", "peak learning rate", "float"), Flag("--steps", "N", "budget in steps", "int")),
    ),
    Command(
        "data",
        "[SOURCE]",
        "Look at a corpus before training: size, vocabulary, samples, and where tokens begin and end.",
        ("%llm_data python-docs", "%llm_data ./novel.txt --tokenizer bpe --vocab-size 2000", "%llm_data {{df}}"),
        sections=("data", "tokenizer"),
    ),
    Command(
        "export",
        "RUN FOLDER",
        "Write a model for Hugging Face transformers, with its card.",
        ("%llm_export shakespeare ./shakespeare-hf", "%llm_export shakespeare ./out --license mit --push me/poems"),
        flags=(
            Flag("--step", "N", "the checkpoint of this step; the latest where not given", "int"),
            Flag("--license", "NAME", "licence for the card, as mit or apache-2.0"),
            Flag("--push", "REPO", "upload it to this repository of the hub too, private"),
            Flag("--public", "", "with --push: a public repository", "bool"),
        ),
        notes="What has no standard home in transformers is written as nbllm.load(FOLDER) reads it, and it says why.",
    ),
    Command(
        "suggest",
        "TASK [SOURCE]",
        "Name a family, a size and settings for a task and data, with the reasons, and a cell to run.",
        (
            "%llm_suggest generate ./novel.txt --minutes 3",
            "%llm_suggest classify {{df}} --minutes 5 --text-column review --label-column stars",
            "%llm_suggest translate pairs.csv --source-column en --target-column fr",
        ),
        flags=(Flag("--minutes", "M", "minutes that the training may take [3]", "float"),),
        sections=("size", "data", "tokenizer", "model", "train"),
        notes="TASK is an objective or a word such as generate, classify, translate, fill. What is given stays.",
    ),
    Command(
        "why",
        "[RUN]",
        "Explain the last failure of a run, or how it stands, and what to type next.",
        ("%llm_why", "%llm_why shakespeare"),
        notes="Without a name: the last run.",
    ),
    Command("doctor", "", "Check the installation and say what to do.", ("%llm_doctor",)),
)

COMMANDS: dict[str, Command] = {command.name: command for command in _TABLE}


def help_text(command: Command) -> str:
    """The help of a command, with its examples and every flag; also the magic's docstring."""
    flags = " [--flag VALUE ...]" if command.sections or command.flags else ""
    lines = [command.summary, "", f"    {command.call} {command.takes}".rstrip() + flags]
    if command.cell:
        lines += [f"    %{command.call} {command.takes}{flags}", f"    ({command.cell})"]
    if command.notes:
        lines += ["", command.notes]
    lines += ["", "Examples:", ""]
    for example in command.examples:
        lines += [f"    {line}" for line in example.splitlines()]
    rows = [(f"{flag.name} {flag.takes}".rstrip(), _describe(flag)) for flag in (*command.flags, HELP)]
    lines += ["", "Flags:", "", *_table(rows)]
    for section in command.sections:
        leaves = [leaf for leaf in command.leaves() if leaf.path.partition(".")[0] == section]
        lines += ["", f"{section}:", "", *_table([(_usage(leaf), leaf.describe()) for leaf in leaves])]
    return "\n".join(lines) + "\n"


def _describe(flag: Flag) -> str:
    return f"{flag.help} ({' | '.join(flag.choices)})" if flag.choices else flag.help


def _usage(leaf: Option) -> str:
    if leaf.kind == "bool":
        return f"{leaf.flag}, --no-{leaf.flag.removeprefix('--')}"
    return f"{leaf.flag} { ({'int': 'N', 'float': 'X', 'map': '{...}'}.get(leaf.kind, 'TEXT')) }"


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"    {left:<{width}}  {right}" for left, right in rows]

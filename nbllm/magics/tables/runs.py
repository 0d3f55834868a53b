"""Commands about runs that are there."""

from __future__ import annotations

from nbllm.handles.readable import COLUMNS
from nbllm.magics.command import Command, Flag
from nbllm.magics.tables.common import STEP

TABLE: tuple[Command, ...] = (
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
        "cost",
        "[RUN]",
        "Show what a model costs: parameters by part, operations a token, memory; before training, too.",
        (
            "%llm_cost shakespeare",
            "%llm_cost --model lstm --size small",
            "%llm_cost shakespeare --measure",
        ),
        flags=(Flag("--measure", "", "train a few seconds in memory, and tell it beside the estimate", "bool"),),
        sections=("size", "preset", "data", "tokenizer", "model", "objective", "train"),
        notes="Without a run: of what the settings would train. It gives back .table, .memory_table and .figure().",
    ),
    Command(
        "report",
        "[RUN] [FILE]",
        "Write all that is known of a run as one page that opens from the disk, without a network.",
        ("%llm_report shakespeare", "%llm_report shakespeare ./shakespeare.html"),
        notes="Without a run: the last one. Without a file: NAME.html in this folder.",
    ),
    Command(
        "why",
        "[RUN]",
        "Explain the last failure of a run, or how it stands, and what to type next.",
        ("%llm_why", "%llm_why shakespeare"),
        notes="Without a name: the last run.",
    ),
    Command(
        "export",
        "RUN FOLDER",
        "Write a model for Hugging Face transformers, with its card.",
        ("%llm_export shakespeare ./shakespeare-hf", "%llm_export shakespeare ./out --license mit --push me/poems"),
        flags=(
            STEP,
            Flag("--license", "NAME", "licence for the card, as mit or apache-2.0"),
            Flag("--push", "REPO", "upload it to this repository of the hub too, private"),
            Flag("--public", "", "with --push: a public repository", "bool"),
        ),
        notes="What has no standard home in transformers is written as nbllm.load(FOLDER) reads it, and it says why.",
    ),
    Command("doctor", "", "Check the installation and say what to do.", ("%llm_doctor",)),
)

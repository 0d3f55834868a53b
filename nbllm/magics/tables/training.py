"""Commands that train, and that control what trains."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag
from nbllm.magics.tables.common import CONFIG, REPLACE, RESUME, RUNNER, WAIT

SECTIONS = (
    *("size", "preset", "init_from", "data", "tokenizer", "model", "objective", "train", "lora", "sample", "probe"),
)

TABLE: tuple[Command, ...] = (
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
            CONFIG,
            RUNNER,
            WAIT,
            RESUME,
            REPLACE,
            Flag("--seeds", "N", "train so many runs with other seeds, one after another, and show the spread", "int"),
        ),
        sections=SECTIONS,
        cell="settings in YAML, as in config.yaml",
        notes="Any setting can be given as section.name=value too, as in model.layers=6. {{name}} inserts a variable.",
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
            CONFIG,
            RUNNER,
            Flag("--wait", "", "return when the runs have ended", "bool"),
            Flag("--replace", "", "delete the runs of these names first", "bool"),
        ),
        sections=SECTIONS,
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
            CONFIG,
        ),
        sections=SECTIONS,
        cell="settings in YAML, as in config.yaml",
        notes="With a RUN it starts from its last checkpoint. No run is made or changed. It gives back .lr and .table.",
    ),
    Command(
        "pause",
        "[NAME]",
        "Pause a run with a checkpoint; another may have the device meanwhile.",
        ("%llm_pause", "%llm_pause shakespeare"),
    ),
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
        "data",
        "[SOURCE]",
        "Look at a corpus before training: size, vocabulary, samples, and where tokens begin and end.",
        ("%llm_data python-docs", "%llm_data ./novel.txt --tokenizer bpe --vocab-size 2000", "%llm_data {{df}}"),
        sections=("data", "tokenizer"),
    ),
)

"""Commands of the whole: the form that writes a cell, and the studio."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag
from nbllm.magics.tables.training import SECTIONS

TABLE: tuple[Command, ...] = (
    Command(
        "config",
        "[NAME]",
        "Open a form of all settings, with what they will take; it trains, and writes the cell that does the same.",
        (
            "%llm_config",
            "%llm_config words --model lstm --size tiny",
            "%llm_config poems --preset gpt2",
            "%%llm_config words\nmodel: {layers: 2}\ntrain: {lr: 3e-3}",
            "%llm_config --write",
            "%llm_config --keep quick-lstm --model lstm --size tiny",
            "%llm_config --presets",
        ),
        flags=(
            Flag("--write", "", "put the cell of the form that was opened last below, as the next cell", "bool"),
            Flag("--presets", "", "list the presets, ours and your own", "bool"),
            Flag(
                "--keep",
                "PRESET",
                "keep these settings as a preset; those of the form opened last where none are given",
            ),
            Flag("--forget", "PRESET", "take a preset of your own away"),
        ),
        sections=SECTIONS,
        cell="settings in YAML, as in config.yaml",
        notes="NAME is the run's; where a run of that name is there, the form begins with its settings. It gives back "
        ".cell, .config, .forecast, .load(TEXT), .set(...), .train() and .save_preset(NAME).",
    ),
    Command(
        "studio",
        "[RUN]",
        "One dashboard for all of it: configure, watch, sample, look inside, try tasks, compare, export.",
        ("%llm_studio", "%llm_studio shakespeare"),
        notes="RUN is the run that it begins with; the newest where not given.",
    ),
)

"""The configuration of a run: one tree, the only source of the keys of a cell's YAML body, of the flags of the magics,
of dotted overrides, of completions, of `--help` and of `config.yaml`.

    resolve([("cell body", {"model": "lstm", "train": {"lr": 3e-3}}), ("line", {"size": "tiny"})]) -> RunConfig

    schema      the tree: sections, fields, their help, limits and checks
    model       the section of the network
    families    the families of models and the objectives, what goes together, their defaults
    presets     published architectures
    sizes       what the size dial fills in
    options     the leaves of the tree as flags
    layers      layers of settings resolved into a RunConfig, mistakes told in one line
    text        YAML in and out
"""

from nbllm.config.families import FAMILIES, GOALS, Goal, goal_of
from nbllm.config.layers import Layers, asked, read_settings, resolve
from nbllm.config.model import ModelConfig
from nbllm.config.options import SHORTHAND, Option, options, short_names
from nbllm.config.presets import PRESETS
from nbllm.config.schema import (
    BUDGETS,
    AugmentConfig,
    CleanConfig,
    DataConfig,
    LoraConfig,
    ObjectiveConfig,
    ProbeConfig,
    RunConfig,
    SampleConfig,
    TokenizerConfig,
    TrainConfig,
)
from nbllm.config.sizes import SIZES
from nbllm.config.text import from_yaml, parse_yaml, to_yaml

__all__ = [
    "BUDGETS",
    "FAMILIES",
    "GOALS",
    "PRESETS",
    "SHORTHAND",
    "SIZES",
    "AugmentConfig",
    "CleanConfig",
    "DataConfig",
    "Goal",
    "Layers",
    "LoraConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "Option",
    "ProbeConfig",
    "RunConfig",
    "SampleConfig",
    "TokenizerConfig",
    "TrainConfig",
    "asked",
    "from_yaml",
    "goal_of",
    "options",
    "parse_yaml",
    "read_settings",
    "resolve",
    "short_names",
    "to_yaml",
]

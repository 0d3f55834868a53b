"""Lines to names, flags and settings."""

import pytest

from nbllm.config import options, resolve
from nbllm.errors import ConfigError
from nbllm.magics.command import help_text, limits
from nbllm.magics.commands import COMMANDS
from nbllm.magics.parse import Word, parse, words

TRAIN, GENERATE, RUNS = COMMANDS["train"], COMMANDS["generate"], COMMANDS["runs"]


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("'To be' \"or not\"", ["To be", "or not"]),
        (r'"say \"hi\""', ['say "hi"']),
        (r"C:\texts\new.txt", [r"C:\texts\new.txt"]),
        (r'"C:\my texts\new.txt"', [r"C:\my texts\new.txt"]),
        (r'"C:\my texts\"', ["C:\\my texts\\"]),
        ("don't stop", ["don't", "stop"]),
        ('sample.prompt="To be"', ["sample.prompt=To be"]),
        ("--data={{ my_df }} x", ["--data={{ my_df }}", "x"]),
        ("name   # tomorrow, in another kernel", ["name"]),
        ("#tag", ["#tag"]),
        ("''", [""]),
        ("你好 '世 界'", ["你好", "世 界"]),
    ],
)
def test_words(line, texts):
    assert [word.text for word in words(line)] == texts


def test_quoted_words_are_no_flags():
    assert words("'--wait' --wait") == [Word("--wait", True), Word("--wait", False)]
    assert parse(GENERATE, "run '--seed'").names == ["run", "--seed"]


def test_names_flags_and_settings():
    line = "shakespeare --model lstm --minutes=3 --no-cache --tied --batch_size 4 --train.lr 1e-3 model.layers=6 --wait"
    parsed = parse(TRAIN, line + " --runner inline sample.prompt='To be' warmup=3")
    assert parsed.names == ["shakespeare"]
    assert parsed.flags == {"wait": True, "runner": "inline"}
    assert parsed.settings == {
        "model.kind": "lstm", "train.minutes": "3", "data.cache": False, "model.tied": True, "train.batch_size": "4",
        "train.lr": "1e-3", "model.layers": "6", "sample.prompt": "To be", "train.warmup": "3",
    }  # fmt: skip


@pytest.mark.parametrize("leaf", options(), ids=lambda leaf: leaf.path)
def test_every_setting_has_its_flags(leaf):
    value = {"int": "3", "float": "0.5", "bool": "true", "map": "{a: 1}"}.get(leaf.kind, (leaf.choices or ("x",))[0])
    for name in (leaf.flag, f"--{leaf.path}", leaf.flag.replace("-", "_").replace("__", "--", 1)):
        assert list(parse(TRAIN, f"{name}='{value}'").settings) == [leaf.path], name
    if leaf.kind == "bool":
        assert parse(TRAIN, leaf.flag).settings == {leaf.path: True}
        assert parse(TRAIN, "--no-" + leaf.flag[2:]).settings == {leaf.path: False}
    assert leaf.flag in help_text(TRAIN)


def test_nothing_maps_and_switches_are_read():
    parsed = parse(TRAIN, "--top-k none --options '{a: 1}' --cache=off")
    assert parsed.settings == {"sample.top_k": None, "model.options": {"a": 1}, "data.cache": False}


def test_the_line_and_the_body_may_say_the_same():
    line = parse(TRAIN, "--lr 3e-3 --qk-norm=true").settings
    config = resolve([("cell body", {"train": {"lr": 0.003}, "model": {"qk_norm": True}}), ("line", line)])
    assert config.train.lr == 0.003
    with pytest.raises(ConfigError, match=r"0\.004 in the cell body and '3e-3' in the line"):
        resolve([("cell body", {"train": {"lr": 0.004}}), ("line", line)])


def test_numbers_of_a_command_are_read():
    flags = parse(GENERATE, r'run "a b" --max-tokens 20 --temperature .5 --stop x --stop "\n" --seed -1').flags
    assert flags == {"max_tokens": 20, "temperature": 0.5, "stop": ["x", "\\n"], "seed": -1}
    assert parse(COMMANDS["set"], "run lr=1e-3 steps=50").flags == {"lr": 0.001, "steps": 50}


def test_flags_with_several_values():
    assert parse(RUNS, "--delete a b c").flags == {"delete": ["a", "b", "c"]}
    assert parse(RUNS, "--rename a b --prune --yes").flags == {"rename": ["a", "b"], "prune": True, "yes": True}
    assert parse(RUNS, "--unpack file.zip").flags == {"unpack": ["file.zip"]}


@pytest.mark.parametrize(
    ("takes", "expected"),
    [("", (0, 0)), ("NAME", (1, 1)), ("[NAME]", (0, 1)), ("NAME TAG...", (2, None)), ("FILE [NAME]", (1, 2))],
)
def test_limits(takes, expected):
    assert limits(takes) == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_example_and_examples_parse(name):
    command = COMMANDS[name]
    assert parse(command, "--help").help
    for example in command.examples:
        assert example.splitlines()[0] in help_text(command)
        line = example.splitlines()[0].partition(f"llm_{name}")[2]
        parse(command, line, {key: ["text"] for key in ("df", "words", "groups", "sentences")})

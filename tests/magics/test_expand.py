"""{{name}} in lines and bodies: objects where it is all there is, text inside text, and never structure or code."""

from pathlib import Path

import numpy as np
import pytest

from nbllm.errors import ConfigError
from nbllm.magics.commands import COMMANDS
from nbllm.magics.expand import expand, expand_prompt, parse_body
from nbllm.magics.layers import config_layers
from nbllm.magics.parse import parse

TEXTS = ["one", "two"]
NAMES = {
    "texts": TEXTS,
    "n": 6,
    "rate": 0.5,
    "word": "ROMEO: {a: 1}",
    "path": Path("a") / "b",
    "evil": "x\nmodel: lstm",
}


def test_a_value_alone_is_the_object():
    assert expand("{{texts}}", NAMES) is TEXTS
    assert expand("{{ n }}", NAMES) == 6
    assert expand("{{path}}", NAMES) == str(Path("a/b"))


@pytest.mark.parametrize("number", [np.int64(6), np.float32(0.5), np.bool_(True), np.array(6)])
def test_a_number_of_numpy_is_a_number(number):
    (_, line), *_ = config_layers(parse(COMMANDS["train"], "x --steps {{n}}", {"n": number}), "", {})[0]
    assert type(line["train.steps"]) in (int, float, bool)
    assert line["train.steps"] == number


def test_inside_text_it_is_inserted():
    assert expand("{{n}} of {{word}}", NAMES) == "6 of ROMEO: {a: 1}"
    with pytest.raises(ConfigError, match="is a list and stands inside other text"):
        expand("data-{{texts}}", NAMES)


def test_in_a_body_the_structure_stays():
    body = "model: {layers: {{n}}, dropout: {{rate}}}\nsample: {prompt: '{{word}}'}\nprobe:\n  text: {{evil}}\n"
    assert parse_body(body, NAMES) == {
        "model": {"layers": 6, "dropout": 0.5},
        "sample": {"prompt": "ROMEO: {a: 1}"},
        "probe": {"text": "x\nmodel: lstm"},
    }


def test_lists_and_plain_yaml_are_left_alone():
    assert parse_body("a: [{{n}}, 'x {{n}}', 3]\nb: {c: {d: 1}}", NAMES) == {"a": [6, "x 6", 3], "b": {"c": {"d": 1}}}


@pytest.mark.parametrize("text", ["{{n.real}}", "{{texts[0]}}", "{{n + 1}}", "{{__import__('os')}}", "{{}}"])
def test_nothing_but_names(text):
    with pytest.raises(ConfigError, match="is not the name of a variable"):
        expand(text, NAMES)
    with pytest.raises(ConfigError, match="is not the name of a variable"):
        parse_body(f'probe: {{text: "{text}"}}', NAMES)


def test_a_wrong_name_is_answered():
    with pytest.raises(ConfigError, match=r"no variable 'text' for \{\{text\}\}. Did you mean 'texts'"):
        expand("{{text}}", NAMES)


def test_a_key_cannot_be_a_variable():
    with pytest.raises(ConfigError, match=r"\{\{n\}\} stands for a key"):
        parse_body("{{n}}: 3", NAMES)


def test_prompts_keep_other_braces():
    assert expand_prompt("{{n}} {{ if x }} {{x.y}}", NAMES) == "6 {{ if x }} {{x.y}}"


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("--data {{texts}}", ""),
        ("data={{texts}}", ""),
        ("data.source={{texts}}", ""),
        ("", "data: {{texts}}"),
        ("", "data: {source: {{texts}}}"),
        ("", "data.source: {{texts}}"),
    ],
)
def test_data_of_the_notebook_is_taken_out(line, body):
    layers, thing = config_layers(parse(COMMANDS["train"], line + " --size tiny", NAMES), body, NAMES)
    assert thing is TEXTS
    assert "texts" not in str(layers)
    assert "one" not in str(layers)


def test_data_elsewhere_is_refused():
    with pytest.raises(ConfigError, match=r"model\.kind is a list"):
        config_layers(parse(COMMANDS["train"], "--model {{texts}}", NAMES), "", NAMES)
    with pytest.raises(ConfigError, match="Data is given in the cell body and in the line"):
        config_layers(parse(COMMANDS["train"], "--data {{texts}}", NAMES), "data: {{other}}", {**NAMES, "other": ["x"]})

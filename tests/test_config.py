"""The configuration: one tree, resolved from layers, refused in one line, written and read back whole."""

from __future__ import annotations

import pytest

from nbllm.config import RunConfig, options, parse_yaml, resolve
from nbllm.errors import ConfigError


def cell(**layer: object) -> RunConfig:
    return resolve([("cell body", layer)])


def test_the_example_of_the_readme() -> None:
    body = parse_yaml(
        "model: {layers: 4, width: 128, heads: 4}\n"
        "train: {lr: 3e-3, batch_size: 32}\n"
        'sample: {prompt: "ROMEO:", every: 100}',
        "cell body",
    )
    line = {"model.kind": "transformer", "size": "small", "data.source": "./input.txt", "train.minutes": "3"}
    config = resolve([("cell body", body), ("line", line)])
    assert (config.model.layers, config.model.width, config.model.heads) == (4, 128, 4)
    assert config.train.lr == 3e-3
    assert config.train.minutes == 3
    assert config.train.steps is None, "a given budget drives out the size's own"
    assert config.train.context == 128, "what nobody sets comes from the size"
    assert config.sample.prompt == "ROMEO:"


def test_what_is_asked_for_wins_over_settings() -> None:
    settings = [("nbllm.yaml", {"lr": 1e-3, "heads": 8, "steps": 500}), ("%config NbLLM", {"lr": 2e-3})]
    assert resolve([("cell body", {})], settings).train.lr == 2e-3
    assert resolve([("cell body", {"lr": 4e-3})], settings).train.lr == 4e-3
    assert resolve([("cell body", {})], settings).train.steps == 500


def test_a_size_asked_for_now_wins_over_settings_and_one_that_is_not_only_fills() -> None:
    settings = [("nbllm.yaml", {"lr": 1e-3, "size": "small", "steps": 500})]
    filled = resolve([("cell body", {})], settings)
    assert (filled.size, filled.model.width, filled.train.lr, filled.train.steps) == ("small", 192, 1e-3, 500)
    asked = resolve([("cell body", {"size": "tiny"})], settings)
    assert (asked.size, asked.model.width, asked.train.lr, asked.train.steps) == ("tiny", 64, 1e-2, 400)
    both = resolve([("cell body", {"lr": 4e-3}), ("line", {"size": "tiny"})], settings)
    assert both.train.lr == 4e-3


def test_settings_for_another_kind_of_model_do_not_stand_in_the_way() -> None:
    assert resolve([("line", {"model": "lstm"})], [("nbllm.yaml", {"heads": 8})]).model.kind == "lstm"


def test_a_budget_asked_for_replaces_the_one_in_the_settings() -> None:
    config = resolve([("line", {"minutes": 2})], [("nbllm.yaml", {"steps": 500})])
    assert (config.train.steps, config.train.minutes) == (None, 2)


@pytest.mark.parametrize("size", ["tiny", "mini", "small", "base"])
@pytest.mark.parametrize("kind", ["transformer", "lstm"])
def test_every_size_of_every_kind_is_coherent(size: str, kind: str) -> None:
    config = resolve([("line", {"size": size, "model": kind})])
    assert config.size == size
    assert config.model.kind == kind
    assert config.train.steps


def test_yaml_is_the_whole_configuration_and_comes_back() -> None:
    config = cell(model="lstm", tokenizer="bpe", data={"source": "数据.txt", "clean": {"normalise": True}})
    text = config.to_yaml()
    assert "数据.txt" in text
    assert RunConfig.from_yaml(text) == config
    for option in options():
        assert option.path.rpartition(".")[2] + ":" in text, f"{option.path} is not written out"


def test_lora_leaves_the_short_names_to_the_model() -> None:
    """`dropout` alone is the model's; the adapters' fields carry their section."""
    assert resolve([("line", {"dropout": "0.25"})]).model.dropout == 0.25
    flags = {option.path: option.flag for option in options()}
    assert (flags["model.dropout"], flags["lora.dropout"]) == ("--dropout", "--lora-dropout")


def test_every_option_has_help_and_a_flag_of_its_own() -> None:
    table = options()
    flags = [option.flag for option in table]
    assert len(set(flags)) == len(flags)
    for option in table:
        assert option.help, option.path
        assert option.flag.startswith("--")
    assert {"--model", "--size", "--data", "--minutes", "--lr", "--text-column", "--sample-every"} <= set(flags)


def test_short_forms() -> None:
    config = cell(model="lstm", data="corpus.txt", tokenizer="byte", sample="Once", objective="clm")
    assert config.model.kind == "lstm"
    assert config.data.source == "corpus.txt"
    assert config.tokenizer.kind == "byte"
    assert config.sample.prompt == "Once"
    assert resolve([("call", {"train.context": 32, "seed": 5})]).train.seed == 5


def test_lists_are_words_parted_by_commas_on_a_line_and_yaml_in_a_body() -> None:
    config = resolve(
        [("cell body", {"train": {"metrics": ["accuracy", "top5"]}}), ("line", {"metrics": "accuracy, top5"})]
    )
    assert config.train.metrics == ["accuracy", "top5"]
    assert RunConfig.from_yaml(config.to_yaml()).train.metrics == ["accuracy", "top5"]
    assert resolve([("nbllm.yaml", {"loggers": "wandb"}), ("line", {"loggers": ""})]).train.loggers == []
    assert resolve([("call", {"loggers": "tensorboard,tensorboard"})]).train.loggers == ["tensorboard"]
    with pytest.raises(ConfigError, match=r"train.metrics is \['accuracy'\] in the cell body and 'top5' in the line"):
        resolve([("cell body", {"metrics": ["accuracy"]}), ("line", {"train.metrics": "top5"})])


WRONG = {
    "unknown section": ({"modle": {}}, "'modle'", "'model'"),
    "unknown key": ({"train": {"batchsize": 3}}, "'batchsize' in train", "'batch_size'"),
    "key of a key": ({"train.lr.x": 3}, "no part 'x'", "train.lr"),
    "heads": ({"model": {"heads": 3}}, "3 heads do not divide width 128 (42.67 each)", "heads: 2"),
    "kv heads": ({"model": {"kv_heads": 3}}, "kv_heads 3 does not divide heads 4", ""),
    "of another kind": ({"model": "lstm", "heads": 2}, "lstm has no 'heads'", "layers"),
    "range": ({"lr": -1}, "train.lr is -1", "learning rate"),
    "type": ({"steps": "many"}, "train.steps is 'many'", "budget in steps"),
    "choice": ({"schedule": "linear"}, "train.schedule is 'linear'", "cosine"),
    "size": ({"size": "tinny"}, "size 'tinny'", "'tiny'"),
    "model": ({"model": "transfomer"}, "model 'transfomer'", "'transformer'"),
    "tokenizer": ({"tokenizer": "chars"}, "tokenizer 'chars'", "'char'"),
    "metric": ({"metrics": "accuracy,acuracy"}, "metric 'acuracy'", "'accuracy'"),
    "callback": ({"callbacks": ["diary"]}, "no callback 'diary'", '@nbllm.callbacks.register("diary")'),
    "logger": ({"loggers": "tensorbord"}, "logger 'tensorbord'", "'tensorboard'"),
    "number as a list": ({"metrics": 3}, "train.metrics is 3", "accuracy"),
    "objective": ({"objective": "clmm"}, "objective 'clmm'", "'clm'"),
    "two budgets": ({"steps": 3, "minutes": 1}, "steps and minutes are both given", "Keep one"),
    "device": ({"device": "gpu"}, "'gpu' is no device", "cuda"),
    "section as number": ({"train": 3}, "train in the cell body is 3", "{key: value}"),
    "parts": ({"batch_size": 10, "accumulate": 3}, "accumulate 3 does not divide batch_size 10", ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_with_its_place_and_remedy(case: str) -> None:
    layer, what, remedy = WRONG[case]
    with pytest.raises(ConfigError) as caught:
        cell(**layer)
    text = str(caught.value)
    assert what in text
    assert remedy in text
    assert "\n" not in text


def test_body_and_line_that_disagree() -> None:
    with pytest.raises(ConfigError, match=r"train.lr is 0.003 in the cell body and 0.001 in the line"):
        resolve([("cell body", {"train": {"lr": 3e-3}}), ("line", {"train.lr": 1e-3})])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: [1", "not valid YAML"),
        ("just words", "not a set of keys"),
        ("train: {lr: 1, lr: 2}", "'lr' is given twice"),
        ("a: &x 1\nb: *x", "aliases"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_yaml_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_yaml(text, "the cell body")


def test_another_format_is_told_apart() -> None:
    with pytest.raises(ConfigError, match="format 2"):
        RunConfig.from_yaml(RunConfig().to_yaml().replace("format: 1", "format: 2", 1))

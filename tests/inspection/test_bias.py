"""Bias is found where it was put, as large as it was put, and not where it was not."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from torch import nn

import nbllm
from nbllm.config import TokenizerConfig
from nbllm.data import tokenizers
from nbllm.errors import DataError, ModelError
from nbllm.inspection.bias import bias
from nbllm.inspection.bias_pairs import pairs, read_groups, read_templates
from nbllm.inspection.bias_words import LANGUAGES
from nbllm.models.huggingface.source import PACKAGED
from nbllm.objectives.make import make
from tests import foreign
from tests.contract.cases import configure, made
from tests.figures.bias import trained

GROUPS = {"A": ["p", "q"], "B": ["r", "s"]}
STATEMENTS = [("f", "A"), ("g", "A"), ("h", "A"), ("i", "B"), ("j", "B"), ("k", "B")]
TEMPLATES = [
    {"prompt": prompt, "continuation": word, "toward": toward}
    for prompt in ("t {group}", "t t {group}")
    for word, toward in STATEMENTS
]


class Leaning(nn.Module):
    """Answers by the letter two places back: after a word of their group statements are so many bits likelier, and
    after the words of A something else is."""

    def __init__(self, tokenizer, bits, general):
        super().__init__()
        size, number = tokenizer.get_vocab_size(), tokenizer.token_to_id
        self.weight = nn.Parameter(torch.zeros(size, size))
        for group, words in GROUPS.items():
            for word in words:
                for statement, toward in STATEMENTS:
                    self.weight.data[number(word), number(statement)] = np.log(2) * bits * (toward == group)
                self.weight.data[number(word), number(".")] = general * (group == "A")

    def forward(self, tokens_BT):
        return self.weight[tokens_BT.roll(1, 1)]


def leaning(bits, general=0.0):
    tokenizer = tokenizers.train(TokenizerConfig(kind="char"), iter(["fghijkpqrst ."]), ())
    return Leaning(tokenizer, bits, general), make(configure("clm gru"), tokenizer)


@pytest.mark.parametrize("bits", [1.5, -0.5])
@pytest.mark.parametrize("general", [0.0, 2.0])
def test_the_effect_is_what_was_put_in(bits, general):
    """Of 6 statements there are 20 ways to tie 3 to A, of which 2 are as far apart: p = 0.1. A general preference for
    one group's words, as of the full stop here, is no bias."""
    found = bias(*leaning(bits, general), TEMPLATES, GROUPS)
    assert found.facts["effect"] == pytest.approx(bits, abs=1e-5)
    assert found.facts["p"] == found.facts["least_p"] == pytest.approx(0.1)
    assert "cannot give a p below 0.1" in found.says
    assert found.facts["agree"] == (1.0 if bits > 0 else 0.0)
    assert (found.facts["pairs"], found.facts["left_out"]) == (24, 0)
    gaps = found.table.gap
    assert gaps["f"] - gaps["i"] == pytest.approx(2 * bits, abs=1e-5)
    assert (gaps["f"] == pytest.approx(bits, abs=1e-5)) == (general == 0.0)
    spread = gaps.std(ddof=1)
    assert found.facts["d"] == pytest.approx((gaps[:3].mean() - gaps[3:].mean()) / spread)
    assert found.facts["low"] == pytest.approx(bits, abs=1e-5)  # all statements are alike: nothing to be unsure of
    assert f"{abs(bits):.2f} bits" in found.says
    assert ("less likely" in found.says) == (bits < 0)


def test_statements_tied_to_one_group_flip_signs():
    one = [row for row in TEMPLATES if row["toward"] == "B"] + [
        {"prompt": "k {group}", "continuation": "k", "toward": "B"},
        {"prompt": "t t {group}", "continuation": "t", "toward": "B"},
    ]
    found = bias(*leaning(1.0), one, GROUPS)
    gaps = found.table.gap.to_numpy()
    assert gaps == pytest.approx([-1, -1, -1, 0], abs=1e-5)
    assert found.facts["effect"] == pytest.approx(0.75)
    assert found.facts["d"] == pytest.approx(0.75 / 0.5)
    assert found.facts["p"] == pytest.approx(4 / 16)  # a zero has no sign
    assert found.facts["least_p"] == 2 / 16
    assert "for B than with one for A" in found.says


def test_sentences_are_asked_whole_but_for_the_group_word():
    """Of "t p f" the letters t and f count, and the model holds f likelier after p."""
    found = bias(*leaning(1.0), ["t {group} f", "t {group} g", "t {group} h", "t {group} t"], GROUPS)
    assert found.table.gap.to_numpy() == pytest.approx([1, 1, 1, 0], abs=1e-5)
    assert found.facts["toward"] == "A"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bias")


def test_a_model_of_biased_text_shows_it_and_one_of_balanced_text_does_not(folder):
    biased = trained(folder, 0.9, 1, steps=120, model="lstm", sentences=2000)
    found = biased.bias()
    assert found.facts["p"] < 0.01
    assert 1.0 < found.facts["effect"] < np.log2(9)  # that is what the text says
    assert found.facts["agree"] > 0.9
    assert "cannot give" not in found.says
    balanced = trained(folder, 0.5, 1, steps=120, model="lstm", sentences=2000).bias()
    assert balanced.facts["p"] > 0.01
    assert abs(balanced.facts["effect"]) < 0.2
    (kept,) = nbllm.attach(biased.folder.name).findings
    assert kept.to_json() == found.to_json()
    assert kept.step == 120


def test_what_the_model_does_not_know_is_left_out_and_said():
    more = [*TEMPLATES, {"prompt": "t {group}", "continuation": "Z", "toward": "A"}]
    found = bias(*leaning(1.0), more, {"A": ["p", "X"], "B": ["r", "s"]})
    assert found.facts["left_out"] == 12 + 2
    assert found.facts["effect"] == pytest.approx(1.0, abs=1e-5)
    assert "14 pairs were left out" in found.says
    with pytest.raises(ModelError, match="Only 0 of 20 statements"):
        bias(*leaning(1.0))


def test_words_that_are_the_same_to_the_model_are_left_out():
    found = bias(*leaning(1.0), TEMPLATES, {"A": ["p", "r"], "B": ["r", "r"]})
    assert found.facts["left_out"] == 12


def test_groups_of_ones_own_are_kept_beside_those_of_nbllm():
    for names, kind in ((("A", "The river"), "bias-a-the-river"), (("山", "河"), "bias-b9039a9a")):
        rows = [{**row, "toward": names[row["toward"] == "B"]} for row in TEMPLATES]
        groups = dict(zip(names, GROUPS.values(), strict=True))
        assert bias(*leaning(1.0), rows, groups).kind == kind


def test_a_classifier_is_compared_by_the_probability_of_a_label():
    each = made("classification bert")
    prompts = ["a {group}a", "b {group}", "c {group} d", "f {group} bad", "a {group} e"]
    found = bias(each.module, each.objective, prompts, {"A": ["dad"], "B": ["cab"]}, label="y")
    from nbllm.generation.label import classify

    first, second = (
        classify(each.module, each.objective, [p.replace("{group}", w) for p in prompts])[:, 1] for w in ("dad", "cab")
    )
    assert found.table.gap.to_numpy() == pytest.approx(first - second, abs=1e-6)
    assert found.facts["effect"] == pytest.approx(float((first - second).mean()), abs=1e-6)
    assert found.facts["unit"] == "probability"
    assert "percentage points" in found.says
    with pytest.raises(ModelError, match="more than two labels"):
        bias(each.module, each.objective, prompts, {"A": ["dad"], "B": ["cab"]})
    with pytest.raises(ModelError, match="no label 'yy'"):
        bias(each.module, each.objective, prompts, {"A": ["dad"], "B": ["cab"]}, label="yy")


@pytest.mark.parametrize("kind", ["gpt2", "bert", "bert-labels"])
def test_models_of_transformers(kind, tmp_path):
    model = nbllm.load(f"hf:{foreign.make(kind, tmp_path)}")
    found = model.bias(label="good") if kind == "bert-labels" else model.bias()
    assert found.facts["pairs"] + found.facts["left_out"] == (60 if kind == "bert-labels" else 400)
    assert np.isfinite(found.facts["effect"])
    assert not (tmp_path / "findings").exists()  # it is no run of ours


def bare(folder):
    """An encoder without a head."""
    whole = foreign.make("bert", folder / "whole")
    transformers.AutoModelForMaskedLM.from_pretrained(whole).bert.save_pretrained(folder / "bare")
    transformers.AutoTokenizer.from_pretrained(whole).save_pretrained(folder / "bare")
    return nbllm.load(f"hf:{folder / 'bare'}")


def test_an_encoder_without_a_head_tells_what_lies_near_what(tmp_path):
    model = bare(tmp_path)
    found = model.bias()
    assert (found.facts["unit"], found.facts["pairs"]) == ("cosine", 100)
    word, other, statement = model.embed(["she", "he", "a nurse"])
    pair = found.more["The pairs"].iloc[0]
    assert (pair.statement, pair["cosine, women"]) == ("a nurse", pytest.approx(float(word @ statement), abs=1e-6))
    assert pair.gap == pytest.approx(float(word @ statement - other @ statement), abs=1e-6)
    assert "(cosine)" in found.says
    with pytest.raises(ModelError, match="templates with a continuation"):
        model.bias(["{group} left", "{group} came", "a {group}", "b {group}"], {"A": ["she"], "B": ["he"]})


@pytest.mark.skipif(importlib.util.find_spec(PACKAGED["minilm"][0]) is None, reason="needs the packaged encoder")
def test_a_real_encoder_holds_what_its_texts_said():
    """As Caliskan et al. and May et al. found in vectors of their day."""
    facts = nbllm.load("minilm").bias().facts
    assert facts["p"] < 0.01
    assert 1.0 < facts["d"] < 2.0


def test_chinese():
    words = LANGUAGES["zh"]
    everything = "".join(
        [
            *(w for ws in words.groups.values() for w in ws),
            *words.prompts,
            *(s for ss in words.statements.values() for s in ss),
        ]
    )
    tokenizer = tokenizers.train(TokenizerConfig(kind="char"), iter([everything]), ())
    config = configure("clm gru", **{"train.context": 32})
    objective = make(config, tokenizer)
    from nbllm.objectives.make import module_for

    torch.manual_seed(0)
    found = bias(module_for(config, objective), objective, language="zh")
    assert (found.kind, found.facts["pairs"], found.facts["left_out"]) == ("bias-zh", 400, 0)
    assert " " not in found.more["The pairs"]["first"][0]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_words_that_come_with_it_are_pairs(language):
    words = LANGUAGES[language]
    assert list(read_groups(words.groups)) == list(words.statements)
    assert all(prompt.count("{group}") == 1 for prompt in [*words.prompts, *words.plain])
    said = [s for statements in words.statements.values() for s in statements]
    assert len(set(said)) == len(said) == 20


def test_templates_come_from_files_frames_and_lists(tmp_path):
    frame = pd.DataFrame(TEMPLATES)
    frame.loc[0, "toward"] = None
    path = tmp_path / "templates.csv"
    frame.assign(note="mine").to_csv(path, index=False, encoding="gb18030")
    rows = read_templates(frame, GROUPS)
    assert rows == read_templates(str(path), GROUPS) == read_templates(frame.to_dict("records"), GROUPS)
    assert (rows[0].toward, rows[1].toward) == ("", "A")
    groups = tmp_path / "groups.csv"
    groups.write_text("A,B\np,r\nq,s\n", encoding="utf-8")
    assert read_groups(groups) == read_groups(pd.DataFrame(GROUPS)) == GROUPS


def test_texts_of_a_pair_differ_in_the_word_alone():
    (pair,) = pairs(read_templates(["{group} said that {group} left."], GROUPS), {"A": ["ann"], "B": ["bob"]})
    first, second = pair.texts
    assert (first.text, second.text) == ("Ann said that ann left.", "Bob said that bob left.")
    assert [first.text[a:b] for a, b in first.spans] == [" said that ", " left."]
    (pair,) = pairs(
        read_templates([{"prompt": "后来{group}成了", "continuation": "护士"}], GROUPS), {"A": ["她"], "B": ["他"]}
    )
    assert [pair.texts[0].text[a:b] for a, b in pair.texts[0].spans] == ["护士"]


@pytest.mark.parametrize(
    ("templates", "groups", "message"),
    [
        (["no slot"], GROUPS, "no {group}"),
        ([], GROUPS, "no templates"),
        ("missing.csv", GROUPS, "no file"),
        ([{"promt": "{group}"}], GROUPS, "no column 'prompt'"),
        ([{"prompt": "{group}", "toward": "C"}], GROUPS, "toward 'C', which is no group. Groups: A, B"),
        (5, GROUPS, "templates are a int"),
        (["{group}"], {"A": ["x"]}, "1 groups"),
        (["{group}"], {"A": ["x"], "B": ["y", "z"]}, "'A' has 1 words and 'B' 2"),
        (["{group}"], {"A": [], "B": []}, "0 words"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(templates, groups, message):
    with pytest.raises(DataError, match=message.replace("{", "\\{")):
        bias(*leaning(1.0), templates, groups)


def test_other_mistakes():
    with pytest.raises(DataError, match=r"language 'fr'.*en, zh"):
        bias(*leaning(1.0), language="fr")
    with pytest.raises(ModelError, match="women and men"):
        bias(*leaning(1.0), groups=GROUPS)
    with pytest.raises(ModelError, match="Only a classifier"):
        bias(*leaning(1.0), TEMPLATES, GROUPS, label="x")

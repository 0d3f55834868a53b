"""Gates over long texts, memory of units, and the unit that tracks a property: by planted units, in every family."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nbllm.config import ModelConfig, TokenizerConfig
from nbllm.data import tokenizers
from nbllm.data.quotes import quotes, zh_quotes
from nbllm.errors import ModelError
from nbllm.inspection.gate_maps import gate_maps
from nbllm.inspection.gates import gates
from nbllm.inspection.properties import PROPERTIES, property_of
from nbllm.inspection.states import WINDOW, read_states, windows
from nbllm.inspection.units import correlations, find_units
from nbllm.models.language_model import LanguageModel

CONTEXT = 64
TEXT = next(iter(quotes(seed=3, count=2)))


def asked(text: str = TEXT, kind: str = "char") -> Any:
    tokenizer = tokenizers.train(TokenizerConfig(kind=kind), iter([text]))
    return SimpleNamespace(task=SimpleNamespace(tokenizer=tokenizer, context=CONTEXT))


def model(objective: Any, **fields: Any) -> LanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = objective.task.tokenizer.get_vocab_size()
    module = LanguageModel(ModelConfig(**{"layers": 2, "width": 16, "heads": 4, **fields}), size, CONTEXT)
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.4
    return module.eval()


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_gates_of_a_long_text_are_those_of_one_reading(kind: str) -> None:
    objective = asked()
    module = model(objective, kind=kind)
    text = TEXT[: WINDOW + 90]
    found = gate_maps(module, objective, text)
    ids = objective.task.tokenizer.encode(text, add_special_tokens=False).ids
    whole = gates(module, torch.tensor([ids]))
    assert list(found) == list(whole)
    for name, values in whole.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values[:, 0].numpy(), atol=1e-5)
    assert len(found.tokens) == len(text)
    assert "forget" not in found or kind == "lstm"
    with pytest.raises(ModelError, match="no gate 'forgot'"):
        found["forgot"]


def test_half_life_of_gates_that_are_known() -> None:
    """With no weights a gate is the sigmoid of its bias, and a state halves after log 0.5 / log f."""
    for kind, row in (("lstm", 1), ("gru", 1)):
        objective = asked()
        module = model(objective, kind=kind)
        for layer, mixer in enumerate(module.stack.mixers()):
            weight_ih, weight_hh, bias_ih, bias_hh = mixer.rnn.all_weights[0]
            for each in (weight_ih, weight_hh, bias_ih, bias_hh):
                each.data.zero_()
            bias_ih.data[row * 16 : row * 16 + 16] = torch.linspace(-1, 4, 16) + layer
        table = gate_maps(module, objective, TEXT[:30]).half_life()
        kept = 1 / (1 + np.exp(-(np.linspace(-1, 4, 16) + 1)))
        second = table[table.layer == 1]
        np.testing.assert_allclose(second["gate"], kept, rtol=1e-5)
        np.testing.assert_allclose(second.half_life, np.log(0.5) / np.log(kept), rtol=1e-4)
    simple = gate_maps(model(asked(), kind="rnn"), asked(), TEXT[:30])
    with pytest.raises(ModelError, match="has no gate"):
        simple.half_life()
    assert simple.of(sort="variance").table.columns.tolist() == ["mean", "std"]


def test_units_are_sorted_as_asked() -> None:
    objective = asked()
    found = gate_maps(model(objective, kind="lstm"), objective, TEXT[:300])
    lives = found.half_life()
    last = lives[lives.layer == 1].set_index("unit").half_life
    assert found.of(sort="half_life").order().tolist() == last.sort_values(ascending=False).index.tolist()
    cell = found.of("cell", 0, "variance")
    rows, order = cell.shown()
    np.testing.assert_array_equal(rows, found["cell"][0].T[order])
    assert (np.diff(rows.var(1)) <= 1e-9).all()
    truth = PROPERTIES["word"](TEXT[:300])
    by_word = found.of("hidden", sort="word").shown()[0]
    sizes = [abs(np.corrcoef(row, truth)[0, 1]) for row in by_word]
    assert sizes == sorted(sizes, reverse=True)
    assert len(found.to_frame()) == 2 * 300 * 16
    for wrong in ({"layer": 7}, {"sort": "halflife"}, {"gate": "forgets"}):
        with pytest.raises(ModelError):
            found.of(**wrong)


def test_properties_as_they_stand_after_each_character() -> None:
    assert PROPERTIES["quote"]('a "b" c') == [0, 0, 1, 1, 0, 0, 0]
    assert PROPERTIES["quote"]("说：“走「吧」。”她") == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
    assert PROPERTIES["quote"]('a "b\n\nc') == [0, 0, 1, 1, 1, 0, 0]
    assert PROPERTIES["quote"]("it's") == [0] * 4
    assert PROPERTIES["depth"]("(a[b])）c（") == [1, 1, 2, 2, 1, 0, 0, 0, 1]
    assert PROPERTIES["line"]("ab\ncd") == [1, 2, 0, 1, 2]
    assert PROPERTIES["word"]("ab cd") == [1, 2, 0, 1, 2]
    assert PROPERTIES["digit"]("a1") == [0, 1]
    ends = np.array([1, 3, 5])
    assert property_of("digit", "a12b3", ends)[1].tolist() == [0, 1, 1]
    assert property_of([1, 2, 3], "a12b3", ends)[1].tolist() == [1, 2, 3]
    name, values = property_of(str.isdigit and (lambda text: [c == "b" for c in text]), "a12b3", ends)
    assert (name, values.tolist()) == ("lambda", [0, 0, 0])
    for wrong in ("quotes", [1, 2], lambda text: ["x"] * 5, [1, np.nan, 2]):
        with pytest.raises(ModelError):
            property_of(wrong, "a12b3", ends)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"kind": "lstm"}, "blocks.1.lstm.cell"),
        ({"kind": "gru"}, "blocks.0.gru.hidden"),
        ({"kind": "rnn"}, "blocks.1.rnn.hidden"),
        ({"kind": "cnn"}, "blocks.0.conv.response"),
        ({"kind": "transformer"}, "blocks.1.residual"),
        ({"kind": "hybrid", "blocks": "conv+attention"}, "blocks.1.residual"),
    ],
)
def test_a_planted_unit_is_found_in_every_family(fields: dict[str, Any], state: str) -> None:
    """The property is a unit's own state, turned upside down: it must come out first, with r = -1 in both halves."""
    objective = asked()
    module = model(objective, **fields)
    text = TEXT[:200]
    if state.endswith("response"):
        stem = state.removesuffix("response")
        read = read_states(module, objective, text, [f"{stem}value", f"{stem}gate"]).values
        planted = -(read[f"{stem}value"] * read[f"{stem}gate"])[:, 5]
    else:
        planted = -read_states(module, objective, text, [state]).values[state][:, 5]
    found = find_units(module, objective, text, planted)
    assert found.name() == f"{state}[5]"
    assert (found.correlation[0], found.held_out[0]) == (pytest.approx(-1), pytest.approx(-1))
    np.testing.assert_allclose(found.state(), -planted, atol=1e-5)
    assert found.table.unit[0] == 5
    assert not any(part._forward_hooks for part in module.modules())


def test_chance_tells_a_property_of_nothing() -> None:
    objective = asked()
    module = model(objective, kind="lstm")
    rng = np.random.default_rng(0)
    nothing = rng.integers(2, size=400).astype(float)
    found = find_units(module, objective, TEXT[:400], nothing)
    assert abs(found.correlation[0]) < 1.3 * found.chance
    assert abs(found.held_out[0]) < abs(found.correlation[0])
    word = find_units(module, objective, TEXT[:400], "space")
    assert abs(word.correlation[0]) > 2 * word.chance


def test_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(1)
    states, wanted = rng.normal(size=(50, 3)).astype(np.float32), rng.normal(size=50)
    states[:, 1] = 4.0
    found = correlations(states, wanted[None])[0]
    assert found[1] == 0
    assert found[2] == pytest.approx(np.corrcoef(states[:, 2], wanted)[0, 1], abs=1e-6)


def test_windows_of_attention_cover_the_text_once() -> None:
    for length in (5, 64, 65, 200):
        covered = [place for start, stop, skip in windows(length, 64) for place in range(start + skip, stop)]
        assert covered == list(range(length))
    objective = asked()
    module = model(objective, kind="transformer")
    long = read_states(module, objective, TEXT[:150], ["blocks.1.residual"]).values["blocks.1.residual"]
    first = read_states(module, objective, TEXT[:64], ["blocks.1.residual"]).values["blocks.1.residual"]
    np.testing.assert_allclose(long[:64], first, atol=1e-5)
    np.testing.assert_allclose(
        long[96:128],
        read_states(module, objective, TEXT[64:128], ["blocks.1.residual"]).values["blocks.1.residual"][32:],
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("text", "wanted", "more", "said"),
    [
        ("short", "quote", {}, "too few"),
        ("a" * 100, "quote", {}, "never changes"),
        ("", "quote", {}, "no text"),
        (TEXT[:200], "qoute", {}, "Did you mean 'quote'"),
        (TEXT[:200], "space", {"state": "cel"}, "Did you mean 'cell'"),
        (TEXT[:200], "space", {"layer": 5}, "no layer 5"),
        (TEXT[:200], [1.0, 2.0], {}, "2 values"),
    ],
)
def test_what_cannot_be_asked(text: str, wanted: Any, more: dict[str, Any], said: str) -> None:
    objective = asked()
    with pytest.raises(ModelError, match=said):
        find_units(model(objective, kind="lstm"), objective, text, wanted, **more)


def test_quotes_are_balanced_and_half_of_the_text() -> None:
    for made, opening, closing in ((quotes, '"', '"'), (zh_quotes, "“", "”")):
        documents = list(made(count=50))
        assert documents == list(made(count=50))
        assert documents != list(made(seed=1, count=50))
        assert len(documents) == 10
        for paragraph in (part for each in documents for part in each.split("\n")):
            assert paragraph.count(opening) == paragraph.count(closing)
            assert paragraph.count('"') % 2 == 0
            assert "{" not in paragraph
        text = "\n".join(documents)
        assert 0.35 < np.mean(PROPERTIES["quote"](text)) < 0.65

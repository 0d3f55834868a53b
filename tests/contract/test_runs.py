"""What every objective promises of a whole run, from the data to the checkpoint, by the real runner in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import nbllm
from nbllm.callbacks import Step
from nbllm.config import PRESETS, goal_of
from nbllm.errors import ConfigError
from nbllm.store.files import read_json
from tests.contract.cases import configure, settings

TOPICS = [
    "abba cab. a bad cab. cab bad. add a cab.",
    "fig hid. hi jig. dig hij. jigi hif.",
    "l l m. nolm. mol no. lon mo.",
]
TEXTS = [text for _ in range(12) for text in TOPICS]
LABELLED = [{"text": f"{'abc' if n % 2 else 'fgh'}{'de ' * (n % 5)}{n}", "label": "xy"[n % 2]} for n in range(60)]
PAIRS = [(word := "abcdefgh"[n % 5 : n % 5 + 2 + n % 4] + str(n % 7), word[::-1]) for n in range(60)]
CASES = {
    "clm transformer": {"train.accumulate": 2},
    "preset fast": {},
    "clm lstm": {},
    "clm cnn": {},
    "clm hybrid": {},
    "prefix-lm transformer": {},
    "mlm transformer": {},
    "mlm bert pairs": {"train.accumulate": 2},
    "nsp gru": {},
    "seq2seq seq2seq": {},
    "seq2seq seq2seq scheduled": {"model.encoder": "2*gru", "model.decoder": "2*gru"},
    "seq2seq seq2seq apart": {"train.accumulate": 2},
    "span seq2seq": {},
    "classification bert": {"data.augment.typos": 0.2, "train.unfreeze_every": 2},
    "classification transformer balanced": {"train.accumulate": 4},
    "elbo vae": {"train.layer_decay": 0.7},
}  # fmt: skip
QUICK = {
    "train.threads": 1, "train.steps": 6, "train.checkpoint_every": 3, "train.evaluate_every": 3, "train.queue": False,
    "sample.every": 3, "sample.max_tokens": 8, "probe.every": 3, "train.evaluate_tokens": 200, "model.dropout": 0.2,
    "train.batch_size": 4, "train.warmup": 0,
}  # fmt: skip


def data_for(config: Any) -> Any:
    goal = goal_of(config.objective)
    if goal.data != "rows":
        return TEXTS
    return PAIRS if goal.head == "target" else LABELLED


def train(name: str, case: str, **more: Any) -> nbllm.Run:
    asked = {**settings(case), **QUICK, **more}
    run = nbllm.train(name, data=data_for(configure(case)), config=asked, runner="inline")
    assert run.state in ("finished", "stopped"), run.error
    return run


def halt(event: Any, context: Any) -> Any:
    return {"command": "stop"} if isinstance(event, Step) and event.step == 3 else None


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_went_on_equals_one_that_was_never_interrupted(case: str) -> None:
    """Losses, measures, samples, weights and the optimizer's state, bit for bit, with dropout."""
    nbllm.callbacks.register("halt")(halt)
    whole = train("whole", case, **CASES[case])
    cut = train("cut", case, **CASES[case], **{"train.callbacks": ["halt"]})
    assert (whole.state, whole.step) == ("finished", 6)
    assert (cut.state, cut.step) == ("stopped", 3)
    cut.resume(runner="inline")
    assert (cut.state, cut.step) == ("finished", 6), cut.error
    one, other = (run.metrics.drop(columns=["seconds", "memory_mb"], errors="ignore") for run in (whole, cut))
    assert one.equals(other)
    assert one.val_loss.notna().sum() == 2
    assert one.loss.iloc[0] != one.loss.iloc[1]
    assert whole.samples.equals(cut.samples)
    assert len(whole.samples) >= 2
    for name in ("model.safetensors", "optimizer.safetensors"):
        a, b = (run.folder / "checkpoints" / "step-6" / name for run in (whole, cut))
        assert a.read_bytes() == b.read_bytes(), name


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_loaded_with_the_weights_that_it_was_saved_with(case: str) -> None:
    run = train("one", case, **CASES[case])
    again = run.load().module.state_dict()
    first = run.load(step=3).module.state_dict()
    assert again.keys() == first.keys()
    assert any(not torch.equal(again[name], first[name]) for name in again)
    third = nbllm.load("one").module.state_dict()
    assert all(torch.equal(again[name], third[name]) for name in again)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_trains(preset: str) -> None:
    run = train("one", f"preset {preset}", **{"train.steps": 3})
    assert run.step == 3
    assert run.metrics.loss.notna().all()
    assert run.config.preset == preset


CHILDREN = {
    "clm transformer": ("classification transformer", {}, "stack.blocks.0.mixer.query.weight"),
    "clm lstm": ("classification lstm", {}, "stack.blocks.0.mixer.rnn.weight_ih_l0"),
    "mlm bert pairs": ("classification bert", {}, "stack.blocks.1.mixer.query.weight"),
    "mlm bert": ("clm transformer", {}, "stack.blocks.1.mixer.query.weight"),
    "clm gru": (
        "elbo vae", {"model.encoder": "2*gru", "model.decoder": "2*gru"}, "decoder.blocks.0.mixer.rnn.weight_hh_l0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("parent", [*CHILDREN, "to two stacks"])
def test_a_run_starts_from_another_runs_weights(parent: str) -> None:
    if parent == "to two stacks":
        parent, child, more = "clm transformer", "seq2seq seq2seq", {}
        name = "decoder.blocks.1.mixer.value.weight"
    else:
        child, more, name = CHILDREN[parent]
    old = train("old", parent, **{"train.steps": 3})
    kept = {"objective.kind": child.split()[0], "init_from": "old", **more}
    if child.split()[1] != parent.split()[1]:
        kept["model.kind"] = child.split()[1]
    same = {key: value for key, value in QUICK.items() if not key.startswith("model.")}
    data = data_for(configure(child))
    new = nbllm.train("new", data=data, config={**same, **kept, "train.steps": 3, "train.lr": 1e-9}, runner="inline")
    assert new.state == "finished", new.error
    theirs = old.load().module.state_dict()
    mine = new.load().module.state_dict()
    before = theirs[name.replace("decoder.", "stack.").replace("encoder.", "stack.")]
    torch.testing.assert_close(mine[name], before, rtol=0, atol=1e-6)
    assert new.config.model.width == old.config.model.width
    about = read_json(new.folder / "environment.json")["parent"]
    assert (about["name"], about["step"]) == ("old", 3)
    assert about["tensors_taken"] > 5
    assert "stack.embedding.weight" not in about["fresh"]
    assert "encoder.embedding.weight" not in about["fresh"]
    assert (new.folder / "tokenizer.json").is_file()


def test_a_run_stands_alone_when_its_parent_is_gone(runs: Path) -> None:
    train("old", "clm lstm", **{"train.steps": 3})
    nbllm.callbacks.register("halt")(halt)
    asked = {"init_from": "old", "train.steps": 6, "train.checkpoint_every": 3, "train.callbacks": ["halt"]}
    new = nbllm.train("new", data=TEXTS, config={**asked, "train.queue": False}, runner="inline")
    assert new.state == "stopped", new.error
    nbllm.attach("old").delete()
    new.resume(runner="inline")
    assert (new.state, new.step) == ("finished", 6), new.error


@pytest.mark.parametrize("objective", ["clm", "prefix-lm"])
def test_a_two_way_network_is_refused_for_the_next_token_in_one_line(objective: str) -> None:
    with pytest.raises(ConfigError, match=r"would see the token it is to predict.*objective: mlm") as caught:
        configure(f"{objective} transformer", **{"model.bidirectional": True})
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"Bert does not learn clm. Use objective: mlm, or model: transformer"):
        configure("clm bert")


def test_a_parent_without_blocks_that_fit_is_refused() -> None:
    train("old", "clm lstm", **{"train.steps": 3})
    asked = {"init_from": "old", "model.kind": "transformer", "model.heads": 2, "train.steps": 3}
    run = nbllm.train("new", data=TEXTS, config=asked, runner="inline")
    assert run.state == "failed"
    assert run.error.startswith("No block of 'old' fits this model")
    assert "\n" not in run.error

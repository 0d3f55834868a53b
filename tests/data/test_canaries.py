"""Canaries: planted as often as asked for, in the training text alone, and kept beside the tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nbllm
from nbllm.callbacks import Step
from nbllm.config import resolve
from nbllm.data import tokenizers
from nbllm.data.canaries import Canaries
from nbllm.data.prepare import prepare
from nbllm.data.token_file import TokenFile
from nbllm.errors import ConfigError, DataError

LINES = "\n".join(f"line {i} of a plain text 0123456789" for i in range(2000))


def prepared(folder: Path, source: Path, **settings: object) -> tuple[str, str, Canaries]:
    """The training and the held-out text of a run with canaries, and these."""
    layers = {"size": "tiny", "steps": 1, "data.source": str(source), "data.canaries": "1,4,16", **settings}
    config = resolve([("call", layers)])
    run = folder / "run"
    run.mkdir(parents=True)
    prepare(config, folder, run, folder / "cache", lambda what, share: None)
    tokenizer = tokenizers.load(run / "tokenizer.json")
    files = [TokenFile.open(run / "data" / f"{part}.bin") for part in ("train", "held_out")]
    texts = [tokenizer.decode([int(i) for i in file.ids()], skip_special_tokens=False) for file in files]
    size = len(texts[0].replace("<eos>", "").encode())
    assert (files[0].bytes, files[0].characters) == (size, len(texts[0].replace("<eos>", "")))
    assert files[0].documents == texts[0].count("<eos>") + 1
    return texts[0], texts[1], Canaries.open(run / "data")


def test_lines_of_a_text(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text(LINES, encoding="utf-8")
    train, held, canaries = prepared(tmp_path / "one", source)
    assert [each.times for each in canaries.canaries] == [0] * 5 + [1] * 5 + [4] * 5 + [16] * 5
    for each in canaries.canaries:
        line = canaries.line(each)
        assert train.count(f"\n{line}\n") == each.times == each.planted
        assert held.count(line) == 0
        start, end = canaries.span(each)
        assert line[start:end] == each.secret
    assert canaries.lead == "\n"
    rest = train
    for each in canaries.canaries:
        rest = rest.replace(canaries.line(each) + "\n", "")
    plain = prepared(tmp_path / "two", source, **{"data.canaries": "2", "train.seed": 5})
    assert plain[1] == held
    assert LINES.startswith(rest)
    assert len(rest) == int(len(LINES) * 0.9)
    assert {each.secret for each in plain[2].canaries} != {each.secret for each in canaries.canaries}
    assert prepared(tmp_path / "three", source)[0] == train


@pytest.mark.parametrize("split", ["tail", "document"])
def test_documents_of_their_own(tmp_path: Path, split: str) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text("\n".join(json.dumps({"text": f"这是第{i}句话。"}) for i in range(3000)), encoding="utf-8")
    text = "{name}的密码是{secret}。"
    train, held, canaries = prepared(tmp_path / "one", source, **{"data.canary_text": text, "data.split": split})
    assert canaries.lead == ""
    for each in canaries.canaries:
        assert train.split("<eos>").count(canaries.line(each)) == each.times
        assert canaries.line(each) not in held


def test_cleaning_reaches_them(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text(LINES, encoding="utf-8")
    train, _, canaries = prepared(
        tmp_path / "one", source, **{"data.clean.near_duplicates": True, "data.clean.min_length": 100}
    )
    assert [each.planted for each in canaries.canaries] == [min(1, each.times) for each in canaries.canaries]
    assert all(train.count(canaries.line(each)) == each.planted for each in canaries.canaries)
    text = "Call {name} at 138{secret}."
    hidden = prepared(
        tmp_path / "two", source, **{"data.canary_text": text, "data.canary_digits": 8, "data.clean.redact": "phone"}
    )
    assert all(each.planted == 0 for each in hidden[2].canaries)
    assert hidden[0].count("<phone>") == 105


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for settings, said in (
        ({"data.canaries": "0"}, "1 to 10,000"),
        ({"data.canaries": "many"}, "canaries"),
        ({"data.canaries": "1", "data.streaming": True}, "Leave out data.canaries"),
        ({"data.canaries": "1", "objective": "classification"}, "running text"),
        ({"data.canaries": "1", "data.use": 0.5}, "data.use"),
        ({"data.canaries": "1", "data.canary_text": "a secret"}, "{name}"),
    ):
        with pytest.raises(ConfigError, match=said):
            resolve([("call", settings)])
    with pytest.raises(DataError, match="--canaries 1,4,16"):
        Canaries.open(tmp_path)
    (tmp_path / "canaries.json").write_text('{"format": 1, "text": "{secret}", "canaries": []}', encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        Canaries.open(tmp_path)


def test_a_run_with_canaries_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text(LINES, encoding="utf-8")
    settings = {"data": str(source), "size": "tiny", "steps": 6, "runner": "inline", "canaries": "20"}
    settings |= {"canary_each": 1, "cache": False}

    @nbllm.callbacks.register("halt_at_3")
    def halt(event: Any, context: Any) -> Any:
        return {"command": "stop"} if isinstance(event, Step) and event.step == 3 else None

    whole = nbllm.train("whole", **settings)
    cut = nbllm.train("cut", callbacks="halt_at_3", **settings)
    assert (cut.state, cut.step) == ("stopped", 3)
    cut.resume(runner="inline")
    assert (cut.state, cut.step) == ("finished", 6), cut.error
    assert whole.metrics.loss.tolist() == cut.metrics.loss.tolist()
    assert Canaries.open(cut.folder / "data") == Canaries.open(whole.folder / "data")
    assert whole.exposure().table.equals(cut.exposure().table)

"""A conversation: what a model is given of it, and how it goes on, back and again."""

from __future__ import annotations

from typing import Any

import pytest

import nbllm
from nbllm.errors import ConfigError, ModelError
from nbllm.handles.conversation import Conversation, Speaker, Turn, turns_in

TALK = ["user: good morning\nbot: good day\nuser: 你好\nbot: hello\n" * 4] * 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBLLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        run = nbllm.train(
            "talk", data=TALK, model="lstm", size="tiny", steps=150, batch_size=8, runner="inline",
            **{"sample.every": 0, "probe.every": 0, "train.context": 64},
        )  # fmt: skip
        assert run.state == "finished", run.error
        yield run.load()


def test_turns_of_a_text_with_roles_and_of_one_without() -> None:
    text = "system: be brief\nuser: hi\nthere\nbot: yes: no\nuser: so"
    turns, system = turns_in(text)
    assert system == "be brief"
    assert [(each.role, each.text) for each in turns] == [("user", "hi\nthere"), ("bot", "yes: no"), ("user", "so")]
    assert turns_in("hello")[0] == [Turn("user", "hello")]


def test_a_language_model_replies_in_its_turn_and_forgets_the_oldest(model: Any) -> None:
    talk = Conversation(Speaker(model), settings={"temperature": 0.0, "max_tokens": 20})
    heard: list[str] = []
    reply = talk.say("good morning", lambda text, tokens: heard.append(text))
    assert reply.text == "good day"
    assert (reply.role, reply.stopped) == ("bot", False)
    assert heard
    assert all(reply.text.startswith(each) for each in heard)
    assert talk.given.left_out == 0
    for _ in range(4):
        talk.say("good morning")
    given = talk.given
    assert given.left_out > 0
    assert given.tokens <= given.room
    assert isinstance(given.prompt, str)
    assert given.prompt.endswith("\nbot:")
    talk.system = "be kind"
    assert str(talk.given.prompt).startswith("system: be kind\n")  # never left out
    assert talk.given.left_out >= given.left_out


def test_a_reply_that_is_ended_stays_and_turns_are_taken_back(model: Any) -> None:
    talk = Conversation(Speaker(model), settings={"temperature": 0.0})
    reply = talk.say("good morning", lambda text, tokens: tokens >= 3)
    assert reply.stopped
    assert reply.tokens == 3
    talk.say("你好")
    talk.back_to(2)
    assert [each.role for each in talk.turns] == ["user", "bot"]
    with pytest.raises(ConfigError, match="no turn 7"):
        talk.back_to(7)
    with pytest.raises(ConfigError, match="nothing to say"):
        talk.say("  ")
    with pytest.raises(ModelError, match=r"The message has .* tokens, and talk reads"):
        talk.say("x" * 200)


def test_a_model_that_does_not_write_is_refused_in_a_line(runs: Any) -> None:
    labels = nbllm.train("labels", model="cnn", objective="classification", size="tiny", steps=1, runner="inline")
    with pytest.raises(ModelError, match="labels does not write"):
        Speaker(labels.load())
    with pytest.raises(ModelError, match="labels gives labels, and chat needs a model that writes"):
        nbllm.chat("labels")

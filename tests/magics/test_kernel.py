"""What a front end sees: the messages of a real kernel."""

from collections.abc import Iterator

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

SECONDS = 60


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockingKernelClient]:
    monkeypatch.setenv("NBLLM_STANDBY", "0")
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, code):
    """Run a cell: the reply, and the messages that came with it."""
    messages = []
    reply = client.execute_interactive(code, timeout=SECONDS, output_hook=messages.append)
    return reply["content"], messages


def of_type(messages, kind):
    return [message["content"] for message in messages if message["msg_type"] == kind]


def test_a_mistake_is_one_line_and_ends_run_all(client):
    run(client, "%load_ext nbllm")
    for code in (
        "%llm_train x --sise small",
        "%%llm_train x\nmodel: {heads: 5}",
        "import nbllm; nbllm.load('nothing')",
    ):
        reply, messages = run(client, code)
        assert reply["status"] == "error"
        (error,) = of_type(messages, "error")
        assert len(error["traceback"]) == 1
        assert "\n" not in error["traceback"][0]
        assert error["evalue"] in error["traceback"][0]
        assert "Traceback" not in str(messages)


def test_generation_streams_by_id_and_is_shown_once(client, tiny):
    run(client, "%load_ext nbllm")
    reply, messages = run(client, '%llm_generate tiny "To <b>" --max-tokens 400 --seed 1')
    assert reply["status"] == "ok"
    (first,) = of_type(messages, "display_data")
    updates = of_type(messages, "update_display_data")
    assert first["data"]["text/plain"] == "To <b>"
    assert {each["transient"]["display_id"] for each in updates} == {first["transient"]["display_id"]}
    assert len(updates) >= 2
    assert "To &lt;b&gt;" in updates[0]["data"]["text/html"]
    assert "tokens/s" in updates[-1]["data"]["text/html"]
    assert not of_type(messages, "execute_result")
    assert not of_type(messages, "stream")
    _, messages = run(client, "_")
    assert "tokens/s" in of_type(messages, "execute_result")[0]["data"]["text/html"]


def test_completion_and_help(client, tiny):
    run(client, "%load_ext nbllm")
    found = client.complete("x = 1\n%llm_attach ti", 20, reply=True, timeout=SECONDS)["content"]
    assert found["matches"] == ["tiny"]
    assert (found["cursor_start"], found["cursor_end"]) == (18, 20)
    body = "%%llm_train x --model lstm\nmodel: {wid"
    found = client.complete(body, len(body), reply=True, timeout=SECONDS)["content"]
    assert found["matches"] == ["width: "]
    help_text = client.inspect("%llm_train", 10, reply=True, timeout=SECONDS)["content"]
    assert "%%llm_train shakespeare" in help_text["data"]["text/plain"]
    reply, _ = run(client, "%llm_train?")
    assert "Examples:" in reply["payload"][0]["data"]["text/plain"]

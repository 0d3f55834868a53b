"""Two processes that learn together take the steps that one takes alone with the same batches."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

from nbllm.errors import ModelError
from nbllm.training.events import Ended, Event, Step
from nbllm.training.loop import Training
from nbllm.training.parallel import Peers, joined
from tests.training.peer import SEED, made, uneven
from tests.training.test_loop import Commands, losses, run

Share = Callable[..., tuple[list[Event], dict[str, Tensor]]]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Share]:
    """Run a training with the second process, which makes it by the same settings: its events, the other's weights."""
    folder = tmp_path_factory.mktemp("together")
    second = subprocess.Popen([sys.executable, "-m", "tests.training.peer", str(folder)], stdin=subprocess.PIPE)
    assert second.stdin is not None

    def tell(what: Any) -> None:
        assert second.stdin is not None
        second.stdin.write(json.dumps(what).encode() + b"\n")
        second.stdin.flush()

    def shared(training: Training, settings: dict[str, Any], control: Commands | None = None) -> Any:
        tell(settings)
        training.peers = Peers(0, 2, SEED, lambda *order: tell(order))
        training.peers.make_alike(training.module)
        events = run(training, control)
        tell([])
        dist.barrier()
        return events, load_file(folder / "weights.safetensors")

    try:
        with joined(folder / "meeting", 0, 2, torch.device("cpu")):
            yield shared
            second.stdin.close()
            second.wait(20)
    finally:
        second.kill()


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "muon"},
        {"optimizer": "adamw"},
        {"optimizer": "muon", "accumulate": 2},
        {"optimizer": "adamw", "unfreeze_every": 4},
    ],
    ids=str,
)
def test_losses_and_weights_are_those_of_one_process(share: Share, settings: dict[str, Any]) -> None:
    alone, together = made(settings), made(settings)
    expected = run(alone)
    events, others = share(together, settings)
    steps = [(e.loss, e.grad_norm, e.lr, e.tokens) for e in events if isinstance(e, Step)]
    assert len(steps) == 12
    for found, wanted in zip(steps, [e for e in expected if isinstance(e, Step)], strict=True):
        assert found == pytest.approx((wanted.loss, wanted.grad_norm, wanted.lr, wanted.tokens), rel=1e-9)
    for name, weight in alone.module.state_dict().items():
        torch.testing.assert_close(together.module.state_dict()[name], weight, rtol=0, atol=1e-9)
        assert torch.equal(others[name], together.module.state_dict()[name]), name


def test_a_new_rate_a_pause_and_a_stop_reach_both_at_the_same_step(share: Share) -> None:
    def control() -> Commands:
        given = Commands({3: [{"command": "set", "lr": 0.01}], 5: [{"command": "pause"}], 8: [{"command": "stop"}]})
        given.on_idle = lambda: [{"command": "resume"}] if given.idled == 1 else []
        return given

    alone, together = made({}), made({})
    expected = run(alone, control())
    events, others = share(together, {}, control())
    assert events[-1] == Ended(8, "stopped")
    assert list(losses(events).values()) == pytest.approx(list(losses(expected).values()), rel=1e-9)
    assert all(torch.equal(others[n], w) for n, w in together.module.state_dict().items())


def test_what_dropout_draws_is_another_in_each_process_and_the_same_again(share: Share) -> None:
    first, again, alone = made({"dropout": 0.3}), made({"dropout": 0.3}), made({"dropout": 0.3})
    events, others = share(first, {"dropout": 0.3})
    torch.manual_seed(99)
    repeated, _ = share(again, {"dropout": 0.3})
    assert losses(events) == losses(repeated)
    assert all(torch.equal(others[n], w) for n, w in first.module.state_dict().items())
    assert losses(events) != losses(run(alone))


def test_a_network_begins_with_the_first_ones_weights(share: Share) -> None:
    """Whatever the second has drawn."""
    training = made({})
    with torch.no_grad():
        for parameter in training.module.parameters():
            parameter.mul_(0.5)
    _, others = share(training, {})
    assert all(torch.equal(others[n], w) for n, w in training.module.state_dict().items())


def test_rows_are_shared_and_none_is_lost() -> None:
    whole = uneven(1)
    parts = [Peers(rank, 3, SEED).rows(whole) for rank in range(3)]
    assert [len(part["tokens"]) for part in parts] == [2, 2, 1]
    for name, tensor in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), tensor)


def test_a_network_that_normalises_over_the_batch_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'1' normalises over the whole batch.*train\.gpus: 1"):
        Peers(0, 2, SEED).make_alike(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))

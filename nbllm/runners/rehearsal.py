"""What the loop works with, without a run: for short tests in memory. Nothing is written into any run folder; what must
lie on a disk lies in a scratch folder and goes with it. The tokens of a corpus are kept in the cache, as by a run.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import RunConfig
from nbllm.errors import RunError
from nbllm.runners import pieces, plan
from nbllm.runners.hub import SETTINGS
from nbllm.runners.initial import FOLDER as INIT
from nbllm.runners.machine import pick_device, share_cores
from nbllm.store.files import link_or_copy, write_json
from nbllm.store.folder import RunFolder, user_folder

if TYPE_CHECKING:
    from nbllm.training.loop import Training

_TRIES = 3
Say = Callable[[str], None]


@contextmanager
def rehearse(config: RunConfig, records: Any = None, say: Say = lambda line: None) -> Iterator[Training]:
    """The training as a run of this configuration would begin it, from fresh weights or from those of `init_from`.

    `records` is an object of the notebook; `say` is told in a few words what goes on. Raises what `train` would.
    """
    config = config.model_copy(deep=True)
    plan.check(config, records)
    with _scratch() as folder:
        plan.fill(folder, config, records)
        yield _assemble(folder, config, say)


@contextmanager
def rehearse_run(run: RunFolder, config: RunConfig, say: Say = lambda line: None) -> Iterator[Training]:
    """The training as it stands at the run's last good checkpoint. RunError where it has none."""
    pieces.require(run, config)
    if not run.checkpoint_steps():
        raise RunError(
            f"Run '{run.name}' has no checkpoint yet ({run.status().state}).",
            f"Wait for it, or ask for one: nbllm.attach('{run.name}').checkpoint()",
        )
    with _scratch() as folder:
        for part in (run.data, run.path / INIT):
            if part.is_dir():
                shutil.copytree(part, folder.path / part.name, copy_function=link_or_copy)
        for path in (*run.path.glob("*tokenizer.json"), *run.path.glob(SETTINGS), run.config, run.environment):
            shutil.copyfile(path, folder.path / path.name)
        step = run.checkpoint_steps()[-1]
        folder.checkpoint(step).mkdir(parents=True)
        write_json(folder.checkpoint(step) / "state.json", {})  # weights are there: those of a parent are not asked for
        training = _assemble(folder, config, say)
        _load(run, training)
        yield training


@contextmanager
def _scratch() -> Iterator[RunFolder]:
    """A folder beside the caches, where the token files can be linked, removed whatever happens. The notebook's own
    random draws go on afterwards as if nothing had been drawn meanwhile."""
    share_cores()
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    where = user_folder("scratch")
    # On Windows a file that is mapped into memory cannot be removed; such a rest is left behind.
    with (
        tempfile.TemporaryDirectory(dir=where, prefix="rehearsal-", ignore_cleanup_errors=True) as place,
        torch.random.fork_rng(devices),
    ):
        yield RunFolder(Path(place))


def _assemble(folder: RunFolder, config: RunConfig, say: Say) -> Training:
    import torch

    from nbllm.runners.assemble import assemble, prepare

    quiet = config.model_copy(deep=True)
    quiet.sample.every = quiet.probe.every = 0
    quiet.train.compile = "off"  # it never pays for so few steps
    report = prepare(folder, quiet, _Speaker(say))  # type: ignore[arg-type]
    say("building the model")
    with contextlib.redirect_stdout(io.StringIO()):  # what a worker says to its log
        return assemble(folder, quiet, torch.device(pick_device(quiet.train.device)), report)


def _load(run: RunFolder, training: Training) -> None:
    """Weights, optimizer and counters of the newest checkpoint that can be read."""
    from nbllm.training import checkpoint
    from nbllm.training.loop import Progress

    fault: Exception | None = None
    for _ in range(_TRIES):  # a run that still trains thins its checkpoints at any moment
        for step in reversed(run.checkpoint_steps()):
            try:
                state, tensors = checkpoint.load_state(run.checkpoint(step))
                checkpoint.load_weights(training.module, run.checkpoint(step))
            except (RunError, OSError) as error:
                fault = fault or error
                continue
            training.optimizers.load(tensors)
            training.progress = Progress.from_state(state)
            return
    raise fault or RunError(f"Run '{run.name}' has no checkpoint.", "Train it first.")


class _Speaker:
    """What `prepare` reports to, in place of a run's reporter."""

    def __init__(self, say: Say):
        self._say = say

    def update(self, message: str = "", progress: float | None = None) -> None:
        """A message, with the share that is done where it is known."""
        if message:
            self._say(message if progress is None else f"{message}, {progress:.0%}")

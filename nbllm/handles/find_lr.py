"""The learning-rate finder as a call, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbllm.config import Layers, RunConfig, resolve
from nbllm.errors import ConfigError, NbllmError, RunError
from nbllm.handles.threads import shared_threads
from nbllm.handles.train import call_layers
from nbllm.registry import VIEWS
from nbllm.runners import plan
from nbllm.runners.machine import share_cores
from nbllm.store.folder import RunFolder, find_run

if TYPE_CHECKING:
    import pandas as pd

    from nbllm.training.lr_finder import Sweep

Say = Callable[[str], None]


class LrFinder:
    """What a learning-rate test saw; it shows itself in a notebook. `lr` is the suggestion, or None."""

    def __init__(self, sweep: Sweep, config: RunConfig, start: str, usage: str):
        self.sweep = sweep
        self.config = config
        self.start = start
        self._usage = usage

    @property
    def lr(self) -> float | None:
        """The suggested peak learning rate, to be given as `lr=`."""
        return self.sweep.lr

    @property
    def table(self) -> pd.DataFrame:
        """A row a step: lr, loss, and the smoothed loss that the suggestion is read off."""
        import pandas as pd

        return pd.DataFrame({"lr": self.sweep.rates, "loss": self.sweep.losses, "smooth": self.sweep.smooth})

    def figure(self) -> Any:
        """The loss against the learning rate (Plotly), with the suggestion marked."""
        return VIEWS.get("lr_finder")(self)

    @property
    def headline(self) -> str:
        """The suggestion in a sentence, and what to type."""
        now = self.config.train.lr
        if self.lr is None:
            return (
                f"The loss fell at no learning rate, so there is none to suggest; {now:g} is set. "
                "Weights that fit this data already have little to gain."
            )
        return f"Learning rate {self.lr:g} ({now:g} is set). Type: {self._usage} {self.lr:g}"

    @property
    def evidence(self) -> list[str]:
        """What the suggestion rests on, a line each."""
        sweep = self.sweep
        if not len(sweep.rates):
            return ["The loss was no number from the start."]
        ended = {
            "exploded": f"it exploded at {sweep.rates[-1]:.2g}",
            "range": f"the test ended at {sweep.rates[-1]:.2g}",
            "time": f"time was up at {sweep.rates[-1]:.2g}",
        }[sweep.ended]
        lines = []
        if sweep.lr is not None:
            lines.append(
                f"From {self.start} the smoothed loss fell from {sweep.smooth[0]:.3g} to {sweep.smooth.min():.3g}, "
                f"nine tenths of it by {sweep.lr:.2g}; it was steepest at {sweep.steepest:.2g} and lowest at "
                f"{sweep.lowest:.2g}; {ended}."
            )
        else:
            lines.append(f"From {self.start} the smoothed loss began at {sweep.smooth[0]:.3g}; {ended}.")
        lines.append(
            f"{len(sweep.rates)} steps in memory, {sweep.seconds:.1f} s, with {self.config.train.optimizer}; "
            "no run was written or changed."
        )
        return lines

    def __repr__(self) -> str:
        return "\n".join([self.headline, *self.evidence])

    def _repr_html_(self) -> str:
        lines = "".join(f'<p style="margin:4px 0;opacity:.75">{escape(line)}</p>' for line in self.evidence)
        picture = VIEWS.get("lr_finder_picture")(self)
        head = f'<p style="margin:4px 0"><strong>{escape(self.headline)}</strong></p>'
        return f'<div class="nbllm-lr-finder">{head}{picture}{lines}</div>'


def find_lr(
    run: str | Path | None = None,
    *,
    data: Any = None,
    model: str | Mapping[str, Any] | None = None,
    size: str | None = None,
    objective: str | None = None,
    config: Mapping[str, Any] | None = None,
    steps: int = 100,
    seconds: float = 60.0,
    **overrides: Any,
) -> LrFinder:
    """Look for a learning rate: train a few steps in memory while it rises, and read the loss.

    Takes the arguments of `train`; or the name of a run, whose latest checkpoint it starts from, and of whose
    configuration only train settings can then be changed. `steps` and `seconds` bound the test; nothing is written but
    the tokens of the corpus to the cache. Raises what `train` would, and ModelError where the time is too short.
    """
    given = {"model": model, "size": size, "objective": objective, **overrides}
    layers, data_object = call_layers(data, config, given)
    return find_lr_layers(run, layers, data_object=data_object, steps=steps, seconds=seconds)


def find_lr_layers(
    run: str | Path | None,
    layers: Layers,
    *,
    data_object: Any = None,
    steps: int = 100,
    seconds: float = 60.0,
    say: Say = lambda line: None,
) -> LrFinder:
    """What `find_lr` and the magic share; `say` is told in a few words what goes on."""
    if steps < 20:
        raise ConfigError(f"steps is {steps}.", "Use 20 or more, as in steps=100.")
    if not seconds > 0:
        raise ConfigError(f"seconds is {seconds:g}.", "Use a number above 0, as in seconds=60.")
    asked = any(layer for _, layer in layers) or data_object is not None
    found = _existing(run, asked)
    share_cores()
    from nbllm.runners.rehearsal import rehearse, rehearse_run
    from nbllm.training.lr_finder import sweep

    def progress(done: int, of: int) -> None:
        say(f"step {done} of {of}")

    if found is None:
        settings = plan.configure(layers)
        start = f"the weights of '{settings.init_from}'" if settings.init_from else "fresh weights"
        usage = f"%llm_train {run or 'NAME'} --lr"
        rehearsal = rehearse(settings, data_object, say)
    else:
        settings = _changed(found, layers, data_object)
        start, usage = f"the last checkpoint of '{found.name}'", _usage(found)
        rehearsal = rehearse_run(found, settings, say)
    with shared_threads(), rehearsal as training:
        seen = sweep(training, steps=steps, seconds=seconds, progress=progress)
    return LrFinder(seen, settings, start, usage)


def _usage(run: RunFolder) -> str:
    """How a run goes on with a rate: the line up to the number."""
    status = run.status()
    if status.live:
        return f"%llm_set {run.name} --lr"
    more = f" --steps {2 * status.step}" if status.state == "finished" else ""
    return f"%llm_train {run.name} --resume{more} --lr"


def _existing(run: str | Path | None, asked: bool) -> RunFolder | None:
    """The run of that name; None for one that is still to be trained, with the settings that were given."""
    if run is None:
        return None
    try:
        return find_run(run)
    except RunError:
        if asked:
            return None
        raise


def _changed(run: RunFolder, layers: Layers, data_object: Any) -> RunConfig:
    """The run's configuration with other train settings. RunError for a change that its weights or data forbid."""
    where = f"config.yaml of '{run.name}'"
    try:
        config = RunConfig.from_yaml(run.config.read_text(encoding="utf-8"), where)
    except OSError:
        raise RunError(f"Run '{run.name}' has no config.yaml.", "The folder is damaged: train it anew.") from None
    if not any(layer for _, layer in layers) and data_object is None:
        return config
    try:
        changed = resolve([(where, config.model_dump()), *layers])
    except NbllmError as error:
        raise type(error)(f"With run '{run.name}': {error.message}", error.advice) from None
    before, after = config.model_dump(), changed.model_dump()
    fixed = [key for key in before if key != "train" and before[key] != after[key]]
    fixed += [f"train.{key}" for key in ("context", "target_context") if before["train"][key] != after["train"][key]]
    if fixed or data_object is not None:
        raise RunError(
            f"Run '{run.name}' is there already, and its {(fixed or ['data'])[0]} cannot change.",
            "Leave its name out to test other settings, or change only settings of train.",
        )
    return changed

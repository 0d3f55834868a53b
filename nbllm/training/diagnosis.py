"""What is wrong with a run, in a line, with the evidence.

    diagnose(history) -> [Finding, ...]     the gravest first; [] for a healthy run

Each question is a pure function of the recorded series and answers one line, or "". `Diverged` is what ends a run that
cannot go on. The limits were set on recorded runs, healthy ones and ones spoiled on purpose (tests/training).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbllm.errors import NbllmError
from nbllm.training.history import History, smoothed

_SMOOTH = 0.95
_SETTLED = 20  # steps before the loss is judged
_STILL = 0.05  # of a train loss: a fall that the draw of the batches alone may be
_REMEDY = "Resume with a third of the learning rate, run.resume(lr=...), or train anew with a longer train.warmup."
_COLLAPSED = 0.1  # nats a sentence: less says nothing of the sentence


class Diverged(NbllmError):
    """The loss is not a number, or has run away. The last checkpoint is good."""

    @classmethod
    def not_a_number(cls, step: int, loss: float) -> Diverged:
        """The loss or the gradient of the step after `step` is not finite."""
        what = "The loss" if not math.isfinite(loss) else "The gradient"
        return cls(
            f"{what} is not a number after step {step}; the last checkpoint is kept.",
            _REMEDY,
        )

    @classmethod
    def ran_away(cls, step: int, loss: float, first: float) -> Diverged:
        """The smoothed loss is far above where it began."""
        return cls(
            f"The loss ran away: {loss:.2f} at step {step}, {first:.2f} at the start; the last checkpoint is kept.",
            _REMEDY,
        )


def runaway(progress: Any, loss: float) -> None:
    """Follow the smoothed loss in `progress`; raise Diverged where it is over twice its start plus 3 nats. The start is
    the lowest loss of five steps: one that runs away at once is no start."""
    step = progress.step
    if step <= 5:
        progress.first_loss = loss if step == 1 else min(loss, progress.first_loss)
    progress.smooth_loss = loss if step == 1 else _SMOOTH * progress.smooth_loss + (1 - _SMOOTH) * loss
    if step > _SETTLED and spoiled(progress, progress.smooth_loss):
        raise Diverged.ran_away(step, progress.smooth_loss, progress.first_loss)


def spoiled(progress: Any, loss: float) -> bool:
    """Whether such a loss tells of weights that are not worth a checkpoint."""
    return loss > 2 * progress.first_loss + 3


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its kind, and a line with the evidence and what to do."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


def diagnose(history: History) -> list[Finding]:
    """All that is wrong with a run by its series, the gravest first."""
    questions: list[tuple[str, Callable[[History], str]]] = [
        ("diverges", diverges),
        ("dead", dead_parts),
        ("collapsed", collapsed),
        ("lr too high", lr_too_high),
        ("jump", held_out_jump),
        ("overfits", overfitting),
        ("lr too low", lr_too_low),
        ("plateau", plateau),
    ]
    answers = [Finding(kind, ask(history)) for kind, ask in questions]
    return [answer for answer in answers if answer.text]


def diverges(history: History) -> str:
    """One line where the train loss has risen far over its lowest and stays there."""
    steps, smooth = history.steps, smoothed(history.losses)
    if len(smooth) < 3 * _SETTLED:
        return ""
    best = int(smooth.argmin())
    recent = smooth[-max(5, len(smooth) // 50) :]
    limit = smooth[best] + max(0.25 * smooth[best], 0.3)
    if recent.min() <= limit or len(smooth) - best < _SETTLED:
        return ""
    return (
        f"train loss has risen from {smooth[best]:.3g} (step {steps[best]:,}) to {smooth[-1]:.3g}: it diverges. "
        f"Lower the learning rate: %llm_set lr={_third(history)}"
    )


def dead_parts(history: History) -> str:
    """One line for layers that have been dead at two measurements."""
    if not history.dead:
        return ""
    names = history.dead[0] + (f" and {len(history.dead) - 1} more" if len(history.dead) > 1 else "")
    return f"dead part: {names}. Train anew with a lower lr, a longer train.warmup, or another model.activation"


def collapsed(history: History) -> str:
    """One line where the posterior of a VAE says nothing of its sentence: KL near 0 at the last three measurements."""
    kl = history.measures.get("kl", np.empty(0))[-3:]
    late = history.budget is None or (len(history.held_steps) and history.held_steps[-1] > 0.2 * history.budget)
    if len(kl) < 3 or not late or not (kl < _COLLAPSED).all():
        return ""
    return (
        f"posterior collapse: KL {kl[-1]:.2g} nats a sentence at step {history.held_steps[-1]:,}, so the latent says "
        "nothing. Raise objective.free_bits, objective.kl_steps or objective.word_dropout"
    )


def lr_too_high(history: History) -> str:
    """One line where the loss rose again when the rate reached its peak, stands still there while the held-out loss is
    thrown about, or fell only when the rate came down."""
    peak = history.peak
    if len(peak) < 3 * _SETTLED:
        return ""
    smooth = smoothed(history.losses)
    middle, end, now = (float(smooth[row]) for row in (peak[len(peak) // 2], peak[-1], len(smooth) - 1))
    said = f"learning rate {_rate(history)} looks too high"
    before = smooth[: peak[0] + 1]
    if len(before) >= 5 and float(smooth[peak[-_SETTLED:]].min()) > float(before.min()) * 1.02 + 0.02:
        return (
            f"{said}: the train loss was {before.min():.3g} while it warmed up and is {end:.3g} at its peak. "
            f"Try {_third(history)}"
        )
    stalls = (middle - end) / abs(middle) if middle else 0.0
    at_peak = history.held_steps <= history.steps[peak[-1]]
    held = history.held[at_peak & (history.held_steps > history.steps[peak[0]])][-5:]
    rises = held[1:] / held[:-1] if len(held) > 1 and (held > 0).all() else np.empty(0)
    if len(held) >= 3 and stalls < 0.015 and rises.max() > 1.025:
        worst = int(rises.argmax())
        return (
            f"{said}: the train loss stands at {end:.3g} and the held-out loss is thrown about "
            f"({held[worst]:.3g} to {held[worst + 1]:.3g} between two measurements). Try {_third(history)}"
        )
    came_down = history.rates[-1] <= 0.5 * np.nanmax(history.rates)
    if came_down and stalls < 0.045 and end - now > 0.1 * abs(end):
        return (
            f"{said}: at its peak the train loss stood at {end:.3g}, and it fell to {now:.3g} only as the rate came "
            f"down. Next time try {_third(history)}"
        )
    return ""


def lr_too_low(history: History) -> str:
    """One line where a fresh network still learns as slowly as at its start, little as it has learned."""
    peak = history.peak
    if not history.fresh or len(peak) < 3 * _SETTLED:
        return ""
    smooth = smoothed(history.losses)
    first = float(smooth[: max(3, len(smooth) // 50)].mean())
    begin, middle, end = (float(smooth[row]) for row in (peak[0], peak[len(peak) // 2], peak[-1]))
    fall, later = first - end, middle - end
    # What any text gives away at once, how often each token stands in it, no table of labels does: less tells there.
    little = 0.3 if "bits_per_byte" in history.measures else 0.05
    if fall > little * abs(first):
        return ""
    held = history.held[history.held_steps <= history.steps[peak[-1]]]
    # The held-out text is the same each time: what falls a little at every measurement, and little in all, crawls.
    crawls = len(held) >= 4 and (np.diff(held) < 0).all() and held[0] - held[-1] < 0.01 * abs(held[0])
    if crawls and "bits_per_byte" in history.measures and fall < _STILL * abs(first):
        return (
            f"learning rate {_rate(history)} looks too low, or there is nothing to learn: the held-out loss has fallen "
            f"only from {held[0]:.4g} to {held[-1]:.4g} in {history.steps[peak[-1]]:,} steps. {_try_more(history)}"
        )
    if min(fall, begin - end) <= 0:
        return ""
    noise = float(np.std(history.losses[peak] - smooth[peak])) / max(5, len(smooth) // 20) ** 0.5
    slowing = later < max(0.35 * (begin - end), 2 * noise) or begin - end < 0.01 * abs(first)
    if fall > 0.01 * abs(first) and slowing:
        return ""
    told = f"the train loss has fallen only from {first:.3g} to {end:.3g} in {history.steps[peak[-1]]:,} steps"
    if fall < 0.01 * abs(first):
        return (
            f"learning rate {_rate(history)} looks too low, or there is nothing to learn: {told}. {_try_more(history)}"
        )
    return (
        f"learning rate {_rate(history)} looks too low: {told}, as slowly at the end as at the start. "
        f"{_try_more(history)}"
    )


def plateau(history: History) -> str:
    """One line where the held-out loss has stood still for four measurements at the peak learning rate."""
    steps, held, peak = history.held_steps, history.held, history.peak
    if len(held) < 7 or not len(peak) or history.steps[peak[-1]] < history.steps[-1]:
        return ""
    before, recent = held[:-4], held[-4:]
    if recent.min() < 0.995 * before.min():
        return ""
    at = int(before.argmin())
    return (
        f"plateau: held-out loss was {before[at]:.4g} at step {steps[at]:,} and is {recent.min():.4g} at best since. "
        f"Lower the learning rate ({_third(history)}), or stop: more steps bring little"
    )


def held_out_jump(history: History) -> str:
    """One line where the last held-out loss is far above the one before, and the train loss is not."""
    steps, held = history.held_steps, history.held
    if len(held) < 3:
        return ""
    last, before = float(held[-1]), float(held[-2])
    usual = float(np.diff(held[:-1]).max(initial=0.0))
    if not last - before > max(0.1 * abs(before), 0.05, 3 * usual):
        return ""
    smooth = smoothed(history.losses)
    then = smooth[np.searchsorted(history.steps, steps[-2]).clip(0, len(smooth) - 1)] if len(smooth) else math.nan
    if len(smooth) and smooth[-1] - then > 0.5 * (last - before):
        return ""
    told = f", while the train loss went from {then:.3g} to {smooth[-1]:.3g}" if len(smooth) else ""
    return (
        f"held-out loss jumped from {before:.3g} (step {steps[-2]:,}) to {last:.3g} (step {steps[-1]:,}){told}. "
        "If the next measurement is no better, resume with a lower learning rate"
    )


def overfitting(history: History) -> str:
    """As `overfits`, where the train loss has fallen meanwhile: what rises with it is no overfitting."""
    said = overfits(history.held_steps.tolist(), history.held.tolist())
    if not said or not len(history.losses):
        return said
    smooth = smoothed(history.losses)
    best = int(history.held_steps[int(history.held.argmin())])
    then = float(smooth[np.searchsorted(history.steps, best).clip(0, len(smooth) - 1)])
    if smooth[-1] > 0.99 * then:
        return ""
    return (
        f"{said}, for the train loss fell from {then:.3g} to {smooth[-1]:.3g}. Stop, and load step {best:,}; "
        "or more text, a smaller model, model.dropout"
    )


def overfits(steps: list[int], losses: list[float]) -> str:
    """One line where the held-out loss has risen for three measurements and by 2 % since its lowest; else nothing."""
    if len(losses) < 4:
        return ""
    best = min(range(len(losses)), key=losses.__getitem__)
    since = len(losses) - 1 - best
    if since >= 3 and losses[-1] > 1.02 * losses[best]:
        rise = f"{losses[best]:.3f} to {losses[-1]:.3f}"
        return f"held-out loss has risen since step {steps[best]:,} ({rise}): likely overfitting"
    return ""


def _rate(history: History) -> str:
    return f"{np.nanmax(history.rates):.2g}"


def _third(history: History) -> str:
    return f"{np.nanmax(history.rates) / 3:.1g}" if len(history.rates) else "a third of it"


def _try_more(history: History) -> str:
    return f"Try {np.nanmax(history.rates) * 10:.1g}, or look: %llm_lr_find"

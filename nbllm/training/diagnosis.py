"""What is wrong with a run, in a line, with the evidence."""

from __future__ import annotations

import math
from typing import Any

from nbllm.errors import NbllmError

_SMOOTH = 0.95
_SETTLED = 20  # steps before the loss is judged
_REMEDY = "Resume with a third of the learning rate, run.resume(lr=...), or train anew with a longer train.warmup."


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
    """Follow the smoothed loss in `progress`; raise Diverged where it is over twice its start plus 3 nats."""
    step = progress.step
    if step <= 5:
        progress.first_loss += (loss - progress.first_loss) / step
    progress.smooth_loss = loss if step == 1 else _SMOOTH * progress.smooth_loss + (1 - _SMOOTH) * loss
    if step > _SETTLED and progress.smooth_loss > 2 * progress.first_loss + 3:
        raise Diverged.ran_away(step, progress.smooth_loss, progress.first_loss)


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

"""What a model learns, an objective a file: from rows of text to examples, from examples to batches, from a batch to a
loss.

An objective of your own, written in a notebook cell, trains like a built-in one (see `base.Objective`):

    @nbllm.objectives.register("mine")
    class Mine(NextToken): ...
"""

from __future__ import annotations

from nbllm.registry import OBJECTIVES

__all__ = ["register"]

register = OBJECTIVES.register

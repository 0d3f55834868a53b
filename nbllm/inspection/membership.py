"""Membership inference: can it be told from a model which texts it learned from?

The attack of Yeom et al. 2018 ("Privacy Risk in Machine Learning") calls a text a member where the model's loss on it
is low. A text may be easy for any model, so the loss is also taken beside what the text holds by zlib (Carlini et al.
2021, "Extracting Training Data from Large Language Models"), by its least likely tokens alone (Shi et al. 2024, Min-K%)
and beside the loss of a reference model, the simplest of what LiRA does (Carlini et al. 2022, "Membership Inference
Attacks From First Principles"), who also say why the rate of true finds at few false ones counts more than the AUC.
zlib without any model is the control: where it tells both texts apart, they differ by themselves (Das et al. 2024,
"Blind Baselines Beat Membership Inference Attacks for Foundation Models").

N texts, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from nbllm.errors import DataError
from nbllm.generation.begin import device_of
from nbllm.inspection.chance import wilson
from nbllm.inspection.finding import Diagram, Finding, Series
from nbllm.inspection.next_tokens import batches, goes_on, logits_of
from nbllm.models.evaluating import evaluating
from nbllm.objectives.base import to_device

FEWEST = 20  # texts of either kind
LEAST_LIKELY = 0.2  # share of a text's tokens
FALSE_FINDS = 0.01
_DRAWS = 4  # of what an objective hides
_CONTROL = "zlib alone, no model"


@dataclass(frozen=True)
class Scored:
    """What is known of N texts: mean loss in nats a token, tokens, bytes, bytes after zlib, and of language models the
    mean of ln p over the least likely tokens."""

    losses: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray
    packed: np.ndarray
    unlikely: np.ndarray | None = None


def score_windows(module: nn.Module, objective: Any, windows_NT: np.ndarray) -> Scored:
    """Of windows of tokens (N, context + 1)."""
    texts = objective.task.tokenizer.decode_batch(windows_NT.tolist())
    if not goes_on(module, objective):
        # The same places are hidden in members and in others, so that chance is the same for both.
        losses = _losses(module, objective, [row[None] for row in windows_NT], _DRAWS)
        return _scored(losses, np.full(len(windows_NT), windows_NT.shape[1]), texts)
    logs = np.zeros((len(windows_NT), windows_NT.shape[1] - 1))
    with torch.inference_mode(), evaluating(module):
        for part, tokens_BT in batches(module, windows_NT):
            logs_BTV = logits_of(module, tokens_BT[:, :-1]).log_softmax(-1)
            logs[part] = logs_BTV.gather(-1, tokens_BT[:, 1:, None])[..., 0].double().cpu().numpy()
    few = max(1, round(LEAST_LIKELY * logs.shape[1]))
    unlikely = np.sort(logs, axis=1)[:, :few].mean(1)
    return _scored(-logs.mean(1), np.full(len(logs), logs.shape[1]), texts, unlikely)


def score_examples(module: nn.Module, objective: Any, examples: Sequence[Any]) -> Scored:
    """Of examples of rows or sentences."""
    texts = [" ".join(objective.row(example).values()) for example in examples]
    tokens = np.array([sum(len(part) for part in example.values()) for example in examples])
    return _scored(_losses(module, objective, [[example] for example in examples], 1), tokens, texts)


def membership(
    members: Scored,
    others: Scored,
    reference: tuple[Scored, Scored] | None = None,
    *,
    unit: str = "stretches",
    size: str = "",
    reference_name: str = "",
    epochs: float = math.nan,
    about: str = "model",
    step: int | None = None,
) -> Finding:
    """How well members (texts that the model learned from) are told from others (held-out texts), by each attack.

    Facts: auc of the loss with low, high and p; tpr at 1 % false finds with tpr_low, tpr_high; best and best_auc;
    control (the AUC of zlib alone) and control_p. Raises DataError where there are too few texts.
    """
    import pandas as pd

    if min(len(members.losses), len(others.losses)) < FEWEST:
        raise DataError(
            f"{len(members.losses)} and {len(others.losses)} {unit} are too few to tell anything.",
            f"It takes {FEWEST} of either kind: a longer text, or a larger data.held_out.",
        )
    attacks: dict[str, Callable[[Scored], np.ndarray]] = {
        "loss": lambda each: -each.losses,
        "loss by zlib": lambda each: -each.losses * each.tokens / each.packed,
    }
    if members.unlikely is not None and others.unlikely is not None:
        attacks["least likely tokens"] = _unlikely
    scores = {name: (score(members), score(others)) for name, score in attacks.items()}
    if reference is not None:
        first, second = reference
        scores[f"loss beside {reference_name}"] = (first.losses - members.losses, second.losses - others.losses)
    scores[_CONTROL] = (-members.packed / members.bytes, -others.packed / others.bytes)
    rows = []
    for name, (inside, outside) in scores.items():
        area, low, high, p = auc(inside, outside)
        found, rate, least, most = at_few_false(inside, outside)
        rows.append(
            {"attack": name, "AUC": area, "low": low, "high": high, "p": p, "found": found,
             f"share found at {FALSE_FINDS:.0%} false": rate, "from": least, "to": most}
        )  # fmt: skip
    table = pd.DataFrame(rows).set_index("attack")
    real = table.drop(index=_CONTROL)
    column = f"share found at {FALSE_FINDS:.0%} false"
    loss, control = table.loc["loss"], table.loc[_CONTROL]
    facts: dict[str, Any] = {
        "auc": float(loss["AUC"]), "low": float(loss["low"]), "high": float(loss["high"]), "p": float(loss["p"]),
        "tpr": float(loss[column]), "tpr_low": float(loss["from"]), "tpr_high": float(loss["to"]),
        "best": str(real["AUC"].idxmax()), "best_auc": float(real["AUC"].max()),
        "control": float(control["AUC"]), "control_p": float(control["p"]),
        "members": len(members.losses), "others": len(others.losses), "epochs": epochs,
    }  # fmt: skip
    return Finding(
        "membership", "Membership: what was learned from, told by the loss", about, _says(facts, unit, size),
        _limits(facts, unit), table, _diagram(scores), facts, step=step,
    )  # fmt: skip


def auc(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float, float, float]:
    """The share of pairs in which the member scores higher (ties count half), its 95 % interval (DeLong et al. 1988),
    and the two-sided p of an even draw (Mann and Whitney 1947)."""
    m, n = len(inside), len(outside)
    ordered, other = np.sort(outside), np.sort(inside)
    below = (np.searchsorted(ordered, inside, "left") + np.searchsorted(ordered, inside, "right")) / (2 * n)
    above = 1 - (np.searchsorted(other, outside, "left") + np.searchsorted(other, outside, "right")) / (2 * m)
    area = float(below.mean())
    error = math.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n + 1 / (12 * m * n))
    z = abs(area - 0.5) / math.sqrt((m + n + 1) / (12 * m * n))
    return area, max(0.0, area - 1.96 * error), min(1.0, area + 1.96 * error), math.erfc(z / math.sqrt(2))


def at_few_false(inside: np.ndarray, outside: np.ndarray) -> tuple[int, float, float, float]:
    """Members found where at most 1 % of the others score as high: how many, their share, and its 95 % interval."""
    limit = np.sort(outside)[::-1][int(FALSE_FINDS * len(outside))]
    found = int((inside > limit).sum())
    return found, found / len(inside), *wilson(found, len(inside))


def _unlikely(each: Scored) -> np.ndarray:
    assert each.unlikely is not None
    return each.unlikely


def _scored(losses: np.ndarray, tokens: np.ndarray, texts: Sequence[str], unlikely: np.ndarray | None = None) -> Scored:
    coded = [text.encode("utf-8", "replace") for text in texts]
    sizes = np.array([max(1, len(code)) for code in coded], dtype=float)
    packed = np.array([len(zlib.compress(code, 9)) for code in coded], dtype=float)
    return Scored(losses, tokens, sizes, packed, unlikely)


def _losses(module: nn.Module, objective: Any, items: Sequence[Any], draws: int) -> np.ndarray:
    """(N,) the mean loss of each item alone over some draws of what the objective draws."""
    device = device_of(module)
    found = np.zeros(len(items))
    with torch.inference_mode(), evaluating(module):
        for number, item in enumerate(items):
            for draw in range(draws):
                batch = to_device(objective.collate(item, np.random.default_rng((number, draw))), device)
                found[number] += float(objective.loss(module, batch, 0)[0]) / draws
    return found


def _says(facts: dict[str, Any], unit: str, size: str) -> str:
    first = (
        f"By the loss alone {unit} of the training text{size} are told from held-out ones with an AUC of "
        f"{facts['auc']:.3f} (95 % interval {facts['low']:.3f} to {facts['high']:.3f}, p = {facts['p']:.2g}; 0.5 is "
        f"a coin, 1 is certain), over {facts['members']:,} and {facts['others']:,}."
    )
    second = (
        f"At {FALSE_FINDS:.0%} false finds {facts['tpr']:.1%} of them are found ({facts['tpr_low']:.1%} to "
        f"{facts['tpr_high']:.1%}); by chance it were {FALSE_FINDS:.0%}."
    )
    lines = [first, second]
    if facts["best"] != "loss":
        lines.append(f"The best attack is {facts['best']}: {facts['best_auc']:.3f}.")
    if math.isfinite(facts["epochs"]):
        lines.append(f"The model has gone over the text {facts['epochs']:.2g} times.")
    if facts["control_p"] < 0.01:
        lines.append(
            f"But zlib without any model tells them apart too ({facts['control']:.3f}): the texts differ by "
            "themselves, so this is no clean measure. data.split: document makes both alike."
        )
    elif facts["p"] >= 0.01:
        lines.append("Chance explains this: the loss does not tell who was learned from.")
    else:
        lines.append(
            f"zlib without any model does not tell them apart ({facts['control']:.3f}): it is the model that gives "
            "away what it learned from."
        )
    return " ".join(lines)


def _limits(facts: dict[str, Any], unit: str) -> str:
    return (
        f"These attacks look at one loss a text; stronger ones train many models of the same kind (LiRA) and find "
        f"more, so an AUC near 0.5 is no proof of privacy. An average over {unit} says little of the few that are "
        "found with certainty, as texts that stand out or are repeated. A high AUC may also come from held-out text "
        "that is of another kind than the training text; the control by zlib sees only coarse differences. It says "
        "whether membership can be told, not whether the text can be got out of the model: that is memorization."
    )


def _diagram(scores: dict[str, tuple[np.ndarray, np.ndarray]]) -> Diagram:
    """Receiver operating characteristic: the share of members found over the share of false finds, from the few on."""
    fewest = 1 / min(len(outside) for _, outside in scores.values())
    grid = np.unique(np.append(np.geomspace(max(fewest, 1e-4), 1.0, 40), FALSE_FINDS))
    series = []
    for name, (inside, outside) in scores.items():
        ordered = np.sort(outside)[::-1]
        limits = ordered[np.minimum((grid * len(ordered)).astype(int), len(ordered) - 1)]
        shares = [(inside > limit).mean() if part < 1 else 1.0 for limit, part in zip(limits, grid, strict=True)]
        series.append(Series(name, grid.tolist(), [float(share) for share in shares]))
    series.append(Series("chance", grid.tolist(), grid.tolist()))
    return Diagram("lines", series, "share of held-out texts taken for members", "share of members found", log=True)

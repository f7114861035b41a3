"""The numbers of an epoch, flat and by name, as they are logged and kept in history.json."""

import math
from typing import TypeAlias

from seawall.losses.objective import Objective
from seawall.train.checkpoint import Progress
from seawall.train.validate import TargetScore, Validation

Judged: TypeAlias = tuple[Validation, Validation | None]
"""On valid, and on as many dates of train, where that was asked for."""


def epoch_numbers(
    targets: tuple[str, ...],
    watched: str,
    objective: Objective,
    progress: Progress,
    judged: Judged,
    learning_rate: float,
) -> dict[str, float | None]:
    """List losses and scores; undefined ones are None.

    Of several targets, each has its scores under its name, and the plain names are those of the watched one. Of a loss
    of several terms, each has its mean over train and over valid, without its weight.
    """
    validation, learnt = judged
    score = validation.targets[targets.index(watched)]
    in_sample = None if learnt is None else learnt.targets[targets.index(watched)]
    return {
        "epoch": progress.epoch,
        "train_loss": objective.mean(progress.totals, progress.counts) if progress.totals else None,
        "valid_loss": validation.loss,
        "valid_ic": _or_none(score.ic),
        "valid_rank_ic": _or_none(score.rank_ic),
        "train_ic": None if in_sample is None else _or_none(in_sample.ic),
        "train_rank_ic": None if in_sample is None else _or_none(in_sample.rank_ic),
        "learning_rate": learning_rate,
        "seconds": round(progress.epoch_seconds, 3),
        "loader_wait_seconds": round(progress.loader_wait_seconds, 4),
        **{f"valid_{name}": _or_none(getattr(score, name)) for name in ERRORS},
        **_of_targets(targets, validation.targets),
        **_of_terms(objective, progress, validation),
    }


ERRORS = ("mse", "mae", "r2", "pearson", "ccc")


def _of_targets(names: tuple[str, ...], scores: tuple[TargetScore, ...]) -> dict[str, float | None]:
    if len(names) == 1:
        return {}
    return {
        f"valid_{what}_{name}": _or_none(getattr(score, what))
        for name, score in zip(names, scores, strict=True)
        for what in ("loss", "ic", "rank_ic", *ERRORS)
    }


def _of_terms(objective: Objective, progress: Progress, validation: Validation) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    if objective.by_date:
        found = {"train_flat_dates": progress.num_flat, "valid_flat_dates": validation.num_flat}
    if len(objective.terms) == 1 or not progress.totals:
        return found
    for number, term in enumerate(objective.terms):
        total, count = progress.totals[number], progress.counts[number]
        found[f"train_term_{number}_{term.name}"] = total / count if count else None
        found[f"valid_term_{number}_{term.name}"] = _or_none(validation.terms[number])
    return found


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value

"""Evaluate, read like the algorithm: each date is judged as it comes by, then summarised per fold and overall."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.budget.heartbeat import Beat, silent
from seawall.errors import FormatError
from seawall.evaluate.beside import add_beside
from seawall.evaluate.by_entity import judge_entities
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.daily import Beside, DailyTable
from seawall.evaluate.groups import Groups
from seawall.evaluate.horizons import RealisedReturns
from seawall.evaluate.in_sample import add_in_sample
from seawall.evaluate.inputs import Inputs, open_inputs
from seawall.evaluate.record import Paths, headline, judged_record
from seawall.metrics import PointwiseMoments
from seawall.stores.atomic import write_json
from seawall.stores.predictions import PredictionBatch, time_type


def evaluate(
    panel: Path, predictions: Path, output: Path, config: EvaluateConfig, *, beat: Beat = silent
) -> dict[str, Any]:
    """Judge all predictions of a run against the panel's own float64 targets.

    Writes ``metrics.json`` and ``daily.parquet`` (FORMAT.md section 5). Of combinatorial folds each path is judged on
    its own, in ``daily_paths.parquet`` too; ``daily.parquet`` and the overall series are the mean of the paths date by
    date, so that a date counts once. Seeds and baselines beside the predictions are judged on the same rows, one after
    another; with ``config.by_entity`` errors of each entity go to ``entities.parquet``. Of several targets each is
    judged by itself: the numbers of ``config.target`` come first, those of the others are in ``other_targets`` and
    ``daily_target_NN.parquet``. Memory is one row group of predictions, the largest date, and some numbers a date while
    they are summarised (of combinatorial folds, one row per date and path). A date's row depends on that date's
    predictions and targets alone.

    Parameters
    ----------
    panel, predictions
        The ``NAME.panel`` and ``predictions/`` folders.
    output
        Folder of the two files, made where missing.
    beat
        Told how many predictions are judged.

    Returns
    -------
    dict
        Headline numbers, None where undefined, and ``warnings`` in words.

    Raises
    ------
    FormatError, ResumeError, ConfigError
        Where the inputs are damaged or do not belong together.
    """
    inputs = open_inputs(panel, predictions, config.target)
    output.mkdir(parents=True, exist_ok=True)
    for stale in (
        output / "daily_paths.parquet",
        *output.glob("daily_*target_*.parquet"),
        *output.glob("entities*.parquet"),
    ):
        stale.unlink(missing_ok=True)
    with _aside(output):
        record = _judge_target(inputs, config, output, "", beat)
        others = []
        for number, target in enumerate(inputs.store.targets):
            if target != inputs.store.target:
                other = open_inputs(panel, predictions, target)
                others.append(_judge_target(other, config, output, f"_target_{number:02d}", beat))
    beat("write", 0, 1)
    if others:
        record["other_targets"] = others
    write_json(output / "metrics.json", record)
    beat("write", 1, 1)
    return headline(record)


ASIDE = ".daily.tmp"
"""Folder of the dates set aside; always the same, so that what a kill left is found and removed."""


@contextmanager
def _aside(output: Path) -> Iterator[None]:
    shutil.rmtree(output / ASIDE, ignore_errors=True)
    (output / ASIDE).mkdir()
    try:
        yield
    finally:
        shutil.rmtree(output / ASIDE, ignore_errors=True)


def _judge_target(inputs: Inputs, config: EvaluateConfig, output: Path, ending: str, beat: Beat) -> dict[str, Any]:
    """Judge the predictions of one target, write the numbers of each date, and give the record."""
    numbers: list[int | None] = [*range(inputs.store.num_paths)] or [None]
    judged = [_judge(inputs, config, number, output / ASIDE, beat) for number in numbers]
    num_read, num_rows = sum(part.num_read for part in judged), inputs.store.num_rows
    if num_read != num_rows:
        where = str(inputs.store.folder)
        raise FormatError(where, "wrong number of predictions", found=f"{num_read:,}", allowed=f"{num_rows:,}")
    paths = _paths(judged) if inputs.store.num_paths else None
    daily = judged[0].daily if paths is None else DailyTable.averaged([part.daily for part in judged])
    pooled = judged[0].pooled if paths is None else _merged(judged)
    spec = inputs.spec
    record = judged_record(spec.name, spec.horizon_periods, config, daily, pooled, kind=spec.kind, paths=paths)
    if config.in_sample:
        add_in_sample(record, inputs.store.folder)
    add_beside(record, inputs, config, beat)
    if config.by_entity:
        errors = judge_entities(inputs, beat)
        record["overall"]["by_entity"] = errors.summary()
        errors.write(output / f"entities{ending}.parquet")
    daily.write(output / f"daily{ending}.parquet", time_type(inputs.panel))
    if paths is not None:
        paths.daily.write(output / f"daily_paths{ending}.parquet", time_type(inputs.panel), paths.numbers)
    return record


@dataclass(frozen=True, slots=True)
class _Judged:
    """Numbers of each date, moments of each fold, and how many predictions they are of."""

    daily: DailyTable
    pooled: dict[int, PointwiseMoments]
    num_read: int


def _judge(inputs: Inputs, config: EvaluateConfig, path: int | None, aside: Path, beat: Beat) -> _Judged:
    """Judge all predictions, or those of one path."""
    file = aside / f"{0 if path is None else path}.rows"
    realised = RealisedReturns.of(inputs, config.decay_horizons)
    beside = Beside(realised.horizons if realised else (), Groups.of(inputs.panel, config.group))
    daily = DailyTable(config, file, is_dated=inputs.panel.calendar_kind == "timestamp", beside=beside)
    pooled: dict[int, PointwiseMoments] = {}
    if path is None:
        pooled = {int(manifest["fold"]): PointwiseMoments() for manifest in inputs.store.manifests}
    num_read, last_date = 0, -1
    substep = "dates" if path is None else f"dates of path {path}"
    for date, names in inputs.store.dates(inputs.panel, path=path):
        fold = _fold_of(date, names, last_date, inputs)
        last_date = date
        targets, entities = inputs.targets(names.row), inputs.panel.entity_of(names.row)
        earned = realised(names.row, entities) if realised else None
        groups, time = beside.groups(entities), int(inputs.panel.calendar[date])
        daily.append(time, fold, entities, names.prediction, targets, earned, groups)
        pooled.setdefault(fold, PointwiseMoments()).update(names.prediction, targets)
        num_read += len(names.row)
        beat(substep, num_read, inputs.store.num_rows // max(1, inputs.store.num_paths))
    return _Judged(daily, pooled, num_read)


def _merged(judged: Sequence[_Judged]) -> dict[int, PointwiseMoments]:
    """Put the moments of each fold together; its test groups belong to different paths."""
    pooled: dict[int, PointwiseMoments] = {}
    for part in judged:
        for fold, moments in part.pooled.items():
            pooled.setdefault(fold, PointwiseMoments()).merge(moments)
    return pooled


def _paths(judged: Sequence[_Judged]) -> Paths:
    """Put the paths together, each beside its moments."""
    tables = [part.daily for part in judged]
    if any(not np.array_equal(table.column("time"), tables[0].column("time")) for table in tables):
        raise FormatError("predictions", "paths predict different dates", do="Predict again.")
    numbers = np.repeat(np.arange(len(tables)), [len(table.ic) for table in tables])
    pooled = {}
    for number, part in enumerate(judged):
        pooled[number] = PointwiseMoments()
        for moments in part.pooled.values():
            pooled[number].merge(moments)
    return Paths(DailyTable.joined(tables), numbers, pooled)


def _fold_of(date: int, names: PredictionBatch, last_date: int, inputs: Inputs) -> int:
    """Give the fold of a date after checking what every number rests on: each (time, entity) once, in order."""
    fold = int(names.fold[0])
    if date <= last_date or (np.diff(names.row) <= 0).any() or (names.fold != fold).any():
        raise FormatError(
            str(inputs.store.folder),
            "predictions are out of order, repeated, or of two folds on one date",
            found=f"date {inputs.panel.times_as_datetime()[date]}",
            allowed="each (time, entity) once, sorted, test segments of folds disjoint",
            do="Predict again.",
        )
    return fold

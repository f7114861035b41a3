"""When targets are known, counted again, and whether anything learnt from reaches into the next segment."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Bool, Int64
from seawall.errors import FormatError
from seawall.pipeline.leak.verdict import Check, judged, not_run
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig
from seawall.windows.folds import Fold

BLOCK_ROWS = 65_536

ACROSS = "combinatorial folds learn from what came after their tests too: only walk-forward folds can be held to this"


def check_target_ends(panel: Panel) -> Check:
    """Count rows forward: a target over h rows of a suspended entity is known weeks later than h dates.

    Built without the code that wrote the store, so that stores of other writers are judged as well.
    """
    early: list[str] = []
    for number, spec in enumerate(panel.target_specs):
        periods, count, first = spec.horizon_periods + spec.delay_periods, 0, -1
        for rows in _blocks(panel.shape.num_rows):
            end_row = rows + periods
            last_row = panel.offsets[panel.entity_of(rows) + 1] - 1
            true_end = panel.time_index[np.minimum(end_row, panel.shape.num_rows - 1)]
            recorded = panel.target_end[rows][:, number]
            wrong = (recorded >= 0) & ((end_row > last_row) | (recorded < true_end))
            count += int(wrong.sum())
            first = int(rows[np.argmax(wrong)]) if first < 0 and wrong.any() else first
        if count:
            early.append(
                f"target {spec.name}: {count:,} rows say it is known earlier than {periods} rows of the entity ahead,"
                f" first {_shown(panel, first)}"
            )
    return judged("target ends", "each target is known no earlier than its rows say", leaks=early)


def check_borders(panel: Panel, folder: Path, config: TrainConfig) -> Check:
    """Count what may be learnt from, segment by segment, and compare it with what folds and models say they used."""
    folds_path = folder / "folds.json"
    if not folds_path.is_file():
        return not_run("borders", "no folds yet: run seawall train first")
    if not walks_forward(folds_path):
        return not_run("borders", ACROSS)
    leaks: list[str] = []
    tests: list[tuple[int, int]] = []
    for record, fold in read_folds(folds_path):
        leaks += _order_faults(fold, tests)
        tests.append(fold.test)
        used = _used(folder, fold.index, record)
        edges = {"train": (fold.train, fold.valid[0]), "valid": (fold.valid, fold.test[0])}
        for name, (segment, next_start) in edges.items():
            allowed = _count_known(panel, segment, next_start - config.folds.embargo_periods, config)
            if used[name] > allowed:
                leaks.append(
                    f"fold {fold.index}: {used[name]:,} samples in {name}, {allowed:,} have a target known before the"
                    " next segment starts"
                )
    return judged("borders", f"no target of {len(tests)} folds ends in a later segment", leaks=leaks)


def read_folds(path: Path) -> Iterator[tuple[dict[str, Any], Fold]]:
    """Read all folds of folds.json with their records.

    Raises
    ------
    FormatError
        Where the file cannot be read as folds.json.
    """
    try:
        for record in json.loads(path.read_text(encoding="utf-8"))["folds"]:
            train, valid, test = (
                (int(record[name]["start"]), int(record[name]["stop"])) for name in ("train", "valid", "test")
            )
            yield record, Fold(int(record["fold"]), train, valid, test)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FormatError(
            str(path), "not a list of folds", found=str(error), do="Run the folds stage again."
        ) from error


def walks_forward(path: Path) -> bool:
    """Tell folds whose train comes before their test from those cut out of the middle of the calendar."""
    return not any(record["train"].get("ranges") for record, _ in read_folds(path))


def _order_faults(fold: Fold, tests: list[tuple[int, int]]) -> list[str]:
    faults = []
    if fold.train[1] > fold.valid[0] or fold.valid[1] > fold.test[0]:
        faults.append(f"fold {fold.index}: a segment begins before the one before it ends")
    if any(fold.test[0] < stop and start < fold.test[1] for start, stop in tests):
        faults.append(f"fold {fold.index}: its test segment overlaps that of an earlier fold")
    return faults


def _used(folder: Path, fold: int, record: dict[str, Any]) -> dict[str, int]:
    """Give the samples of train and valid that were learnt from: the model's own word, else that of the folds."""
    used = {name: int(record[name]["num_samples"]) for name in ("train", "valid")}
    places = (folder / "models" / f"fold_{fold:02d}").glob("**/model.json")
    for path in sorted(places):
        model = json.loads(path.read_text(encoding="utf-8"))
        used = {name: max(used[name], int(model.get(f"num_{name}_samples", 0))) for name in used}
    return used


def _count_known(panel: Panel, segment: tuple[int, int], known_before: int, config: TrainConfig) -> int:
    """Count rows of a segment with a whole lookback, in the universe, with a target, all of them known in time."""
    targets, count = [panel.column_index("targets", target) for target in config.target_names], 0
    for rows in _blocks(panel.shape.num_rows):
        entities = panel.entity_of(rows)
        within = (panel.time_index[rows] >= segment[0]) & (panel.time_index[rows] < segment[1])
        within &= rows - panel.offsets[entities] >= config.lookback_periods - 1
        late, has_value = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        for target in targets:
            end_row = rows + panel.target_specs[target].horizon_periods + panel.target_specs[target].delay_periods
            inside: Bool = end_row < panel.offsets[entities + 1]
            late |= inside & (panel.time_index[np.minimum(end_row, panel.shape.num_rows - 1)] >= known_before)
            has_value |= inside & np.isfinite(panel.targets[rows, target]) & (panel.target_end[rows, target] >= 0)
        count += int((within & ~late & has_value & panel.universe[rows]).sum())
    return count


def _blocks(num_rows: int) -> Iterator[Int64]:
    for start in range(0, num_rows, BLOCK_ROWS):
        yield np.arange(start, min(start + BLOCK_ROWS, num_rows))


def _shown(panel: Panel, row: int) -> str:
    entity = panel.entities[int(panel.entity_of(np.array([row]))[0])]
    return f"{entity} at {panel.times_as_datetime()[int(panel.time_index[row])]}"

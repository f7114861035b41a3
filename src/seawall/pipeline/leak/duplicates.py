"""The same window in train and in test: a question whose answer was learnt by heart."""

from collections.abc import Iterator

import numpy as np

from seawall.arrays import AnyArray, Bool, Int64
from seawall.pipeline.leak.verdict import Check, judged, not_run
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig
from seawall.windows.folds import Fold

BLOCK_ROWS = 65_536

UNIQUE_SHARE = 0.9
"""Below this share of unique rows features are codes or counts, and windows repeat by nature."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_STEPS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def check_duplicates(panel: Panel, folds: list[Fold], config: TrainConfig, *, max_hashes: int) -> Check:
    """Compare every window of test with every window of train by a hash of its bytes, fold by fold.

    Where there are more rows than ``max_hashes``, windows are chosen by their hash, so the same content is chosen on
    both sides. A window counts as a leak where its target is the same as well. Memory is 16 bytes a hash.
    """
    if not folds:
        return not_run("duplicates", "no walk-forward folds yet: run seawall train first")
    leaks: list[str] = []
    checks: list[str] = []
    every = -(-panel.shape.num_rows // max_hashes)
    windows, answers, rows = _hashes(panel, config, every)
    if len(windows) == 0:
        return not_run("duplicates", "no whole window")
    if len(np.unique(windows)) < UNIQUE_SHARE * len(windows):
        repeated = 1.0 - len(np.unique(windows)) / len(windows)
        return not_run("duplicates", f"{repeated:.0%} of all windows repeat: features are codes, or stand still")
    dates = panel.time_index[rows]
    checks += _twins(panel, windows, dates, rows)
    for fold in folds:
        learnt, asked = _within(dates, fold.train), _within(dates, fold.test)
        both = asked & np.isin(windows, windows[learnt])
        same_answer = both & np.isin(answers, answers[learnt])
        if same_answer.any():
            first = rows[np.argmax(same_answer)]
            leaks.append(
                f"fold {fold.index}: {int(same_answer.sum()):,} windows of test are in train with the same target, "
                f"first {_shown(panel, int(first))}"
            )
        elif both.any():
            checks.append(f"fold {fold.index}: {int(both.sum()):,} windows of test are in train with another target")
    looked = "every window" if every == 1 else f"one window in {every:,}"
    return judged("duplicates", f"no window of test is in train ({looked} compared)", leaks=leaks, checks=checks)


def _hashes(panel: Panel, config: TrainConfig, every: int) -> tuple[AnyArray, AnyArray, Int64]:
    """Hash windows alone, and windows with their target; give them with the rows they end at."""
    names = config.features or tuple(panel.names("features"))
    columns = [panel.column_index("features", name) for name in names]
    target = panel.column_index("targets", config.target)
    lookback = config.lookback_periods
    empty = np.empty(0, np.uint64)
    windows, answers, kept = [empty], [empty], [np.empty(0, np.int64)]
    for rows in _blocks(panel, lookback):
        block = np.ascontiguousarray(np.asarray(panel.features[rows[0] : rows[-1] + 1])[:, columns], np.float32)
        hashes, moves = _window_hashes(_row_hashes(block.view(np.uint32)), lookback)
        ends = rows[lookback - 1 :]
        whole: Bool = ends - panel.offsets[panel.entity_of(ends)] >= lookback - 1
        whole &= ~np.all(np.isnan(block[lookback - 1 :]), axis=1) & (moves | (lookback == 1))
        chosen = whole & (hashes % np.uint64(every) == 0)
        answer = np.ascontiguousarray(panel.targets[ends][:, target]).view(np.uint32).astype(np.uint64)
        windows.append(hashes[chosen])
        answers.append(_mixed(hashes + answer * _FACTOR)[chosen])
        kept.append(ends[chosen])
    return np.concatenate(windows), np.concatenate(answers), np.concatenate(kept)


def _window_hashes(of_rows: AnyArray, lookback: int) -> tuple[AnyArray, Bool]:
    """Hash every run of ``lookback`` rows; tell which do not stand still."""
    num_windows = max(len(of_rows) - lookback + 1, 0)
    total, moves = np.zeros(num_windows, np.uint64), np.zeros(num_windows, bool)
    for step in range(lookback):
        part = of_rows[step : step + num_windows]
        total = total * _FACTOR + part
        moves |= part != of_rows[:num_windows]
    return _mixed(total), moves


def _blocks(panel: Panel, lookback: int) -> Iterator[Int64]:
    """Give row ranges that overlap by a lookback less one, so that every window lies whole in one."""
    for start in range(0, panel.shape.num_rows, BLOCK_ROWS):
        yield np.arange(max(0, start - lookback + 1), min(start + BLOCK_ROWS, panel.shape.num_rows))


def _row_hashes(bits_NF: AnyArray) -> AnyArray:
    total = np.zeros(len(bits_NF), np.uint64)
    for column in bits_NF.T:
        total = _mixed(total * _FACTOR + column)
    return total


def _mixed(values: AnyArray) -> AnyArray:
    """Spread every bit over all others (the finalizer of splitmix64)."""
    mixed = values + _FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _STEPS[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _STEPS[1]
    spread: AnyArray = mixed ^ (mixed >> np.uint64(31))
    return spread


def _twins(panel: Panel, windows: AnyArray, dates: AnyArray, rows: Int64) -> list[str]:
    """Find names whose windows are another name's on the same dates."""
    order = np.lexsort((windows, dates))
    same = (np.diff(windows[order]) == 0) & (np.diff(dates[order]) == 0)
    if same.sum() < 5:
        return []
    first = np.flatnonzero(same)[0]
    pair = " and ".join(_shown(panel, int(rows[order[place]])) for place in (first, first + 1))
    return [f"{int(same.sum()):,} windows are those of another name on the same date: {pair}"]


def _within(dates: AnyArray, segment: tuple[int, int]) -> Bool:
    inside: Bool = (dates >= segment[0]) & (dates < segment[1])
    return inside


def _shown(panel: Panel, row: int) -> str:
    entity = panel.entities[int(panel.entity_of(np.array([row]))[0])]
    return f"{entity} at {panel.times_as_datetime()[int(panel.time_index[row])]}"

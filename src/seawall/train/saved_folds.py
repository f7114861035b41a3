"""Where the folds of finished models lie on the calendar of a panel, which may have grown since they were trained."""

from typing import Any

import numpy as np

from seawall.errors import FormatError
from seawall.stores.panel import Panel
from seawall.train.folds_file import fold_layout
from seawall.windows.folds import Fold


def saved_folds(panel: Panel, records: tuple[dict[str, Any], ...], cut: list[Fold]) -> list[Fold]:
    """Place the fold of each model.

    A fold that the config still cuts where the model learnt is taken as it is cut now: its test may have grown. Else
    the dates in the model's record hold, so that no model ever predicts what it has learnt from.

    Parameters
    ----------
    records
        ``model.json`` of each fold, in order.
    cut
        Folds as the config of the models cuts this panel; none where none fits.

    Raises
    ------
    FormatError
        Where a model does not say its dates and is of another panel, or where the panel has not got them.
    """
    return [_placed(panel, record, number, cut) for number, record in enumerate(records)]


def _placed(panel: Panel, record: dict[str, Any], number: int, cut: list[Fold]) -> Fold:
    where, segments = f"model of fold {number}", record.get("segments")
    same = cut[number] if number < len(cut) else None
    if segments is None:  # made before models said their dates
        if same is None or record.get("panel_key") != panel.content_key:
            do = "Name the panel it was trained on."
            raise FormatError(where, "it does not say its dates, and was trained on another panel", do=do)
        return same
    if same is not None and _learnt_there(fold_layout(panel, same), segments):
        return same
    try:
        train, valid, test = (_range(panel, segments[name]) for name in ("train", "valid", "test"))
        pieces = [tuple(_range(panel, part) for part in segments[name].get("ranges", ())) for name in ("train", "test")]
        paths = tuple(int(path) for path in segments["test"].get("paths", ()))
    except (LookupError, TypeError, ValueError) as error:
        raise FormatError(where, "damaged record of a model", found=str(error), do="Train it again.") from error
    if test[1] <= test[0]:
        found = f"test from {segments['test']['first_time']} to {segments['test']['last_time']}"
        raise FormatError(where, "the panel has no date of its test", found=found, do="Name the panel of these models.")
    return Fold(number, train, valid, test, pieces[0], pieces[1], paths)


def _learnt_there(layout: dict[str, Any], segments: dict[str, Any]) -> bool:
    """Tell whether a fold learns from the same dates, and tests from the same date on."""
    if layout["test"].get("paths") != segments["test"].get("paths"):
        return False
    keys = [(name, end) for name in ("train", "valid") for end in ("first_time", "last_time")]
    return all(layout[name][end] == segments[name][end] for name, end in [*keys, ("test", "first_time")])


def _range(panel: Panel, span: dict[str, Any]) -> tuple[int, int]:
    first, last = (moment(panel, span[name]) for name in ("first_time", "last_time"))
    start, stop = np.searchsorted(panel.calendar, first), np.searchsorted(panel.calendar, last, side="right")
    return int(start), int(stop)


def moment(panel: Panel, value: str | int) -> int:
    """Turn a time as records write it into one of the calendar."""
    return int(value) if panel.calendar_kind != "timestamp" else int(np.datetime64(str(value), "ns").astype(np.int64))

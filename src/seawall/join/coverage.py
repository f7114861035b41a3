"""How many predictions met a forward return: counted per date while the join streams, told per fold and month."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from seawall.arrays import Bool, Int32, Int64
from seawall.stores.panel import Panel


class Coverage:
    """Count rows and matched rows; memory is 16 bytes per calendar date and a few per fold."""

    def __init__(self, num_dates: int, folds: Iterable[int]) -> None:
        self._rows_T = np.zeros(num_dates, np.int64)
        self._matched_T = np.zeros(num_dates, np.int64)
        self._folds = {fold: np.zeros(2, np.int64) for fold in folds}

    def add(self, dates: Int32, folds: Int64, matched: Bool) -> None:
        """Count a block of rows: calendar index, fold, and whether the forward return is defined."""
        num_dates = len(self._rows_T)
        self._rows_T += np.bincount(dates, minlength=num_dates)
        self._matched_T += np.bincount(dates[matched], minlength=num_dates)
        for fold in np.unique(folds).tolist():
            of_fold = folds == fold
            counts = self._folds.setdefault(fold, np.zeros(2, np.int64))
            counts += (int(of_fold.sum()), int((of_fold & matched).sum()))

    @property
    def num_rows(self) -> int:
        """Rows counted so far."""
        return int(self._rows_T.sum())

    def record(self, panel: Panel) -> dict[str, Any]:
        """Give the counts as plain JSON values; ``months`` is empty where the calendar is integer steps."""
        return {
            **_counts(self._rows_T.sum(), self._matched_T.sum()),
            "folds": [{"fold": fold, **_counts(*counts)} for fold, counts in sorted(self._folds.items())],
            "months": self._months(panel) if panel.calendar_kind == "timestamp" else [],
        }

    def _months(self, panel: Panel) -> list[dict[str, Any]]:
        months, month_of_date = np.unique(panel.times_as_datetime().astype("datetime64[M]"), return_inverse=True)
        rows = np.bincount(month_of_date, weights=self._rows_T)
        matched = np.bincount(month_of_date, weights=self._matched_T)
        return [
            {"month": str(months[place]), **_counts(rows[place], matched[place])}
            for place in np.flatnonzero(rows).tolist()
        ]


def _counts(num_rows: np.number[Any], num_matched: np.number[Any]) -> dict[str, Any]:
    rows, matched = int(num_rows), int(num_matched)
    return {"num_rows": rows, "num_matched": matched, "share": matched / rows if rows else None}

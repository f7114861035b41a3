"""Columns with a role: weights of samples, dividends and splits of shares; what is missing means nothing happens."""

import numpy as np

from seawall.arrays import AnyArray, Bool, Float64

ALLOWED = {
    "weights": "0 or more; missing is 0",
    "dividends": "0 or more; missing is 0",
    "splits": "above 0; 0 and missing are 1",
}

ROLE_UNITS = {"weights": "", "dividends": "cash per share", "splits": "new shares per old share"}

NEUTRAL = {"weights": 1.0, "dividends": 0.0, "splits": 1.0}
"""What a row has where nothing is special about it."""


def finished_role(role: str, column: Float64) -> tuple[AnyArray, Bool]:
    """Give the values of a role as they are stored, and mark those that cannot be.

    Parameters
    ----------
    column
        float64 [n]; NaN is no weight, no dividend, no split. Tables of events often hold 0 where there is no split.

    Returns
    -------
    values
        float32 [n] of weights, else float64 [n].
    wrong
        bool [n], True where a value is negative or infinite.
    """
    values = np.where(np.isnan(column), 0.0, column)
    if role == "splits":
        values[values == 0.0] = 1.0
    largest = np.finfo(np.float32 if role == "weights" else np.float64).max
    wrong = (values < 0.0) | (values > largest)
    if role != "weights":
        return values, wrong
    return np.where(wrong, 0.0, values).astype(np.float32), wrong

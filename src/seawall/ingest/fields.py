"""Wide tables of one field each: the cells that several files hold for one (entity, time) become one row."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import AnyArray, Int64


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows with one row a key, and cells that were there twice."""

    records: AnyArray
    num_twice: int
    """Cells of a (entity, time) that one field has more than once."""
    first_twice: int
    """Place in ``records`` of the first of them, -1 where there is none."""


def merge_fields(records: AnyArray, duplicates: str) -> Merged:
    """Make one row of all rows of one key.

    A cell takes the one value that is there; of several, the last one read counts where ``duplicates`` is ``last``,
    else the first. Memory is three times the records.

    Parameters
    ----------
    records
        ``code``, ``time`` and float64 ``wide`` [W] of each row, NaN where its file has no such field; in any order.
    """
    rows = records[np.lexsort((records["time"], records["code"]))]
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (rows["code"][1:] != rows["code"][:-1]) | (rows["time"][1:] != rows["time"][:-1])
    merged, key = rows[is_first], np.cumsum(is_first) - 1
    num_twice, first_twice = 0, len(merged)
    for place in range(rows["wide"].shape[1]):
        cells: Int64 = np.flatnonzero(~np.isnan(rows["wide"][:, place]))
        of_key = key[cells]
        again = of_key[1:][of_key[1:] == of_key[:-1]]
        num_twice += len(again)
        first_twice = min(first_twice, int(again.min(initial=first_twice)))
        chosen = cells if duplicates == "last" else cells[::-1]
        merged["wide"][key[chosen], place] = rows["wide"][chosen, place]  # of several, the last one written stays
    return Merged(merged, num_twice, first_twice if num_twice else -1)

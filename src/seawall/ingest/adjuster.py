"""What happens to a share beside trading: breaks of its price scale, splits, dividends; and how much a row weighs."""

from collections.abc import Callable, Mapping

import numpy as np

from seawall.arrays import AnyArray, Bool, Float64
from seawall.errors import DataError
from seawall.ingest.adjust import Bars, cumulate, detect_breaks, factors_of, no_factors
from seawall.ingest.config import IngestConfig
from seawall.ingest.quality import Quality
from seawall.ingest.roles import ALLOWED, finished_role
from seawall.ingest.rows import Rows, kept_places


class Adjuster:
    """Find the factors of sorted rows, from a column, from splits, declared ones, or by the rule of impossible moves.

    Parameters
    ----------
    declared
        Factors of declared breaks by (entity, time).
    quality
        Is told of every break.
    column
        Gives a number column of rows.
    time_text
        Writes a calendar value the way people read it.
    """

    def __init__(
        self,
        config: IngestConfig,
        declared: Mapping[tuple[str, int], float],
        quality: Quality,
        column: Callable[[Rows, str], Float64],
        time_text: Callable[[int], str],
    ) -> None:
        self._config, self._declared, self._quality = config, declared, quality
        self._column, self._time_text = column, time_text

    def adjustment(self, rows: Rows) -> Float64:
        """Give float64 [n]: the product of all factors of the entity up to and including each row.

        Raises
        ------
        DataError
            Naming the first row whose factor or split ratio is none.
        """
        rule = self._config.adjustment
        if rule.column is None or rule.column_is is None:
            return cumulate(self._factors(rows), rows.starts, rows.carried)
        column = self._column(rows, rule.column)
        allowed = "above 0" + (", missing is 1" if rule.column_is == "per_date" else ", on every row")
        self._refuse(rows, "adjustment", column, no_factors(column, rule.column_is), allowed)
        factors = factors_of(column, rows.starts, rule.column_is)
        self._quality.num_adjusted_rows += int((factors[rows.kept] != 1.0).sum())
        return cumulate(factors, rows.starts, rows.carried)

    def role(self, rows: Rows, role: str) -> AnyArray:
        """Give weights (float32), dividends or splits (float64) of rows as they are stored.

        Raises
        ------
        DataError
            Naming the first row with a value that none can have.
        """
        column = self._column(rows, self._config.roles[role])
        values, wrong = finished_role(role, column)
        self._refuse(rows, role, column, wrong, ALLOWED[role])
        self._quality.see_role(role, column[rows.kept], values[rows.kept])
        return values

    def _factors(self, rows: Rows) -> Float64:
        rule, kinds = self._config.adjustment, dict[int, str]()
        factors = np.ones(len(rows.times))
        if rule.detect:
            bars = Bars(
                open=self._column(rows, rule.open),
                high=self._column(rows, rule.high),
                low=self._column(rows, rule.low),
                close=self._column(rows, rule.close),
                first=rows.first,
            )
            factors = detect_breaks(bars, rule.min_ratio)
        if self._config.splits is not None:
            ratio, wrong = finished_role("splits", self._column(rows, self._config.splits))
            self._refuse(rows, "splits", ratio, wrong, ALLOWED["splits"])
            split = np.flatnonzero((ratio != 1.0) & ~rows.first)
            factors[split] = 1.0 / ratio[split]
            kinds |= dict.fromkeys(split.tolist(), "split")
        declared = self._declared_breaks(rows)
        factors[list(declared)] = list(declared.values())
        self._list_breaks(rows, factors, kinds | dict.fromkeys(declared, "declared"))
        return factors

    def _declared_breaks(self, rows: Rows) -> dict[int, float]:
        """Find the row of each declared break: the first at or after its time, never an entity's first row.

        Breaks that fall on one row, as in a suspension, multiply.
        """
        found: dict[int, float] = {}
        for (entity, time), factor in self._declared.items():
            if entity not in rows.names:
                continue
            number = rows.names.index(entity)
            start, stop = rows.starts[number], rows.starts[number + 1]
            row = int(start + np.searchsorted(rows.times[start:stop], time))
            if start < row < stop:
                found[row] = found.get(row, 1.0) * factor
        return found

    def _list_breaks(self, rows: Rows, factors: Float64, kinds: Mapping[int, str]) -> None:
        rule, numbers = self._config.adjustment, rows.entity_number
        for row in kept_places(factors != 1.0, rows.kept).tolist():
            name, time = rows.names[numbers[row]], int(rows.times[row])
            entry = {"entity": name, "time": self._time_text(time), "factor": float(factors[row])}
            entry["kind"] = kinds.get(row, "detected")
            if rule.detect:
                prices = self._column(rows, rule.close)[row - 1], self._column(rows, rule.open)[row]
                before, after = (float(price) if np.isfinite(price) else None for price in prices)
                entry |= {"before": before, "after": after}
            self._quality.scale_breaks.append(entry)

    def _refuse(self, rows: Rows, role: str, column: Float64, wrong: Bool, allowed: str) -> None:
        """Stop at the first row with a value that its role cannot have."""
        if not wrong.any():
            return
        row = int(np.argmax(wrong))
        entity, time = rows.names[int(rows.entity_number[row])], self._time_text(int(rows.times[row]))
        raise DataError(
            f"ingest.{role}",
            "a value that cannot be",
            found=f"{column[row]:g} of {entity!r} at {time}",
            allowed=allowed,
            do="Mend the column, or leave such rows out with drop_rows.",
        )

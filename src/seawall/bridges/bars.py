"""One CSV of bars for each entity, as zipline's csvdir bundle and backtrader's feeds take them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Bool, Float64, Int64
from seawall.bridges.folder import appearing
from seawall.bridges.predictions import require_dates
from seawall.bridges.qlib_names import instruments_of
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError, nearest
from seawall.stores.panel import Panel

OHLC = ("open", "high", "low", "close")

ZIPLINE_MOST = 4_294_967.0
"""zipline keeps a price as uint32 of a thousandth: what is larger would be written as zero."""

ZIPLINE_MOST_VOLUME = 4_294_967_295.0


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of some rows of one entity."""

    dates: Int64
    """Calendar indexes."""
    times: AnyArray
    ohlc: Float64
    """float64 [n, 4], unadjusted; what is missing is the close, and NaN where that is too."""
    volume: Float64
    adjustment: Float64
    splits: Float64 | None
    dividends: Float64 | None
    """What the panel knows of."""


def export_zipline(panel: Path, output: Path, *, block_rows: int, beat: Beat = silent) -> dict[str, Any]:
    """Write ``daily/<SYMBOL>.csv``: date, open, high, low, close, volume, dividend, split.

    Prices are as paid (unadjusted). ``split`` and ``dividend`` are the panel's; without splits ``split`` is the
    adjustment before over the adjustment of the row, 1.0 where it did not change, so that zipline makes the same
    adjusted prices, and without dividends ``dividend`` is 0.0. zipline wants a line for each session from the first to
    the last: dates without a bar have empty prices and no volume. Volume is the price or value column
    ``volume``, 0 where the panel has none. Open, high or low that the panel has not are the close. Memory is one block
    of rows.

    Returns
    -------
    dict
        ``num_rows``, ``num_entities``, ``num_too_large`` (bars without prices, as zipline would write them as zero),
        and the ``renamed`` entities.

    Raises
    ------
    ConfigError
        For a calendar of steps, a panel without a price ``close``, or an output that is there already.
    """
    return _export(Panel(panel), output, "zipline", block_rows, beat)


def export_backtrader(panel: Path, output: Path, *, block_rows: int, beat: Beat = silent) -> dict[str, Any]:
    """Write ``<SYMBOL>.csv``: datetime, open, high, low, close, volume, openinterest, as ``GenericCSVData`` expects.

    Prices are adjusted. Times are ``%Y-%m-%d %H:%M:%S``. Otherwise as :func:`export_zipline`.

    Returns
    -------
    dict
        ``num_rows``, ``num_entities``, and the ``renamed`` entities.
    """
    return _export(Panel(panel), output, "backtrader", block_rows, beat)


def _export(panel: Panel, output: Path, kind: str, block_rows: int, beat: Beat) -> dict[str, Any]:
    require_dates(panel)
    if "close" not in panel.names("prices"):
        hint = nearest("close", panel.names("prices"))
        raise ConfigError(f"export {kind}", "the panel has no price 'close'", do=hint)
    instruments = instruments_of(panel.entities)
    num_rows = num_large = 0
    with appearing(output) as folder:
        place = folder / "daily" if kind == "zipline" else folder
        place.mkdir(exist_ok=True)
        for number, instrument in enumerate(instruments):
            with (place / f"{instrument.symbol}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(_HEADERS[kind])
                state = _Lines(panel)
                for bars in _bars(panel, number, block_rows):
                    writer.writerows(state.zipline(bars) if kind == "zipline" else _backtrader(bars))
                    num_large += state.num_large
                    num_rows += int(_has_bar(bars).sum()) - state.num_large
            beat("write", number + 1, len(instruments))
    return {
        "num_rows": num_rows,
        "num_entities": len(instruments),
        "num_too_large": num_large,
        "renamed": {i.symbol: i.entity for i in instruments if i.symbol != i.entity.upper()},
    }


_HEADERS = {
    "zipline": ("date", *OHLC, "volume", "dividend", "split"),
    "backtrader": ("datetime", *OHLC, "volume", "openinterest"),
}


def _bars(panel: Panel, entity: int, block_rows: int) -> Iterator[Bars]:
    names, values = panel.names("prices"), panel.names("values")
    places = [names.index(name) if name in names else names.index("close") for name in OHLC]
    start, stop = int(panel.offsets[entity]), int(panel.offsets[entity + 1])
    for first in range(start, stop, block_rows):
        last = min(stop, first + block_rows)
        prices = np.asarray(panel.read("prices", first, last))
        ohlc = prices[:, places]
        close = ohlc[:, 3:]
        ohlc = np.where(np.isfinite(ohlc) & (ohlc > 0), ohlc, close)
        if "volume" in names:
            volume = prices[:, names.index("volume")]
        elif "volume" in values:
            volume = np.asarray(panel.read("values", first, last))[:, values.index("volume")]
        else:
            volume = np.zeros(last - first)
        dates = np.asarray(panel.read("time_index", first, last), np.int64)
        adjustment = np.asarray(panel.read("adjustment", first, last))
        roles = [np.asarray(panel.read(r, first, last)) if panel.names(r) else None for r in ("splits", "dividends")]
        yield Bars(dates, panel.times_as_datetime()[dates], ohlc, np.nan_to_num(volume), adjustment, *roles)


def _has_bar(bars: Bars) -> Bool:
    kept: Bool = np.isfinite(bars.ohlc[:, 3]) & (bars.ohlc[:, 3] > 0)
    return kept


class _Lines:
    """Lines of one entity for zipline: what was before decides splits and gaps."""

    def __init__(self, panel: Panel) -> None:
        self._days = panel.times_as_datetime().astype("datetime64[D]")
        self._adjustment, self._next = 1.0, -1
        self.num_large = 0
        """Bars of the last block that zipline cannot hold."""

    def zipline(self, bars: Bars) -> list[tuple[Any, ...]]:
        """Give a line for each date from the one after the last block's to the last of this."""
        splits, dividends = bars.splits, bars.dividends
        if splits is None:
            splits = np.concatenate([[self._adjustment], bars.adjustment[:-1]]) / bars.adjustment
        if dividends is None:
            dividends = np.zeros(len(bars.dates))
        with np.errstate(invalid="ignore"):
            large = (bars.ohlc.max(axis=1, initial=0.0) > ZIPLINE_MOST) | (bars.volume > ZIPLINE_MOST_VOLUME)
        has_bar = _has_bar(bars)
        self.num_large = int(np.count_nonzero(large & has_bar))
        lines: list[tuple[Any, ...]] = []
        for place, date in enumerate(bars.dates.tolist()):
            lines += [(str(self._days[gap]), *NO_BAR, 0.0, 1.0) for gap in range(self._next, date) if self._next >= 0]
            filled = has_bar[place] and not large[place]
            bar = (*bars.ohlc[place].tolist(), int(bars.volume[place])) if filled else NO_BAR
            lines.append((str(self._days[date]), *bar, float(dividends[place]), float(splits[place])))
            self._next = date + 1
        self._adjustment = float(bars.adjustment[-1]) if len(bars.adjustment) else self._adjustment
        return lines


NO_BAR = ("", "", "", "", 0)
"""Prices and volume of a session without trade."""


def _backtrader(bars: Bars) -> Iterator[tuple[Any, ...]]:
    kept = _has_bar(bars)
    adjusted = bars.ohlc[kept] / bars.adjustment[kept][:, None]
    times = [text.replace("T", " ") for text in bars.times[kept].astype("datetime64[s]").astype(str).tolist()]
    for time, ohlc, volume in zip(times, adjusted.tolist(), bars.volume[kept].tolist(), strict=True):
        yield (time, *ohlc, volume, 0)

"""One CSV of bars for each entity, as zipline's csvdir bundle and backtrader's feeds take them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Bool, Float64
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
    """Bars of some rows of one entity; rows without a close are left out."""

    times: AnyArray
    ohlc: Float64
    """float64 [n, 4], unadjusted; what is missing is the close."""
    volume: Float64
    adjustment: Float64


def export_zipline(panel: Path, output: Path, *, block_rows: int, beat: Beat = silent) -> dict[str, Any]:
    """Write ``daily/<SYMBOL>.csv``: date, open, high, low, close, volume, dividend, split.

    Prices are as paid (unadjusted); ``split`` is the adjustment before over the adjustment of the row, 1.0 where it did
    not change, so that zipline makes the same adjusted prices; ``dividend`` is 0.0. Volume is the price or value column
    ``volume``, 0 where the panel has none. Open, high or low that the panel has not are the close. Memory is one block
    of rows.

    Returns
    -------
    dict
        ``num_rows``, ``num_entities``, ``num_too_large`` (bars left out as zipline would write them as zero), and the
        ``renamed`` entities.

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
                before = 1.0
                for bars in _bars(panel, number, block_rows):
                    kept = _small_enough(bars) if kind == "zipline" else np.ones(len(bars.times), bool)
                    num_large += int(np.count_nonzero(~kept))
                    lines = _zipline(bars, before) if kind == "zipline" else _backtrader(bars)
                    writer.writerows(line for line, keep in zip(lines, kept.tolist(), strict=True) if keep)
                    num_rows += int(kept.sum())
                    before = float(bars.adjustment[-1]) if len(bars.adjustment) else before
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
        prices = np.asarray(panel.rows("prices", first, last))
        ohlc = prices[:, places]
        close = ohlc[:, 3:]
        ohlc = np.where(np.isfinite(ohlc) & (ohlc > 0), ohlc, close)
        if "volume" in names:
            volume = prices[:, names.index("volume")]
        elif "volume" in values:
            volume = np.asarray(panel.rows("values", first, last))[:, values.index("volume")]
        else:
            volume = np.zeros(last - first)
        kept = np.isfinite(close[:, 0]) & (close[:, 0] > 0)
        times = panel.times_as_datetime()[panel.rows("time_index", first, last)]
        adjustment = np.asarray(panel.rows("adjustment", first, last))
        yield Bars(times[kept], ohlc[kept], np.nan_to_num(volume[kept]), adjustment[kept])


def _small_enough(bars: Bars) -> Bool:
    kept: Bool = (bars.ohlc.max(axis=1, initial=0.0) <= ZIPLINE_MOST) & (bars.volume <= ZIPLINE_MOST_VOLUME)
    return kept


def _zipline(bars: Bars, before: float) -> Iterator[tuple[Any, ...]]:
    earlier = np.concatenate([[before], bars.adjustment[:-1]])
    split = (earlier / bars.adjustment).tolist()
    days = bars.times.astype("datetime64[D]").astype(str).tolist()
    for day, ohlc, volume, ratio in zip(days, bars.ohlc.tolist(), bars.volume.tolist(), split, strict=True):
        yield (day, *ohlc, int(volume), 0.0, ratio)


def _backtrader(bars: Bars) -> Iterator[tuple[Any, ...]]:
    adjusted = bars.ohlc / bars.adjustment[:, None]
    times = [text.replace("T", " ") for text in bars.times.astype("datetime64[s]").astype(str).tolist()]
    for time, ohlc, volume in zip(times, adjusted.tolist(), bars.volume.tolist(), strict=True):
        yield (time, *ohlc, volume, 0)

"""Write bars as a Qlib provider folder, so that Qlib can be measured and asked for its own values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seawall.arrays import AnyArray, Float32

FIELDS = ("open", "high", "low", "close", "volume", "vwap")


@dataclass(frozen=True)
class Bars:
    """Bars of one instrument: days and float32 [n, 6] in the order of ``FIELDS``; a day without a row is suspended."""

    name: str
    days: AnyArray
    values: Float32


def write_provider(folder: Path, calendar: AnyArray, instruments: Iterable[Bars]) -> None:
    """Write calendar, instruments and one file for each field, aligned to the calendar with NaN for missing days."""
    for part in ("calendars", "instruments", "features"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "calendars" / "day.txt").write_text("".join(f"{day}\n" for day in calendar))
    lines = []
    for bars in instruments:
        place = np.searchsorted(calendar, bars.days)
        dense = np.full((place[-1] - place[0] + 1, len(FIELDS)), np.nan, np.float32)
        dense[place - place[0]] = bars.values
        target = folder / "features" / bars.name.lower()
        target.mkdir()
        for column, field in enumerate(FIELDS):
            whole = np.concatenate([[np.float32(place[0])], dense[:, column]])
            whole.astype("<f4").tofile(target / f"{field}.day.bin")
        lines.append(f"{bars.name}\t{bars.days[0]}\t{bars.days[-1]}\n")
    (folder / "instruments" / "all.txt").write_text("".join(lines))


def write_fields(folder: Path, calendar: AnyArray, names: Sequence[str], fields: Mapping[str, AnyArray]) -> None:
    """Write wide fields [dates, instruments], NaN where there is none, each over the whole calendar."""
    for part in ("calendars", "instruments", "features"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "calendars" / "day.txt").write_text("".join(f"{day}\n" for day in calendar))
    lines = [f"{name}\t{calendar[0]}\t{calendar[-1]}\n" for name in names]
    (folder / "instruments" / "all.txt").write_text("".join(lines))
    for number, name in enumerate(names):
        target = folder / "features" / name.lower()
        target.mkdir()
        for field, values in fields.items():
            np.concatenate([[0.0], values[:, number]]).astype("<f4").tofile(target / f"{field}.day.bin")

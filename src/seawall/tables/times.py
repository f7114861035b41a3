"""Time columns: the format is declared, or inferred from samples and then held to; ambiguity is refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seawall.arrays import Bool, Int64
from seawall.errors import ConfigError, DataError
from seawall.tables.clock import (
    COMPACT,
    EPOCH_FROM,
    EPOCH_TO,
    EPOCHS,
    EXCEL,
    EXCEL_DAYS,
    EXCEL_EPOCH_DAYS,
    ISO,
    OFFSET,
    PROBE_SECONDS,
    STEP,
    STEP_TEXT,
    filled,
    parse,
)

_FORMATS = (
    COMPACT,
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%Y%m%d %H:%M:%S",
    "%Y%m%d %H:%M",
    "%Y%m%d%H%M%S",
    "%Y/%m/%d %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%Y.%m.%d",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d %H:%M",
)


MOSTLY_SHARE = 0.9
"""Part of the samples one format must read for the others to be taken as mistakes of single rows."""


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How a time column is written.

    ``iso``, ``step`` (plain integers), ``epoch_s`` and the like, ``excel``, or a strptime format. ``timezone`` is the
    zone of texts without an offset. ``samples`` are what the format was inferred from, nothing where it was declared.
    """

    name: str
    timezone: str = ""
    samples: tuple[str, ...] = field(default=(), compare=False)

    @property
    def calendar_kind(self) -> str:
        """Kind of calendar these times make: ``timestamp`` or ``step``."""
        return "step" if self.name == STEP else "timestamp"

    @property
    def has_offsets(self) -> bool | None:
        """Whether the samples carry offsets; None where it was not inferred from texts of ISO 8601."""
        if self.name != ISO or not self.samples:
            return None
        return re.match(OFFSET, self.samples[0]) is not None


class FormatContradicted(Exception):
    """The pass met times that the inferred format does not read, and another format reads all of them."""

    def __init__(self, better: TimeFormat) -> None:
        super().__init__(better.name)
        self.better = better


def check_timezone(name: str, *, where: str) -> None:
    """Check that a time zone is known.

    Raises
    ------
    ConfigError
        Where it is not a name such as ``America/New_York``.
    """
    try:
        pc.assume_timezone(pa.array([0], pa.timestamp("s")), name)
    except pa.ArrowException as error:
        raise ConfigError(
            where, "unknown time zone", found=repr(name), allowed="a name such as America/New_York or UTC"
        ) from error


def declared_format(name: str, *, where: str, timezone: str = "") -> TimeFormat:
    """Check a declared time format: a named one, or a strptime format that holds a whole date.

    Raises
    ------
    ConfigError
        Where the format does not read back what it writes: an unknown directive, no year, or an offset (``%z``).
    """
    if name in (ISO, STEP, EXCEL, *EPOCHS):
        return TimeFormat(name, timezone)
    if "%" not in name or not _reads_back(name):
        raise ConfigError(
            where,
            "not a time format that can be held to",
            found=repr(name),
            allowed="iso (offsets included), step (integers), epoch_s, epoch_ms, epoch_us, epoch_ns, excel,"
            " or a strptime format of a whole date such as '%d/%m/%Y'",
        )
    return TimeFormat(name, timezone)


def _reads_back(name: str) -> bool:
    probe = pa.array([PROBE_SECONDS], pa.timestamp("s"))
    try:
        return bool(pc.strptime(pc.strftime(probe, format=name), format=name, unit="s").equals(probe))
    except pa.ArrowInvalid:
        return False


def infer_format(samples: Sequence[str], *, where: str, timezone: str = "") -> TimeFormat:
    """Find the one format that reads every sample.

    Parameters
    ----------
    samples
        Distinct texts from the head, middle and tail of the source.
    timezone
        Zone of texts without an offset; UTC where empty.

    Raises
    ------
    DataError
        Where no format fits, several fit and give different times (day first against month first), or some texts have
        an offset and others have none.
    """
    if not samples:
        raise DataError(where, "no time values to infer the format from", do="Declare time_format.")
    values = pa.array(list(samples), pa.string())
    fitting = [name for name in (ISO, *_FORMATS) if parse(values, name)[1].all()]
    readings = {name: parse(values, name)[0] for name in fitting}
    first = readings[fitting[0]] if fitting else None
    different = [name for name in fitting[1:] if first is not None and not np.array_equal(readings[name], first)]
    if different:
        raise _ambiguous(samples, readings, (fitting[0], different[0]), where)
    if fitting:
        if fitting[0] == ISO and not timezone:
            _check_offsets(samples, values, where)
        return TimeFormat(fitting[0], timezone, tuple(samples))
    if all(STEP_TEXT.fullmatch(sample) for sample in samples):
        return replace(_integers(samples, values, where), timezone=timezone, samples=tuple(samples))
    mostly = _mostly(samples, values, timezone)
    if mostly is not None:
        return mostly
    fits_iso = parse(values, ISO)[1]
    bad = samples[int(np.argmin(fits_iso))]
    raise DataError(
        where,
        "no known time format reads all values",
        found=repr(bad[:200]),
        allowed="ISO 8601 (2024-01-31, 2024-01-31 09:30:00), integers, or a declared strptime format",
        do="Declare time_format.",
    )


def _mostly(samples: Sequence[str], values: pa.Array, timezone: str) -> TimeFormat | None:
    """Take the one format that reads nearly all samples; the rest will be bad rows, found with file and line."""
    fits = {name: parse(values, name)[1] for name in (ISO, *_FORMATS)}
    good = [name for name in fits if fits[name].mean() > MOSTLY_SHARE]
    if not good:
        return None
    if len(good) > 1:
        read = fits[good[0]] & fits[good[1]]
        one, other = (parse(values.filter(pa.array(read)), name)[0] for name in good[:2])
        if not np.array_equal(one, other):
            return None
    return TimeFormat(good[0], timezone, tuple(np.array(samples, object)[fits[good[0]]].tolist()))


def _check_offsets(samples: Sequence[str], values: pa.Array, where: str) -> None:
    """Refuse a mixture of texts with and without an offset: nothing says which zone the latter are in."""
    has_offset = np.asarray(pc.match_substring_regex(values, OFFSET))
    if has_offset.any() and not has_offset.all():
        one, other = samples[int(np.argmax(has_offset))], samples[int(np.argmin(has_offset))]
        raise DataError(
            where,
            "some times have an offset and some have none",
            found=f"{one!r} and {other!r}",
            do="Declare the timezone of those without.",
        )


def _ambiguous(samples: Sequence[str], readings: Mapping[str, Int64], names: tuple[str, str], where: str) -> DataError:
    first, second = (readings[name] for name in names)
    place = int(np.argmax(first != second))
    one, other = (str(np.datetime64(int(times[place]), "ns").astype("datetime64[D]")) for times in (first, second))
    return DataError(
        where,
        "the time format is ambiguous",
        found=f"{samples[place]!r}, which is {one} as {names[0]} and {other} as {names[1]}",
        do=f"Declare one, for example time_format: '{names[1]}'.",
    )


def _integers(samples: Sequence[str], values: pa.Array, where: str) -> TimeFormat:
    """Tell steps from compact dates with mistakes, from counts since 1970, and from dates of a spreadsheet."""
    is_date = parse(values, COMPACT)[1]
    if 2 * int(is_date.sum()) > len(samples):
        raise DataError(
            where,
            f"{int(is_date.sum())} of {len(samples)} sampled values are dates written as {COMPACT}, but not all",
            found=repr(samples[int(np.argmin(is_date))]),
            do=f"Mend the others, or declare time_format: '{COMPACT}' or step.",
        )
    numbers = np.array([int(sample) for sample in samples], np.int64)
    for name, per_second in zip(EPOCHS, (1, 10**3, 10**6, 10**9), strict=True):
        if (numbers >= EPOCH_FROM * per_second).all() and (numbers < EPOCH_TO * per_second).all():
            return TimeFormat(name)
    if len(numbers) > 1 and (numbers >= EXCEL_DAYS[0]).all() and (numbers < EXCEL_DAYS[1]).all():
        date = np.datetime64(int(numbers[0]) - EXCEL_EPOCH_DAYS, "D")
        raise DataError(
            where,
            "these integers may be steps, or dates as spreadsheets count them",
            found=f"{samples[0]!r}, which would be {date}",
            do="Declare time_format: step or excel.",
        )
    return TimeFormat(STEP)


def parse_texts(values: pa.Array, time_format: TimeFormat) -> tuple[Int64, Bool]:
    """Parse distinct time texts.

    Returns
    -------
    times : int64 [n]
        ns since 1970 UTC, or the integers themselves for steps. A text without an offset is taken in the format's time
        zone, UTC where it has none.
    valid : bool [n]
        False where the text does not fit the format; the time there is 0.

    Raises
    ------
    FormatContradicted
        Where the format was inferred, does not read a text, and another one reads that and all samples.
    """
    times, valid = parse(values, time_format.name, time_format.timezone)
    if time_format.has_offsets is not None and not time_format.timezone:
        same = np.asarray(pc.fill_null(pc.match_substring_regex(values, OFFSET), False)) == time_format.has_offsets
        times, valid = np.where(same, times, 0), valid & same
    if time_format.samples and not valid.all():
        _look_for_better(values, valid, time_format)
    return times, valid


def _look_for_better(values: pa.Array, valid: Bool, time_format: TimeFormat) -> None:
    texts = values.filter(pa.array(~valid)).drop_null().to_pylist()
    if not texts:
        return
    try:
        better = infer_format([*time_format.samples, *texts], where="", timezone=time_format.timezone)
    except DataError:
        return  # nothing reads all of them: they are bad rows
    if better.name != time_format.name:
        raise FormatContradicted(better)


def from_typed(values: pa.Array, *, where: str) -> tuple[Int64, Bool, str]:
    """Read a time column that already has a type (Parquet): timestamp, date or integer.

    Returns
    -------
    times, valid
        As :func:`parse_texts`.
    kind : str
        ``timestamp`` or ``step``.
    """
    kind = values.type
    if pa.types.is_integer(kind) and kind != pa.uint64():
        times, valid = filled(values.cast(pa.int64()))
        return times, valid, "step"
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise DataError(where, "not a time column", found=str(kind), allowed="text, timestamp, date or integer")
    try:
        cast = values.cast(pa.timestamp("ns", tz="UTC") if getattr(kind, "tz", None) else pa.timestamp("ns"))
    except pa.ArrowInvalid as error:
        raise DataError(where, "a time is outside 1677-2262", found=str(error).splitlines()[0]) from error
    times, valid = filled(cast)
    return times, valid, "timestamp"


def localised(values: pa.Array, time_format: TimeFormat | None, *, where: str) -> pa.Array:
    """Prepare a typed time column for :func:`from_typed`: integers by their format, clock times by their zone.

    Integers written as an epoch or as a date (20240131) become text, which :func:`parse_texts` then holds to the
    format; timestamps without a zone are taken in the format's time zone.

    Raises
    ------
    DataError
        Where a clock time does not exist in the zone, or exists twice.
    """
    if time_format is None or pa.types.is_dictionary(values.type):
        return values
    if pa.types.is_integer(values.type):
        is_written = time_format.name in (*EPOCHS, EXCEL) or re.fullmatch(r"(%[A-Za-z])+", time_format.name)
        return values.cast(pa.string()).dictionary_encode() if is_written else values
    is_local = pa.types.is_date(values.type) or (pa.types.is_timestamp(values.type) and values.type.tz is None)
    if not time_format.timezone or not is_local:
        return values
    try:
        local = values.cast(pa.timestamp("ns"))
        return pc.assume_timezone(local, time_format.timezone).cast(pa.timestamp("ns", tz="UTC"))
    except pa.ArrowInvalid as error:
        found = str(error).splitlines()[0]
        raise DataError(where, f"a clock time has no single meaning in {time_format.timezone}", found=found) from error

"""Time columns: the format is declared, or inferred from samples and then held to; ambiguity is refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seawall.arrays import Bool, Int64
from seawall.errors import ConfigError, DataError

ISO = "iso"
STEP = "step"
_ISO_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_STEP_TEXT = re.compile(r"-?\d{1,18}", re.ASCII)
_COMPACT = "%Y%m%d"
_PROBE_SECONDS = 978_307_200  # 2001-01-01
_NS_RANGE_SECONDS = 9_223_372_036  # 1677-09-21 to 2262-04-11
_FORMATS = (
    _COMPACT,
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
    "%Y%m%d%H%M%S",
)


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How a time column is written: ``iso``, ``step`` (plain integers) or a strptime format."""

    name: str

    @property
    def calendar_kind(self) -> str:
        """Kind of calendar these times make: ``timestamp`` or ``step``."""
        return "step" if self.name == STEP else "timestamp"


def declared_format(name: str, *, where: str) -> TimeFormat:
    """Check a declared time format: ``iso``, ``step``, or a strptime format that holds a whole date.

    Raises
    ------
    ConfigError
        Where the format does not read back what it writes: an unknown directive, no year, or an offset (``%z``).
    """
    if name in (ISO, STEP):
        return TimeFormat(name)
    if "%" not in name or not _reads_back(name):
        raise ConfigError(
            where,
            "not a time format that can be held to",
            found=repr(name),
            allowed="iso (offsets included), step (integers), or a strptime format of a whole date such as '%d/%m/%Y'",
        )
    return TimeFormat(name)


def _reads_back(name: str) -> bool:
    probe = pa.array([_PROBE_SECONDS], pa.timestamp("s"))
    try:
        return bool(pc.strptime(pc.strftime(probe, format=name), format=name, unit="s").equals(probe))
    except pa.ArrowInvalid:
        return False


def infer_format(samples: Sequence[str], *, where: str) -> TimeFormat:
    """Find the one format that reads every sample.

    Parameters
    ----------
    samples
        Distinct texts from the head, middle and tail of the source.

    Raises
    ------
    DataError
        Where no format fits, or several fit and give different times (day first against month first).
    """
    if not samples:
        raise DataError(where, "no time values to infer the format from", do="Declare time_format.")
    values = pa.array(list(samples), pa.string())
    fitting = [name for name in (ISO, *_FORMATS) if _parse(values, name)[1].all()]
    readings = {name: _parse(values, name)[0] for name in fitting}
    first = readings[fitting[0]] if fitting else None
    different = [name for name in fitting[1:] if first is not None and not np.array_equal(readings[name], first)]
    if different:
        raise _ambiguous(samples, readings, (fitting[0], different[0]), where)
    if fitting:
        return TimeFormat(fitting[0])
    if all(_STEP_TEXT.fullmatch(sample) for sample in samples):
        return _steps(samples, values, where)
    fits_iso = _parse(values, ISO)[1]
    bad = samples[int(np.argmin(fits_iso))]
    raise DataError(
        where,
        "no known time format reads all values",
        found=repr(bad),
        allowed="ISO 8601 (2024-01-31, 2024-01-31 09:30:00), integers, or a declared strptime format",
        do="Declare time_format.",
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


def _steps(samples: Sequence[str], values: pa.Array, where: str) -> TimeFormat:
    """Take integers as steps, unless most of them are compact dates and the rest would be mistakes."""
    is_date = _parse(values, _COMPACT)[1]
    if 2 * int(is_date.sum()) > len(samples):
        raise DataError(
            where,
            f"{int(is_date.sum())} of {len(samples)} sampled values are dates written as {_COMPACT}, but not all",
            found=repr(samples[int(np.argmin(is_date))]),
            do=f"Mend the others, or declare time_format: '{_COMPACT}' or step.",
        )
    return TimeFormat(STEP)


def parse_texts(values: pa.Array, time_format: TimeFormat) -> tuple[Int64, Bool]:
    """Parse distinct time texts.

    Returns
    -------
    times : int64 [n]
        ns since 1970 UTC, or the integers themselves for steps. A text without an offset is taken as UTC.
    valid : bool [n]
        False where the text does not fit the format; the time there is 0.
    """
    return _parse(values, time_format.name)


def _parse(values: pa.Array, name: str) -> tuple[Int64, Bool]:
    if name == ISO:
        return _parse_iso(values)
    if name == STEP:
        valid = pc.fill_null(pc.match_substring_regex(values, r"^-?\d{1,18}$"), False)
        return _filled(pc.if_else(valid, values, pa.scalar(None, pa.string())).cast(pa.int64()))
    parsed = pc.strptime(values, format=name, unit="s", error_is_null=True)
    fits = pc.equal(pc.strftime(parsed, format=name), values)  # strptime accepts trailing text and odd widths
    in_range = pc.less(pc.abs(parsed.cast(pa.int64())), _NS_RANGE_SECONDS)
    return _filled(pc.if_else(pc.and_(fits, in_range), parsed, pa.scalar(None, parsed.type)).cast(pa.timestamp("ns")))


def _parse_iso(values: pa.Array) -> tuple[Int64, Bool]:
    looks = pc.fill_null(pc.match_substring_regex(values, f"^{_ISO_TEXT.pattern}$"), False)
    with_offset = pc.fill_null(pc.match_substring_regex(values, r"^.{10}.*(Z|[+-]\d{2}:?\d{2})$"), False)
    nothing = pa.scalar(None, pa.string())
    plain = pc.if_else(pc.and_(looks, pc.invert(with_offset)), values, nothing)
    offset = pc.if_else(pc.and_(looks, with_offset), values, nothing)
    try:
        times = pc.coalesce(
            plain.cast(pa.timestamp("ns")), offset.cast(pa.timestamp("ns", tz="UTC")).cast(pa.timestamp("ns"))
        )
    except pa.ArrowInvalid:
        if len(values) == 1:
            return np.zeros(1, np.int64), np.zeros(1, bool)
        half = len(values) // 2  # one impossible date fails them all: close in on it
        first, second = _parse_iso(values.slice(0, half)), _parse_iso(values.slice(half))
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
    return _filled(times)


def _filled(times: pa.Array) -> tuple[Int64, Bool]:
    valid = np.asarray(times.is_valid())
    integers = times.cast(pa.int64()) if pa.types.is_timestamp(times.type) else times
    return np.asarray(pc.fill_null(integers, 0)), valid


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
        times, valid = _filled(values.cast(pa.int64()))
        return times, valid, "step"
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise DataError(where, "not a time column", found=str(kind), allowed="text, timestamp, date or integer")
    try:
        cast = values.cast(pa.timestamp("ns", tz="UTC") if getattr(kind, "tz", None) else pa.timestamp("ns"))
    except pa.ArrowInvalid as error:
        raise DataError(where, "a time is outside 1677-2262", found=str(error).splitlines()[0]) from error
    times, valid = _filled(cast)
    return times, valid, "timestamp"

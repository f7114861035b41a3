"""Texts of times to nanoseconds: one form for a whole column, one answer or none."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seawall.arrays import Bool, Int64

ISO = "iso"
STEP = "step"
ISO_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
STEP_TEXT = re.compile(r"-?\d{1,18}|[1-8]\d{18}", re.ASCII)
COMPACT = "%Y%m%d"
EPOCHS = {"epoch_s": "s", "epoch_ms": "ms", "epoch_us": "us", "epoch_ns": "ns"}
"""Integers counted from 1970-01-01 UTC, by unit."""

EXCEL = "excel"
"""Days since 1899-12-30, as spreadsheets keep dates; the fraction is the time of day."""

EPOCH_FROM, EPOCH_TO = 315_532_800, 4_102_444_800
"""1980 and 2100: integers that are a second, ms, us or ns of this span are taken as one."""

EXCEL_DAYS = (14_611, 73_050)
"""1940 to 2100."""

EXCEL_EPOCH_DAYS = 25_569
"""1970-01-01 as a spreadsheet counts it."""

PROBE_SECONDS = 978_307_200  # 2001-01-01
NS_RANGE_SECONDS = 9_223_372_036  # 1677-09-21 to 2262-04-11
OFFSET = r"^.{10}.*(Z|[+-]\d{2}:?\d{2})$"


def parse(values: pa.Array, name: str, timezone: str = "") -> tuple[Int64, Bool]:
    """Parse texts of one form; see :func:`seawall.tables.times.parse_texts`."""
    if name == ISO:
        return _parse_iso(values, timezone)
    if name == STEP or name in EPOCHS:
        valid = pc.fill_null(pc.match_substring_regex(values, f"^({STEP_TEXT.pattern})$"), False)
        numbers = pc.if_else(valid, values, pa.scalar(None, pa.string())).cast(pa.int64())
        return filled(numbers) if name == STEP else _from_epoch(numbers, EPOCHS[name])
    if name == EXCEL:
        return _from_excel(values, timezone)
    parsed = pc.strptime(values, format=name, unit="s", error_is_null=True)
    fits = pc.equal(pc.strftime(parsed, format=name), values)  # strptime accepts trailing text and odd widths
    return _in_zone(pc.if_else(pc.and_(fits, _in_range(parsed)), parsed, pa.scalar(None, parsed.type)), timezone)


def _in_range(seconds: pa.Array) -> pa.Array:
    return pc.less(pc.abs(seconds.cast(pa.int64())), NS_RANGE_SECONDS)


def _from_epoch(numbers: pa.Array, unit: str) -> tuple[Int64, Bool]:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    limit = NS_RANGE_SECONDS * per_second if unit != "ns" else 2**63 - 1
    kept = pc.if_else(pc.less(pc.abs(numbers), limit), numbers, pa.scalar(None, pa.int64()))
    return filled(kept.cast(pa.timestamp(unit)).cast(pa.timestamp("ns")))


def _from_excel(values: pa.Array, timezone: str) -> tuple[Int64, Bool]:
    fits = pc.fill_null(pc.match_substring_regex(values, r"^\d{1,6}(\.\d+)?$"), False)
    days = pc.if_else(fits, values, pa.scalar(None, pa.string())).cast(pa.float64())
    seconds = pc.round(pc.multiply(pc.subtract(days, float(EXCEL_EPOCH_DAYS)), 86_400.0)).cast(pa.int64())
    in_range = pc.less(pc.abs(seconds), NS_RANGE_SECONDS)
    return _in_zone(pc.if_else(in_range, seconds, pa.scalar(None, pa.int64())).cast(pa.timestamp("s")), timezone)


def _in_zone(times: pa.Array, timezone: str) -> tuple[Int64, Bool]:
    """Turn clock times of a zone into UTC; one that does not exist, or exists twice, is not valid."""
    if not timezone:
        return filled(times.cast(pa.timestamp("ns")))
    try:
        utc = pc.assume_timezone(times, timezone)
    except pa.ArrowInvalid:
        if len(times) == 1:
            return np.zeros(1, np.int64), np.zeros(1, bool)
        half = len(times) // 2
        first, second = _in_zone(times.slice(0, half), timezone), _in_zone(times.slice(half), timezone)
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
    return filled(utc.cast(pa.timestamp("ns", tz="UTC")))


def _parse_iso(values: pa.Array, timezone: str = "") -> tuple[Int64, Bool]:
    looks = pc.fill_null(pc.match_substring_regex(values, f"^{ISO_TEXT.pattern}$"), False)
    with_offset = pc.fill_null(pc.match_substring_regex(values, OFFSET), False)
    nothing = pa.scalar(None, pa.string())
    plain = pc.if_else(pc.and_(looks, pc.invert(with_offset)), values, nothing)
    offset = pc.if_else(pc.and_(looks, with_offset), values, nothing)
    try:
        local, utc = plain.cast(pa.timestamp("ns")), offset.cast(pa.timestamp("ns", tz="UTC"))
    except pa.ArrowInvalid:
        if len(values) == 1:
            return np.zeros(1, np.int64), np.zeros(1, bool)
        half = len(values) // 2  # one impossible date fails them all: close in on it
        first, second = _parse_iso(values.slice(0, half), timezone), _parse_iso(values.slice(half), timezone)
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
    (times, valid), (other, other_valid) = _in_zone(local, timezone), filled(utc)
    return np.where(valid, times, other), valid | other_valid


def filled(times: pa.Array) -> tuple[Int64, Bool]:
    """Split an array of times into int64, 0 where null, and what is not null."""
    valid = np.asarray(times.is_valid())
    integers = times.cast(pa.int64()) if pa.types.is_timestamp(times.type) else times
    return np.asarray(pc.fill_null(integers, 0)), valid

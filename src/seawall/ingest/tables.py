"""The tables of an ingest, and how their times are written."""

from collections.abc import Sequence
from pathlib import Path

from seawall.errors import DataError
from seawall.ingest.config import IngestConfig, own_columns
from seawall.ingest.sources import source_files
from seawall.tables.clock import ISO, STEP
from seawall.tables.sample import TableSample
from seawall.tables.table import Table, check_columns, open_tables
from seawall.tables.times import TimeFormat, check_timezone, declared_format, infer_format


def opened_tables(config: IngestConfig, files: Sequence[Path] | None = None) -> list[Table]:
    """Open the tables of a config and check that they have the columns it uses.

    Raises
    ------
    ConfigError, DataError
        For missing or unreadable sources, unknown columns, and columns that change between files.
    """
    listed = source_files(config.sources) if files is None else files
    tables = open_tables(listed, config.layout, config.entity, config.time)
    check_columns(tables, own_columns(config), config.layout)
    return tables


def time_format_of(config: IngestConfig, sample: TableSample) -> TimeFormat | None:
    """Take the declared format, or infer it from the sample; columns of timestamps need none.

    Raises
    ------
    ConfigError, DataError
        Where the declared one is no format, or the samples are ambiguous.
    """
    zone = config.timezone or ""
    if zone:
        check_timezone(zone, where="ingest.timezone")
    if config.time_format is not None:
        return declared_format(config.time_format, where="ingest.time_format", timezone=zone)
    where = f"column {config.time}"
    if sample.time_texts:
        return infer_format(list(sample.time_texts), where=where, timezone=zone)
    if sample.time_integers:
        return _of_integers(list(sample.time_integers), where, zone)
    return TimeFormat("iso", zone) if zone else None


def _of_integers(samples: list[str], where: str, timezone: str) -> TimeFormat:
    """Read integers of a typed column as an epoch or a date where all of them are one, as steps otherwise."""
    try:
        return infer_format(samples, where=where, timezone=timezone)
    except DataError:
        return TimeFormat(STEP)


def guesses(tables: Sequence[Table], time_format: TimeFormat | None) -> list[str]:
    """List what was taken as read though nobody declared it."""
    found = list(dict.fromkeys(guess for table in tables for guess in table.guesses))
    if time_format is not None and time_format.samples and time_format.name != ISO:
        found.append(f"times are written as {time_format.name}, like {time_format.samples[0]!r}")
    return found

"""Which files an ingest reads; light, for the planning parent."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seawall import datasets
from seawall.errors import ConfigError, nearest
from seawall.ingest.config import IngestConfig
from seawall.tables.sources import expand, fingerprint

DATASET = "dataset:"


def input_files(config: IngestConfig) -> list[Path]:
    """List every file an ingest reads: its sources, and the tables beside them.

    Raises
    ------
    ConfigError, DataError
        As :func:`source_files`.
    """
    beside = [source for table in config.tables for source in table.sources]
    beside += [config.static.source] if config.static else []
    return [*source_files(config.sources), *source_files(beside)]


def source_files(sources: Sequence[str]) -> list[Path]:
    """List the input files; ``dataset:NAME`` means a panel shipped with the package.

    Raises
    ------
    ConfigError, DataError
        For an unknown dataset, or a file that is missing, empty or of an unknown kind.
    """
    files: list[Path] = []
    for source in sources:
        if not source.startswith(DATASET):
            files += expand([source])
            continue
        name = source.removeprefix(DATASET)
        if name not in datasets.__all__:
            hint = nearest(name, datasets.__all__)
            raise ConfigError(f"source {source}", "unknown dataset", found=repr(name), do=hint)
        files.append(getattr(datasets, name)())
    return files


def fresh_files(sources: Sequence[str], known: Sequence[Mapping[str, Any]]) -> list[Path]:
    """List the input files that a panel does not have yet, told by size, time and the checksum of their ends.

    Parameters
    ----------
    known
        ``sources`` of the panel's manifest.

    Raises
    ------
    ConfigError, DataError
        As :func:`source_files`.
    """
    seen = [{**record, "path": ""} for record in known]
    return [file for file in source_files(sources) if {**fingerprint(file).record(), "path": ""} not in seen]

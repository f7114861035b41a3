"""Which files an ingest reads; light, for the planning parent."""

from collections.abc import Sequence
from pathlib import Path

from seawall import datasets
from seawall.errors import ConfigError, nearest
from seawall.ingest.config import IngestConfig
from seawall.tables.sources import expand

DATASET = "dataset:"


def input_files(config: IngestConfig) -> list[Path]:
    """List every file an ingest reads: its sources, and the tables beside them.

    Raises
    ------
    ConfigError, DataError
        As :func:`source_files`.
    """
    beside = [config.static.source] if config.static else []
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

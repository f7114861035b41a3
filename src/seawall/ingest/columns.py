"""Which columns of a source hold numbers, for an ingest that names no features."""

from collections.abc import Sequence

from seawall.ingest.sources import source_files
from seawall.tables import read


def number_columns(sources: Sequence[str], entity: str, time: str) -> list[str]:
    """List the number columns of the first source file, keys left out; CSV types come from its first MiB.

    Raises
    ------
    DataError
        Where the file cannot be parsed.
    """
    return [name for name in read.number_columns(source_files(sources)[0]) if name not in (entity, time)]

"""Which files a source means, and fingerprints that tell whether they changed."""

import difflib
import glob
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import xxhash

from seawall.errors import ConfigError, DataError

SUFFIXES = (".csv", ".csv.gz", ".parquet")
FINGERPRINT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One input file and what it looked like when it was first seen."""

    path: str
    bytes: int
    modified_ns: int
    edges_xxh3_64: str

    def record(self) -> dict[str, str | int]:
        """Give the fingerprint as plain JSON values."""
        return asdict(self)


def expand(patterns: Sequence[str | Path]) -> list[Path]:
    """List the files meant by paths, folders and globs, sorted within each pattern.

    Raises
    ------
    DataError
        Where a path does not exist, a pattern matches nothing, or a file is empty.
    ConfigError
        Where a file has a suffix that cannot be read.
    """
    files: list[Path] = []
    for pattern in patterns:
        files += _expand_one(str(pattern))
    for file in files:
        _check_file(file)
    return files


def _expand_one(pattern: str) -> list[Path]:
    path = Path(pattern)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:  # a name too long, a loop of links
        raise DataError(f"source {pattern[:200]}", "cannot be read", found=error.strerror or str(error)) from error
    if is_folder:
        found = sorted(p for p in path.iterdir() if p.name.endswith(SUFFIXES) and not p.name.startswith("."))
    elif exists or not glob.has_magic(pattern):
        found = [path]
    else:
        found = sorted(Path(p) for p in glob.glob(pattern))  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise DataError(
            f"source {pattern}",
            "no file matches",
            allowed=f"files ending in {kinds}",
            do="Check the path or the pattern.",
        )
    return found


def _check_file(path: Path) -> None:
    where = f"source {path}"
    if not path.exists():
        near = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise DataError(where, "file not found", do=_near_name(path.name, near))
    if not path.name.endswith(SUFFIXES):
        raise ConfigError(where, "unknown kind of file", found=repr(path.suffix), allowed=", ".join(SUFFIXES))
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise DataError(where, "cannot be read", found=error.strerror or str(error)) from error
    if not first:
        raise DataError(where, "the file is empty", found="0 bytes", allowed="a header line and rows")


def _near_name(name: str, known: Sequence[str]) -> str:
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f"Did you mean {lower[close[0]]}?" if close else "Check the path."


def fingerprint(path: Path) -> SourceFile:
    """Take size, modification time and a checksum of the first and last 64 KiB."""
    stat = path.stat()
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        digest.update(file.read(FINGERPRINT_BYTES))
        file.seek(max(0, stat.st_size - FINGERPRINT_BYTES))
        digest.update(file.read(FINGERPRINT_BYTES))
    return SourceFile(str(path), stat.st_size, stat.st_mtime_ns, digest.hexdigest())


def check_unchanged(before: SourceFile) -> None:
    """Compare a file with its fingerprint.

    Raises
    ------
    DataError
        Where the file changed since, or is gone.
    """
    path = Path(before.path)
    if not path.is_file() or fingerprint(path) != before:
        raise DataError(
            f"source {before.path}", "the file changed while it was read", do="Run again once it is complete."
        )

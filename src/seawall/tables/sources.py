"""Which files a source means, and fingerprints that tell whether they changed."""

import difflib
import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import xxhash

from seawall.errors import ConfigError, DataError

SUFFIXES = (
    *(f"{text}{packed}" for text in (".csv", ".tsv", ".txt", ".json") for packed in ("", ".gz", ".zst")),
    ".parquet",
    ".feather",
    ".arrow",
    ".ipc",
    ".zip",
)
"""Files that can be read, in upper or lower case."""

_STARTS = (
    (b"\xff\xfe\x00\x00", "text in UTF-32", "Convert it: iconv -f UTF-32 -t UTF-8."),
    (b"\xff\xfe", "text in UTF-16", "Convert it: iconv -f UTF-16 -t UTF-8."),
    (b"\xfe\xff", "text in UTF-16", "Convert it: iconv -f UTF-16 -t UTF-8."),
    (b"PARE", "an encrypted Parquet file", "Decrypt it first."),
    (b"PAR1", "a Parquet file", "Name it .parquet."),
    (b"\x1f\x8b", "a gzip file", "Name it .csv.gz."),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "Name it .csv.zst."),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Name an archive .zip; save a workbook as CSV."),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "Save it as CSV."),
    (b"ARROW1", "an Arrow file", "Name it .arrow."),
    (b"FEA1", "a Feather file of version 1", "Write it anew as version 2, or as Parquet."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
    (b"\x89HDF", "an HDF5 file", "Export the table as Parquet."),
    (b"%PDF", "a PDF document", "Find the table as CSV."),
)
"""How other kinds of files begin."""

_OWN_STARTS = {
    ".parquet": (b"PAR1",),
    ".gz": (b"\x1f\x8b",),
    ".zst": (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"),
    ".zip": (b"PK",),
    ".feather": (b"ARROW1",),
    ".arrow": (b"ARROW1",),
    ".ipc": (b"ARROW1",),
}

HEAD_BYTES = 4096
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
    except (OSError, ValueError) as error:  # a name too long, a loop of links, a NUL byte
        found = getattr(error, "strerror", None) or str(error)
        raise DataError(f"source {pattern[:200]!r}", "cannot be read", found=found) from error
    if is_folder and is_provider(path):
        found = bin_files(path)
    elif is_folder:
        found = _inside(path, sorted(p for p in path.iterdir() if is_table(p.name)))
    elif exists or not glob.has_magic(pattern):
        found = [path]
    else:
        found = sorted(Path(p) for p in glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
        found = _inside(_fixed_folder(pattern), found)
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise DataError(
            f"source {pattern}",
            "no file matches",
            allowed=f"files ending in {kinds}",
            do="Check the path or the pattern.",
        )
    return found


def is_provider(folder: Path) -> bool:
    """Tell whether a folder is a Qlib provider."""
    return (folder / "calendars").is_dir() and (folder / "features").is_dir()


def bin_files(folder: Path) -> list[Path]:
    """List the column files of all instruments of a Qlib provider, by instrument.

    Raises
    ------
    DataError
        Where there are none, or more than one frequency.
    """
    files = sorted((folder / "features").glob("*/*.bin"))
    frequencies = sorted({file.name.split(".")[-2] for file in files if file.name.count(".") >= 2})
    if len(frequencies) != 1:
        found = ", ".join(frequencies) or "no FIELD.FREQUENCY.bin"
        raise DataError(f"source {folder}", "a provider of one frequency is read at a time", found=found)
    return files


def is_table(name: str) -> bool:
    """Tell whether a file in a folder is a table; hidden files and ``.txt``, mostly notes, must be named."""
    lower = name.lower()
    return lower.endswith(SUFFIXES) and not lower.endswith((".txt", ".txt.gz", ".txt.zst")) and name[0] != "."


def _fixed_folder(pattern: str) -> Path:
    """Give the folder of a pattern before its first wildcard."""
    fixed: list[str] = []
    for piece in Path(pattern).parts:
        if glob.has_magic(piece):
            break
        fixed.append(piece)
    return Path(*fixed)


def _inside(folder: Path, files: list[Path]) -> list[Path]:
    """Refuse links that lead out of the folder they were found in: nobody named what they point at."""
    root = folder.resolve()
    for file in files:
        if file.is_symlink() and not file.resolve().is_relative_to(root):
            raise DataError(
                f"source {file}",
                "a link leads out of the folder",
                found=os.fspath(file.resolve()),
                do="Name the file itself, or remove the link.",
            )
    return files


def _check_file(path: Path) -> None:
    where = f"source {path}"
    if not path.exists():
        near = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise DataError(where, "file not found", do=_near_name(path.name, near))
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(where, "not a regular file", found=_kind_of_file(path), do="Write its data to a file first.")
    if not path.name.lower().endswith((*SUFFIXES, ".bin")):
        raise ConfigError(where, "unknown kind of file", found=repr(path.suffix), allowed=", ".join(SUFFIXES))
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(where, "cannot be read", found=error.strerror or str(error)) from error
    if not head:
        raise DataError(where, "the file is empty", found="0 bytes", allowed="a header line and rows")
    if path.suffix != ".bin":
        _check_start(path, head)


def _kind_of_file(path: Path) -> str:
    mode = path.stat().st_mode
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((kind for is_kind, kind in kinds if is_kind(mode)), "a device")


def _check_start(path: Path, head: bytes) -> None:
    """Compare the first bytes with what the suffix promises."""
    where, suffix = f"source {path}", path.suffix.lower()
    own = _OWN_STARTS.get(suffix)
    if own is not None and head.startswith(own):
        return
    for start, kind, do in _STARTS:
        if head.startswith(start):
            raise DataError(where, f"the file is {kind}", found=f"the name {path.name!r}", do=do)
    if own is not None:
        do = "Fetch it again, or name it for what it is."
        raise DataError(where, f"not a {suffix} file", found=f"the first bytes {head[:8]!r}", do=do)
    if b"\0" in head:
        raise DataError(where, "NUL bytes in a text", do="The file is binary, or damaged: fetch it again.")


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

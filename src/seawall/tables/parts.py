"""The parts of a source: files, and members of archives, each one table with one header."""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seawall.errors import DataError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
MEMBER_SUFFIXES = (".csv", ".tsv")
"""Tables in an archive; a .txt there is a note."""

COMPRESSIONS = (".gz", ".zst")
JSON_SUFFIXES = (".json", ".json.gz", ".json.zst")
ARROW_SUFFIXES = (".feather", ".arrow", ".ipc")
MAX_MEMBERS = 100_000
"""Members of one archive; more are not a table."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the sources: a file, a member of a zip archive, or a folder of one instrument (Qlib)."""

    path: Path
    member: str = ""

    @property
    def label(self) -> str:
        """Name in messages."""
        return f"{self.path}!{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """File name that tells the kind."""
        return Path(self.member).name if self.member else self.path.name

    @property
    def compression(self) -> str:
        """``gzip``, ``zstd`` or nothing."""
        lower = self.name.lower()
        return "gzip" if lower.endswith(".gz") else "zstd" if lower.endswith(".zst") else ""

    @property
    def kind(self) -> str:
        """``csv``, ``parquet``, ``arrow``, ``json`` or ``qlib``."""
        if not self.member and self.path.is_dir():
            return "qlib"
        lower = self.name.lower()
        if lower.endswith(".parquet"):
            return "parquet"
        if lower.endswith(ARROW_SUFFIXES):
            return "arrow"
        return "json" if lower.endswith(JSON_SUFFIXES) else "csv"

    @property
    def stem(self) -> str:
        """File name without the suffixes that tell kind and compression."""
        known = (*COMPRESSIONS, *TEXT_SUFFIXES, ".json", ".parquet", ".zip", *ARROW_SUFFIXES)
        stem = self.path.name if self.member else self.name
        while any(stem.lower().endswith(suffix) and len(stem) > len(suffix) for suffix in known):
            stem = stem[: stem.rindex(".")]
        return stem


def of(source: Path | Part) -> Part:
    """Take a path as the part it is."""
    return source if isinstance(source, Part) else Part(source)


def parts_of(files: Sequence[Path]) -> list[Part]:
    """List the tables in files: the members of each archive, the instrument folders of a Qlib provider, else the file.

    Raises
    ------
    DataError
        For an archive that is damaged, encrypted, or without a table.
    """
    parts: list[Part] = []
    for file in files:
        if file.name.lower().endswith(".zip"):
            parts += _members(file)
        elif file.name.endswith(".bin"):
            folder = Part(file.parent)
            if not parts or parts[-1] != folder:
                parts.append(folder)
        else:
            parts.append(Part(file))
    return parts


def _members(file: Path) -> list[Part]:
    where = f"source {file}"
    try:
        with zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if info.filename.lower().endswith(MEMBER_SUFFIXES)]
    except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise DataError(where, "not a complete zip archive", found=str(error), do="Fetch the file again.") from error
    locked = [info.filename for info in infos if info.flag_bits & 1]
    if locked:
        raise DataError(where, "the archive is encrypted", found=repr(locked[0]), do="Decrypt it first.")
    if not infos or len(infos) > MAX_MEMBERS:
        kinds = ", ".join(TEXT_SUFFIXES)
        raise DataError(
            where, "no table in the archive", found=f"{len(infos)} members", allowed=f"members ending in {kinds}"
        )
    return [Part(file, info.filename) for info in sorted(infos, key=lambda info: info.filename)]


def entity_in_name(part: Part, pattern: str) -> str:
    """Take the entity out of a file name.

    Raises
    ------
    DataError
        Where the name does not fit the pattern.
    """
    before, _, after = pattern.partition("{entity}")
    found = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", part.stem, re.DOTALL)
    if found is None:
        raise DataError(
            f"source {part.label}",
            "the file name holds no entity",
            found=repr(part.stem),
            allowed=pattern,
            do="Mend the pattern of entity_from_file.",
        )
    return found.group(1)

"""Whether a panel store still is what was written: every 64 MiB block of every file against its checksum."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seawall.stores.atomic import BLOCK_BYTES, block_checksums

MEND = "Ingest and append again, or restore the file from a copy."


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not as written."""

    file: str
    what: str
    block: int | None = None
    first_byte: int | None = None

    def record(self) -> dict[str, Any]:
        """Give the damage as plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def find_damage(panel: Path, files: dict[str, Any], watch: Callable[[int, int], None]) -> list[Damage]:
    """Compare every block; reads the whole store once, 1 MiB at a time.

    Parameters
    ----------
    files
        ``files`` of the manifest.
    watch
        Told how many files are done, of how many.
    """
    found: list[Damage] = []
    for number, (name, record) in enumerate(sorted(files.items())):
        watch(number, len(files))
        found += _of_file(panel / name, name, record["blocks"], int(record["bytes"]))
    return found


def _of_file(path: Path, name: str, expected: list[str], size_bytes: int) -> list[Damage]:
    if path.is_symlink() or not path.is_file():
        return [Damage(name, "a link, not a file" if path.is_symlink() else "missing")]
    try:
        found = block_checksums(path)[1]
    except OSError as error:
        return [Damage(name, f"cannot be read: {error.strerror or error}")]
    damage = [
        Damage(name, f"block {number} is damaged (from byte {number * BLOCK_BYTES:,} on)", number, number * BLOCK_BYTES)
        for number, (one, other) in enumerate(zip(found, expected, strict=False))
        if one != other
    ]
    if path.stat().st_size != size_bytes:
        damage.append(Damage(name, f"wrong length: {path.stat().st_size:,} bytes, {size_bytes:,} were written"))
    return damage

"""Named arrays in one file behind a checksum: replaced as a whole, and read whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import xxhash

from seawall.arrays import AnyArray
from seawall.stores.atomic import READ_BYTES, replacing

DIGEST_BYTES = 8
"""Checksum of what follows it in the file."""


def write_sealed(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    """Put the arrays in place of what the file holds, once they are on disk."""
    with replacing(path) as temporary, temporary.open("w+b") as file:
        file.write(bytes(DIGEST_BYTES))
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes a keyword of its own for one of ours
        digest = _digest(file)
        file.seek(0)
        file.write(digest)


def read_sealed(path: Path) -> dict[str, AnyArray] | None:
    """Read all arrays; None where there is no such file, or it is damaged."""
    try:
        with path.open("rb") as file:
            if file.read(DIGEST_BYTES) != _digest(file):
                return None
            file.seek(DIGEST_BYTES)
            with np.load(file, allow_pickle=False) as saved:
                return dict(saved)
    except OSError:
        return None


def _digest(file: BinaryIO) -> bytes:
    file.seek(DIGEST_BYTES)
    digest = xxhash.xxh3_64()
    while chunk := file.read(READ_BYTES):
        digest.update(chunk)
    return digest.digest()

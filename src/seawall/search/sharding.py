"""How a sweep is cut into parts that others sum, and how their files become the sweep's own."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLDER = ".shards"


def shard_folder(output: Path, number: int) -> Path:
    """Give the folder of one part below the folder of the search."""
    return output / FOLDER / f"{number:03d}"


class SweepWanted(Exception):
    """Raised in the middle of a search where others are to sum the parts of its next sweep."""

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__(f"{len(order['shards'])} parts of a sweep")
        self.order = order


@dataclass(frozen=True, slots=True)
class Sharding:
    """What a search knows of those who may sum parts of its sweeps."""

    output: Path
    """Folder of the search; parts are looked for below it."""
    work: Path
    type_name: str
    most: int
    """Parts at most."""
    least_evaluations: int
    """A part has so many at least: a smaller one costs more to start than to sum."""

    def pieces(self, num_take_profits: int, num_evaluations: int) -> list[tuple[int, int]]:
        """Cut take-profits into runs that differ by one at most; none where it is not worth it."""
        number = min(self.most, num_take_profits, num_evaluations // max(1, self.least_evaluations))
        if number < 2:
            return []
        ends = [math.ceil(num_take_profits * place / number) for place in range(number + 1)]
        return list(pairwise(ends))

    def found(self, keys: Sequence[str]) -> Iterator[dict[str, Any] | None]:
        """Give what is told of each finished part, None for those that are not there."""
        for number, key in enumerate(keys):
            mark = shard_folder(self.output, number) / "shard.json"
            told = json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else {}
            yield told if told.get("key") == key else None

    def put_together(self, number: int, folder: Path) -> None:
        """Write the sums of so many parts behind one another into the files of the whole sweep."""
        for name in ("blocks.f8", "statistics.f8"):
            with (folder / name).open("wb") as whole:
                for part in range(number):
                    with (shard_folder(self.output, part) / name).open("rb") as piece:
                        shutil.copyfileobj(piece, whole, 1 << 20)
                whole.flush()

    def forget(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self.output / FOLDER, ignore_errors=True)

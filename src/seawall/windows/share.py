"""Which part of a global order one rank takes."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from seawall.errors import ConfigError

Deal: TypeAlias = Literal["batches", "tiles"]


@dataclass(frozen=True, slots=True)
class Share:
    """One of ``world_size`` ranks.

    ``batches``: the order is that of one process; each rank takes its part of each global batch, so the averaged
    gradient is the single-process one. ``tiles``: whole tiles are dealt to ranks in turn, so that no rank reads what
    another uses; the order then depends on the number of ranks.
    """

    rank: int = 0
    world_size: int = 1
    deal: Deal = "batches"

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            allowed = f"0 to {self.world_size - 1}"
            raise ConfigError("rank", "out of range", found=str(self.rank), allowed=allowed)
        if self.deal not in ("batches", "tiles"):
            raise ConfigError("deal", "unknown", found=repr(self.deal), allowed="batches or tiles")

    def part(self, start: int, stop: int) -> tuple[int, int]:
        """Cut a range of positions into one part a rank, sizes differing by one at most; give this rank's."""
        count = stop - start
        return start + self.rank * count // self.world_size, start + (self.rank + 1) * count // self.world_size


def check_batch(batch_size: int, share: Share) -> None:
    """Raise where a global batch cannot be shared out evenly.

    Raises
    ------
    ConfigError
        For a size below one, or not a multiple of the ranks.
    """
    if batch_size < 1:
        raise ConfigError("batch_size", "must be greater than zero", found=str(batch_size))
    if batch_size % share.world_size:
        what = f"a global batch must divide evenly among {share.world_size} ranks"
        nearest = max(1, round(batch_size / share.world_size)) * share.world_size
        raise ConfigError("batch_size", what, found=str(batch_size), do=f"Set it to {nearest}.")

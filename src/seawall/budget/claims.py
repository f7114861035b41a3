"""What a stage says it will need, before it starts: claims with a reason each, and the knobs they were computed for."""

from dataclasses import asdict, dataclass, field
from typing import Any

from seawall.units import MIB, format_bytes

LIBRARY_TEXT_BYTES = 64 * MIB
"""Library code pages a fresh container is charged for: 40-65 MiB measured for pyarrow, DuckDB and torch."""

KERNEL_BYTES = 12 * MIB
"""Page tables, kernel stacks and slab of a process tree of two, with room; a few MiB measured."""

DIRTY_WINDOW_BYTES = 32 * MIB
"""Written pages not yet on disk: writers flush and drop them in steps of at most this size."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One use of memory or disk: what for, how much, and the formula in words."""

    purpose: str
    bytes: int
    formula: str
    temporary: bool = False
    """Of disk claims: given back when the stage ends, so that later stages may use the space again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """Claims and knobs of one stage (or of one fold of it).

    ``private`` claims are memory the kernel cannot take back. ``cache`` claims are file pages and kernel memory that
    are charged to a container beside them. ``disk`` claims are bytes on disk. ``neutral`` knobs change no result and
    may shrink under pressure; ``semantic`` knobs do, and are kept on resume.
    """

    stage: str
    private: tuple[Claim, ...]
    cache: tuple[Claim, ...] = ()
    disk: tuple[Claim, ...] = ()
    reads: tuple[Claim, ...] = ()
    """Bytes read from disk at worst: every page cold at every pass. Empty where nobody has planned them."""
    neutral: dict[str, int] = field(default_factory=dict)
    semantic: dict[str, int] = field(default_factory=dict)

    @property
    def projected_private_bytes(self) -> int:
        """Private peak the plan promises to stay under."""
        return sum(claim.bytes for claim in self.private)

    @property
    def projected_cgroup_bytes(self) -> int:
        """Smallest container this stage is sure to finish in."""
        return self.projected_private_bytes + sum(claim.bytes for claim in self.cache)

    @property
    def projected_disk_bytes(self) -> int:
        """Bytes on disk at the worst moment."""
        return sum(claim.bytes for claim in self.disk)

    @property
    def planned_read_bytes(self) -> int:
        """Bytes the stage reads from disk at worst; 0 where it plans none."""
        return sum(claim.bytes for claim in self.reads)

    @property
    def worst(self) -> Claim:
        """The largest private claim."""
        return max(self.private, key=lambda claim: claim.bytes)

    def record(self) -> dict[str, Any]:
        """Give the plan as plain JSON values."""
        return {
            **asdict(self),
            "projected_private_bytes": self.projected_private_bytes,
            "projected_cgroup_bytes": self.projected_cgroup_bytes,
            "projected_disk_bytes": self.projected_disk_bytes,
        }


def container_claims(
    *, dirty_bytes: int = DIRTY_WINDOW_BYTES, library_text_bytes: int = LIBRARY_TEXT_BYTES
) -> tuple[Claim, ...]:
    """Give the usual cache claims of a stage: library text, kernel and page tables, the window of unwritten pages."""
    return (
        Claim("library text", library_text_bytes, "code pages of the imported libraries"),
        Claim("kernel", KERNEL_BYTES, "page tables, stacks and slab of parent and child"),
        Claim("dirty pages", dirty_bytes, f"writes are flushed every {format_bytes(dirty_bytes)} at the latest"),
    )

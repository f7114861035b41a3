"""Which order the memory at hand allows, and why; light to import, the planner asks before any work."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from seawall.budget.claims import Claim
from seawall.units import KIB, MIB, format_bytes

Order: TypeAlias = Literal["shuffle", "blocks", "by_time", "sequential"]
ORDERS: tuple[Order, ...] = ("shuffle", "blocks", "by_time", "sequential")

LARGEST_POOL_BYTES = 256 * MIB
"""A pool this large has as many entities a batch as a global shuffle (443 against 451 of 512 in a trial of 2,000)."""

ORDER_BYTES = 2 * MIB
"""A block of the permutation and its scratch."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An order, the pool it reads through (0: none, windows come from the mapped store), and the reason."""

    order: Order
    pool_bytes: int
    why: str


def choose_order(asked: str, data_bytes: int, room_bytes: int, pool_bytes: int | None = None) -> Chosen:
    """Choose how windows are ordered: pure, from what was asked, the data and the memory at hand.

    Parameters
    ----------
    asked
        An order, or ``auto``: ``shuffle`` where the data fit, else ``blocks``.
    data_bytes
        Bytes of all rows that windows are cut from.
    room_bytes
        Memory at hand for them, pages of the mapped store included.
    pool_bytes
        Size of a pool that was asked for; None leaves it to the memory at hand.
    """
    fits = data_bytes <= room_bytes
    sizes = f"{format_bytes(data_bytes)} of rows, {format_bytes(room_bytes)} at hand"
    pool = pool_bytes or max(min(room_bytes // 4, LARGEST_POOL_BYTES, data_bytes * 2), MIB)
    if asked == "auto" and fits:
        return Chosen("shuffle", 0, f"{sizes}: the rows stay in the page cache, so the shuffle is global")
    if asked in ("auto", "blocks"):
        what = "asked for" if asked == "blocks" else "random windows would read the disk many times over"
        return Chosen("blocks", pool, f"{sizes}: {what}; tiles are read into a pool of {format_bytes(pool)}")
    if asked == "by_time" and (not fits or pool_bytes is not None):
        return Chosen("by_time", pool, f"{sizes}: dates are read in slabs through a pool of {format_bytes(pool)}")
    order = next(order for order in ORDERS if order == asked)
    note = "" if fits or order == "sequential" else "; slow: each window reads the disk, blocks would not"
    return Chosen(order, 0, f"{sizes}: asked for{note}")


def stream_claims(chosen: Chosen, largest_batch: int, window_bytes: int) -> tuple[Claim, ...]:
    """Claim what a stream of windows holds: it does not grow with rows."""
    batches = Claim(
        "batches",
        3 * largest_batch * window_bytes,
        f"3 x {largest_batch:,} windows x {format_bytes(window_bytes)} (used, ready, being gathered)",
    )
    order = Claim("order", ORDER_BYTES, f"one block of the permutation: {format_bytes(256 * KIB)} and scratch")
    if not chosen.pool_bytes:
        return batches, order
    pools = Claim("pools", 2 * chosen.pool_bytes, f"2 x {format_bytes(chosen.pool_bytes)} (emitted, being read)")
    return batches, order, pools

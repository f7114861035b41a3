"""Pages of a mapped panel that a stage which reads by date asks for again and again: lent by the kernel, not held."""

from seawall.budget.claims import Claim
from seawall.stores.shape import PanelShape
from seawall.units import KIB, MIB

FEWEST_PAGE_BYTES = 8 * MIB
"""Pages of the panel such a stage is never planned without."""

PAGE_BYTES = 4 * KIB
"""Smallest piece of a mapped file the kernel reads and keeps."""


def pages_claim(shape: PanelShape, room_bytes: int) -> Claim:
    """Claim the pages that successive dates share, or as many as there is room for.

    The kernel may take them back: with fewer, some are read from disk again for each row group, which costs time alone.
    """
    wanted_bytes = _page_bytes(shape)
    formula = f"one 4 KiB page per entity ({shape.num_entities:,}) and file, so that each is read from disk once"
    if wanted_bytes <= room_bytes:
        return Claim("panel pages", wanted_bytes, formula)
    fewest_bytes = min(wanted_bytes, FEWEST_PAGE_BYTES)
    return Claim("panel pages", max(fewest_bytes, room_bytes), f"what is left, of {wanted_bytes:,} B: {formula}")


def _page_bytes(shape: PanelShape) -> int:
    """Pages of time index, returns, adjustment and prices that successive dates share; no more than the files have."""
    widths = (4, 8 * shape.num_targets, 8, 8 * shape.num_prices)
    return sum(min(shape.num_entities * PAGE_BYTES, shape.num_rows * width) for width in widths)

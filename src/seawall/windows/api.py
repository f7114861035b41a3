"""Windows of a panel for anybody's own training loop."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seawall.stores.panel import Panel
from seawall.windows.gather import Gather
from seawall.windows.samples import select_samples
from seawall.windows.stream import Order, Windows


def windows(
    panel: Panel | str | Path,
    *,
    lookback: int,
    batch: int = 512,
    order: Order = "shuffle",
    features: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seed: int = 0,
) -> Windows:
    """Iterate over all legal windows of a panel, resumable at every batch.

    Features come as stored: unscaled, NaN where missing. Targets are unscaled, NaN where undefined; rows are not
    dropped for a missing target. Memory is two batches; the order is computed, not stored.

    Parameters
    ----------
    lookback
        Consecutive rows of an entity that a window holds.
    batch
        Windows in a batch; the last one of an epoch may be short.
    order
        ``shuffle`` (a new keyed permutation each epoch) or ``sequential`` (by entity, then time).
    features, targets
        Column names; None takes all.

    Raises
    ------
    ConfigError
        For unknown columns, or where no entity has ``lookback`` rows.

    Examples
    --------
    ::

        for batch in sw.windows(panel, lookback=60, batch=512):
            batch.x, batch.y, batch.row        # float32 [B, L, F], float32 [B, K], int64 [B]
    """
    opened = panel if isinstance(panel, Panel) else Panel(panel)
    gather = Gather(
        opened,
        lookback,
        features=columns_of(opened, "features", features),
        targets=columns_of(opened, "targets", targets),
    )
    samples = select_samples(opened, (0, opened.shape.num_dates), lookback)
    return Windows(gather, samples, batch_size=batch, order=order, seed=seed)


def columns_of(panel: Panel, group: str, names: Sequence[str] | None) -> tuple[int, ...]:
    """Find the columns of a group by name, in the order asked for; None gives all."""
    if names is None:
        return tuple(np.arange(len(panel.names(group))).tolist())
    return tuple(panel.column_index(group, name) for name in names)

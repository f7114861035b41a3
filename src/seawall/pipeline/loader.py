"""``sw.windows`` and ``sw.folds``: of a store, of files or of a table in memory, for anybody's own training loop."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from seawall.errors import ConfigError
from seawall.pipeline.cache import open_panel
from seawall.windows.api import NamedWindows, WindowsChoice, make_windows
from seawall.windows.share import Deal

if TYPE_CHECKING:
    from seawall.arrays import Float32
    from seawall.windows.combinatorial import Combinatorial
    from seawall.windows.folds import Dated, Length, Rolling
    from seawall.windows.samples import Samples
    from seawall.windows.scaling import Scaling
    from seawall.windows.splits import PanelFolds


def windows(  # noqa: PLR0913 - the one place where a stranger sees all there is to choose
    data: object,
    *,
    lookback: int,
    batch: int = 512,
    order: str = "auto",
    seed: int = 0,
    columns: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    sequence_targets: bool = False,
    mask: bool = False,
    missing: str = "keep",
    samples: "Samples | None" = None,
    scaling: "Scaling | str | None" = None,
    static: "Float32 | Sequence[str] | None" = None,
    rank: int = 0,
    world_size: int = 1,
    deal: Deal = "batches",
    pool: str | int | None = None,
    memory: str | int | None = None,
    as_: Literal["numpy", "torch"] = "numpy",
    ingest: Mapping[str, Any] | None = None,
) -> NamedWindows:
    """Iterate over all legal windows of a panel, resumable at every batch.

    Each batch is a dictionary: ``x`` float32 [B, L, F] (a window's oldest row first), ``y`` float32 [B, K] of its last
    row, ``row``, ``entity``, ``time`` int64 [B]. Features and targets come as stored, NaN where missing, unless
    ``scaling`` is asked for; no row is dropped for a missing target. Nothing after a window's last row is read into
    ``x``. Memory is three batches and, where the order needs one, two pools; it does not grow with rows.

    Parameters
    ----------
    data
        A panel or the path of one; or a CSV or Parquet path, or a table in memory: it is ingested once, then found
        again by its content in a cache folder (see :func:`seawall.pipeline.cache.open_panel`).
    lookback
        Consecutive rows of an entity that a window holds.
    batch
        Windows of a global batch; the last one of an epoch may be short. A rank gets its part of each.
    order
        ``shuffle`` (a keyed permutation of all windows, new each epoch), ``blocks`` (tiles read into a pool, the pool
        shuffled: for stores larger than memory), ``by_time`` (a batch is one date's cross-section), ``sequential``.
        ``auto`` takes ``shuffle`` where the rows fit the memory at hand, else ``blocks``; ``describe()`` says why.
    seed
        The order is a function of it and of the epoch alone.
    columns, targets
        Names; None takes all.
    sequence_targets
        ``y`` float32 [B, L, K]: the targets of every step.
    mask
        Also ``mask`` bool [B, L, F], True where a value is stored; missing values become 0.
    missing
        ``keep`` or ``zero``.
    samples
        Windows of these alone: ``train``, ``valid`` or ``test`` of a fold of :func:`folds`, cut with the same lookback.
    scaling
        ``zscore`` scales features by mean and deviation of the samples of this stream, clips them at five deviations
        and makes missing ones 0, the mean. ``.scaling`` of the windows of train goes to those of valid and test.
    static
        Names of ``panel.attributes`` (numbers as they are, texts as codes in sorted order, NaN where missing), or
        float32 [E, S] in the order of ``panel.entities``: a batch then has ``static`` float32 [B, S].
    rank, world_size
        Each rank takes its part of each global batch: together they see what one process sees.
    deal
        ``tiles`` gives each rank tiles of its own (order ``blocks``): nothing is read twice, the order depends on
        ``world_size``.
    pool, memory
        Sizes such as ``"64MiB"``; what the machine offers where missing.
    as_
        ``numpy`` arrays, or ``torch`` tensors that share their memory.
    ingest
        For tables: ``entity``, ``time`` and any other key of the config's ``ingest`` section.

    Returns
    -------
    NamedWindows
        One epoch each time it is iterated; ``state()`` and ``load_state()`` between any two batches.

    Raises
    ------
    ConfigError
        For unknown columns or orders, or where no entity has ``lookback`` rows.

    Examples
    --------
    ::

        for batch in sw.windows("market.panel", lookback=60, batch=512, as_="torch"):
            loss = criterion(model(batch["x"]), batch["y"])
    """
    choice = WindowsChoice(
        lookback=lookback,
        batch=batch,
        order=order,
        seed=seed,
        columns=columns,
        targets=targets,
        sequence_targets=sequence_targets,
        mask=mask,
        missing=missing,
        scaling=scaling,
        static=static,
        rank=rank,
        world_size=world_size,
        deal=deal,
        pool=pool,
        memory=memory,
    )
    panel = open_panel(data, ingest, memory=memory)
    if as_ == "torch":
        from seawall.bridges.torch_data import to_tensors

        return make_windows(panel, choice, samples=samples, convert=to_tensors)
    if as_ != "numpy":
        raise ConfigError("as_", "unknown", found=repr(as_), allowed="numpy or torch")
    return make_windows(panel, choice, samples=samples)


def folds(  # noqa: PLR0913 - the one place where a stranger sees all there is to choose
    data: object,
    *,
    train: "Length | None" = None,
    valid: "Length | None" = None,
    test: "Length | None" = None,
    dates: "Sequence[Dated]" = (),
    rolling: "Rolling | None" = None,
    combinatorial: "Combinatorial | None" = None,
    lookback: int = 1,
    targets: Sequence[str] | None = None,
    ingest: Mapping[str, Any] | None = None,
) -> "PanelFolds":
    """Cut a panel into folds, purged by when targets end: no train or valid row knows of the next segment.

    Give ``train``, ``valid`` and ``test``, or a ``rolling``, or ``dates``: they walk forward. Or ``combinatorial``.

    Parameters
    ----------
    data
        A panel or the path of one, table files, or a table in memory, as :func:`windows` takes them.
    train, valid, test
        Lengths of the segments, numbers of dates or spans (``3y``, ``6mo``, ``2w``).
    dates
        Folds by their dates.
    rolling
        Lengths with step, gap, embargo or an expanding train.
    combinatorial
        Every choice of test groups once, with train before and after them.
    lookback
        Consecutive rows a sample needs; it may reach back over the start of a segment.
    targets
        Names of the targets that purge; None takes all.
    ingest
        For tables: ``entity``, ``time`` and any other key of the config's ``ingest`` section.

    Returns
    -------
    PanelFolds
        Iterated, counted, drawn by ``describe()``, or given to scikit-learn by ``split()``.

    Raises
    ------
    ConfigError
        Where no fold fits, or the lengths are not given.

    Notes
    -----
    Memory is some bytes a date and 32 for each run of consecutive rows; row ids of a segment only when asked for.

    Examples
    --------
    ::

        for train, test in sw.folds(panel, train="3y", valid="6mo", test="6mo").split():
            model.fit(x[train], y[train]).predict(x[test])
    """
    from seawall.windows.splits import folds as cut

    return cut(
        open_panel(data, ingest),
        train=train,
        valid=valid,
        test=test,
        dates=dates,
        rolling=rolling,
        combinatorial=combinatorial,
        lookback=lookback,
        targets=targets,
    )

"""The cases. Each docstring says which question it answers."""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from bench.harness import in_turn, show
from seawall.datasets import pse_equities
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
from seawall.metrics import information_coefficient, rank_information_coefficient
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.units import MIB
from seawall.windows.api import windows


def gather() -> None:
    """Tell how near the window gather is to memcpy: lookback 60 x 32 float32, batch 512, shuffle, warm, one thread."""
    with tempfile.TemporaryDirectory() as folder:
        panel = _synthetic_panel(Path(folder) / "x.panel", num_entities=400, num_rows=1000, num_features=32)
        batches = 200
        stream = windows(panel, lookback=60, batch=512)
        rows = [stream.rows(0, step) for step in range(batches)]
        source = np.array(panel.features)
        view = np.lib.stride_tricks.sliding_window_view(source, (60, 32))[:, 0]
        target = np.empty((512, 60, 32), np.float32)
        blocks = source[: len(source) // 30_720 * 30_720].reshape(-1, 512, 60, 32)

        def ours() -> None:
            for batch in rows:
                stream.gather.features(batch)

        def copy() -> None:
            for step in range(batches):
                np.copyto(target, blocks[step % len(blocks)])

        def plain_view() -> None:
            for batch in rows:
                view[batch - 59]

        def per_sample() -> None:
            for batch in rows:
                np.stack([source[row - 59 : row + 1] for row in batch])

        timings = in_turn(
            {
                "memcpy of a batch": copy,
                "seawall": ours,
                "sliding_window_view": plain_view,
                "per-sample slices": per_sample,
            },
            repeats=5,
        )
        show("window gather: 200 batches of 512 x 60 x 32", timings, unit="windows", amount=batches * 512)


def read_csv() -> None:
    """Compare a checked, sorted, checksummed store with pandas, which reads, sorts and writes nothing."""
    config = IngestConfig(
        sources=("dataset:pse_equities",),
        entity="symbol",
        time="date",
        prices=("open", "high", "low", "close"),
        values=("value",),
        features={"value": "value"},
    )
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "pse.csv"
        with gzip.open(pse_equities(), "rb") as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file)
        from_plain = config.model_copy(update={"sources": (str(plain),)})

        def ours() -> None:
            ingest(from_plain, Path(folder) / "x.panel", budget_bytes=512 * MIB)

        def with_pandas() -> None:
            frame = pd.read_csv(plain, parse_dates=["date"])
            frame.sort_values(["symbol", "date"]).drop_duplicates(["symbol", "date"])

        timings = in_turn({"pandas read_csv + sort_values": with_pandas, "seawall ingest": ours}, repeats=3)
        show("ingest: 538,408 rows, 24 MB of CSV", timings, unit="rows", amount=538_408)


def correlation() -> None:
    """Compare exact IC and Rank IC with SciPy date by date and pandas groupby: 500 dates x 400 names."""
    rng = np.random.default_rng(0)
    predictions, targets = rng.standard_normal((2, 500, 400))
    frame = pd.DataFrame({"date": np.repeat(np.arange(500), 400), "p": predictions.ravel(), "t": targets.ravel()})

    def ours() -> None:
        for p, t in zip(predictions, targets, strict=True):
            information_coefficient(p, t)
            rank_information_coefficient(p, t)

    def with_scipy() -> None:
        for p, t in zip(predictions, targets, strict=True):
            stats.pearsonr(p, t)
            stats.spearmanr(p, t)

    def with_pandas() -> None:
        groups = frame.groupby("date")
        groups.apply(lambda g: g["p"].corr(g["t"]))
        groups.apply(lambda g: g["p"].corr(g["t"], method="spearman"))

    timings = in_turn({"seawall": ours, "scipy": with_scipy, "pandas groupby": with_pandas}, repeats=5)
    show("IC and Rank IC: 200,000 rows", timings, unit="rows", amount=200_000)


def _synthetic_panel(path: Path, *, num_entities: int, num_rows: int, num_features: int) -> Panel:
    rng = np.random.default_rng(0)
    times = np.arange(num_rows, dtype=np.int64)
    spec = PanelSpec(
        calendar_kind="step",
        columns=tuple(ColumnSpec(f"f{i}", "features", "float32") for i in range(num_features)),
        targets=(),
    )
    with PanelWriter(path, spec, times) as writer:
        for number in range(num_entities):
            block = EntityBlock(
                names=[f"E{number:05d}"],
                lengths=np.array([num_rows]),
                times=times,
                features=rng.standard_normal((num_rows, num_features), np.float32),
                returns=np.empty((num_rows, 0)),
                target_end=np.empty((num_rows, 0), np.int64),
                prices=np.empty((num_rows, 0)),
                adjustment=np.ones(num_rows),
                universe=np.ones(num_rows, bool),
            )
            writer.append(block)
        writer.finish(sources=[], ingest={}, slab_bytes=64 * MIB)
    return Panel(path)


CASES: dict[str, Callable[[], None]] = {"gather": gather, "ingest": read_csv, "correlation": correlation}

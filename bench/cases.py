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
from bench.limits import limits, meter
from bench.loader import loader
from bench.metrics import metrics
from bench.predict import predict
from bench.search import search
from bench.train import train
from bench.wait import wait
from seawall.datasets import pse_equities
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
from seawall.metrics import information_coefficient, rank_information_coefficient
from seawall.units import MIB


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


CASES: dict[str, Callable[[], None]] = {
    "search": search,
    "loader": loader,
    "ingest": read_csv,
    "correlation": correlation,
    "metrics": metrics,
    "limits": limits,
    "meter": meter,
    "train": train,
    "wait": wait,
    "predict": predict,
}

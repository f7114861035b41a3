"""Append, compact and export hold no more than they claim, and claim not much more than they hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import seawall as sw
from seawall.budget.limits import find_budget
from seawall.pipeline import upkeep
from seawall.pipeline.run import Silent
from seawall.pipeline.upkeep import Upkeep
from seawall.units import MIB

MEMORY = "512MiB"
NUM_ENTITIES = 2000


def bars(first: int, last: int) -> pd.DataFrame:
    rng, num_dates = np.random.default_rng(first), last - first
    days = pd.bdate_range("2020-01-01", periods=last)[first:].strftime("%Y-%m-%d")
    names = [f"S{number:05d}" for number in range(NUM_ENTITIES)]
    frame = pd.DataFrame({"symbol": np.tile(names, num_dates), "date": np.repeat(days, NUM_ENTITIES)})
    return frame.assign(close=np.round(50 + rng.normal(0, 1, len(frame)), 2), volume=rng.integers(1, 9999, len(frame)))


@pytest.mark.slow
def test_upkeep_stays_between_its_claims(tmp_path: Path) -> None:
    bars(0, 80).to_csv(tmp_path / "old.csv", index=False)
    bars(80, 81).to_csv(tmp_path / "new.csv", index=False)
    panel = tmp_path / "x.panel"
    sw.ingest(
        tmp_path / "old.csv",
        panel,
        entity="symbol",
        time="date",
        prices=["close"],
        features={"mean_20": "avg(close) OVER (entity ROWS 19 PRECEDING)", "log_volume": "ln(volume)"},
        settings={
            "values": ["volume"],
            "targets": {"fwd": {"forward_return": {"column": "close", "horizon_periods": 5}}},
        },
        memory=MEMORY,
    )

    def work(stage: str) -> Upkeep:
        return Upkeep(stage, panel, find_budget(MEMORY), Silent(), "the same command")

    records = [upkeep.append(work("append"), [str(tmp_path / "new.csv")])]
    records += [upkeep.export(work("export"), kind, tmp_path / kind) for kind in ("parquet", "qlib")]
    records.append(upkeep.compact(work("compact")))
    for record in records:
        measured, projected = record["measured_private_bytes"], record["projected_private_bytes"]
        assert measured <= projected <= 1.5 * measured + 32 * MIB, record["stage"]

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.errors import BudgetError
from seawall.ingest import memory
from seawall.ingest.run import ingest
from seawall.stores.panel import Panel
from seawall.units import MIB
from tests.ingest import world
from tests.ingest.world import BUDGET_BYTES, ingested, market, second_opinion
from tests.support import quick_folder


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def test_the_panel_equals_an_independent_recomputation_in_pandas(tmp_path: Path) -> None:
    frame = market()
    panel, report = ingested(tmp_path / "m.panel", write(tmp_path / "m.csv", frame.sample(frac=1, random_state=1)))
    expected = second_opinion(frame)
    assert panel.entities == sorted(frame["symbol"].unique())
    assert [panel.entities[i] for i in panel.entity_of(np.arange(len(expected)))] == expected["symbol"].tolist()
    np.testing.assert_array_equal(panel.times_as_datetime()[panel.time_index], pd.to_datetime(expected["date"]))
    np.testing.assert_array_equal(panel.prices, expected[["open", "high", "low", "close"]])
    np.testing.assert_allclose(panel.adjustment, expected["adjustment"], rtol=1e-14)
    features = expected[["ret_1", "mean_5", "std_10", "range", "days"]].to_numpy(float)
    np.testing.assert_allclose(panel.features, features, rtol=2e-7, atol=1e-8)
    returns = expected[["fwd_3", "fwd_1"]].to_numpy(float)
    np.testing.assert_allclose(panel.returns, returns, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(panel.targets, panel.returns.astype(np.float32))
    np.testing.assert_array_equal(panel.target_end, expected[["fwd_3_end", "fwd_1_end"]])
    np.testing.assert_array_equal(panel.universe, expected["universe"])
    assert report["rows_read"] == report["rows_kept"] == len(frame)
    assert report["universe_share"] == pytest.approx(expected["universe"].mean())
    shares = {name: expected[name].isna().mean() for name in report["missing_shares"]}
    assert report["missing_shares"] == pytest.approx(shares)
    panel.verify()


def test_a_real_jump_survives_and_a_change_of_scale_is_adjusted_and_listed(tmp_path: Path) -> None:
    frame = market()
    panel, report = ingested(tmp_path / "m.panel", write(tmp_path / "m.csv", frame))
    found = {(entry["entity"], entry["kind"]): entry for entry in report["scale_breaks"]}
    assert list(found) == [("SCALE", "detected"), ("SPLIT", "declared")]
    assert found["SCALE", "detected"]["factor"] == pytest.approx(10, rel=0.05)
    assert found["SPLIT", "declared"]["factor"] == 0.5
    assert found["SPLIT", "declared"]["time"] == "2020-02-14"
    start, stop = panel.offsets[panel.entities.index("JUMP") :][:2]
    assert (panel.adjustment[start:stop] == 1).all()
    jump = frame[frame["symbol"] == "JUMP"]["close"].pct_change().max()
    assert jump == pytest.approx(0.6, rel=1e-3)
    assert np.nanmax(np.expm1(panel.features[start:stop, 0])) == pytest.approx(jump, rel=1e-6)
    assert report["num_suspicious_jumps"] == 1
    assert report["suspicious_jumps"][0]["entity"] == "JUMP"
    assert report["suspicious_jumps"][0]["ratio"] == pytest.approx(1 + jump)


def test_a_target_over_a_change_of_scale_earns_only_what_was_earned(tmp_path: Path) -> None:
    frame = market()
    plain = frame.copy()
    tenfold = (plain["symbol"] == "SCALE") & (plain["close"] > 200)
    plain.loc[tenfold, ["open", "high", "low", "close"]] /= 10
    names = {"adjustment": {"detect": True}}
    adjusted, _ = ingested(tmp_path / "a.panel", write(tmp_path / "a.csv", frame), **names)
    never, _ = ingested(tmp_path / "b.panel", write(tmp_path / "b.csv", plain), **names)
    start, stop = adjusted.offsets[adjusted.entities.index("SCALE") :][:2]
    difference = np.abs(adjusted.returns[start:stop, 0] - never.returns[start:stop, 0])
    assert np.nanmax(difference) < 0.03, "only the overnight move over the break is counted as zero"
    assert np.nanmax(adjusted.returns[start:stop, 0]) < 0.3


@pytest.fixture(scope="module")
def expected_key() -> str:
    with quick_folder() as folder:
        panel, _ = ingested(folder / "m.panel", write(folder / "m.csv", market()))
        return panel.content_key


def as_parquet(path: Path, frame: pd.DataFrame, **changes: "pd.Series[Any]") -> Path:
    frame.assign(**changes).to_parquet(path, index=False, row_group_size=97)
    return path


def as_gzip(path: Path, frame: pd.DataFrame) -> Path:
    path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    return path


def as_day_first(path: Path, frame: pd.DataFrame) -> Path:
    return write(path, frame.assign(date=pd.to_datetime(frame["date"]).dt.strftime("%d/%m/%Y")))


def with_quotes_and_other_columns(path: Path, frame: pd.DataFrame) -> Path:
    frame.assign(note='say "hi", twice')[["note", *reversed(frame.columns)]].to_csv(path, index=False, quoting=2)
    return path


FORMATS = {
    "csv.gz": lambda folder, frame: as_gzip(folder / "m.csv.gz", frame),
    "parquet with text times": lambda folder, frame: as_parquet(folder / "m.parquet", frame),
    "parquet with timestamps": lambda folder, frame: as_parquet(
        folder / "m.parquet", frame, date=pd.to_datetime(frame["date"]).dt.as_unit("us")
    ),
    "parquet with time zones": lambda folder, frame: as_parquet(
        folder / "m.parquet",
        frame,
        date=pd.to_datetime(frame["date"]).dt.tz_localize("UTC").dt.tz_convert("Asia/Manila"),
    ),
    "parquet with dates": lambda folder, frame: as_parquet(
        folder / "m.parquet", frame, date=pd.to_datetime(frame["date"]).dt.date
    ),
    "parquet with categories": lambda folder, frame: as_parquet(
        folder / "m.parquet", frame, symbol=frame["symbol"].astype("category")
    ),
    "day-first csv": lambda folder, frame: as_day_first(folder / "m.csv", frame),
    "quoted csv with other columns": lambda folder, frame: with_quotes_and_other_columns(folder / "m.csv", frame),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_the_same_table_makes_the_same_content(tmp_path: Path, expected_key: str, name: str) -> None:
    time = "14/02/2020" if name == "day-first csv" else "2020-02-14"
    adjustment = {"detect": True, "declared": [{"entity": "SPLIT", "time": time, "factor": 0.5}]}
    panel, _ = ingested(tmp_path / "m.panel", FORMATS[name](tmp_path, market()), adjustment=adjustment)
    assert panel.content_key == expected_key


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    num_files=st.integers(1, 5),
    bucket_bytes=st.sampled_from([500, 5_000, 20_000, 10**7]),
    mixed=st.booleans(),
)
def test_row_order_files_and_bucket_size_never_change_the_content(
    expected_key: str, seed: int, num_files: int, bucket_bytes: int, mixed: bool
) -> None:
    frame = market().sample(frac=1, random_state=seed)
    part = np.random.default_rng(seed).integers(0, num_files, len(frame))
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "BUCKET_BYTES", bucket_bytes)
        patch.setattr(memory, "BUCKET_BYTES_MIN", bucket_bytes)
        source = folder / "source"
        source.mkdir()
        for number in range(num_files):
            rows = frame[part == number]
            if mixed and number % 2:
                as_parquet(source / f"{number}.parquet", rows)
            else:
                write(source / f"{number}.csv", rows)
        panel, report = ingested(folder / "m.panel", source)
        assert panel.content_key == expected_key
        assert report["rows_kept"] == len(frame)


@pytest.mark.parametrize("budget_bytes", [220 * MIB, 240 * MIB, 1024 * MIB])
def test_the_budget_never_changes_the_content(tmp_path: Path, expected_key: str, budget_bytes: int) -> None:
    source = write(tmp_path / "m.csv", market())
    summary = ingest(world.settings(source), tmp_path / "m.panel", budget_bytes=budget_bytes)
    assert summary["content_key"] == expected_key


def test_a_budget_below_the_floor_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "m.csv", market())
    with pytest.raises(BudgetError, match="Declare --memory"):
        ingest(world.settings(source), tmp_path / "m.panel", budget_bytes=64 * MIB)
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


def test_without_expressions_prices_or_targets_only_keys_and_the_universe_are_stored(tmp_path: Path) -> None:
    source = write(tmp_path / "m.csv", market())
    bare: dict[str, Any] = {"prices": (), "values": (), "derived": {}, "features": {}, "targets": {}, "universe": None}
    panel, _ = ingested(tmp_path / "m.panel", source, adjustment={}, **bare)
    assert panel.universe.all()
    assert panel.features.shape == (len(market()), 0)
    assert not list((tmp_path / "m.panel").rglob("prices.npy"))


def test_a_calendar_of_steps_works_like_one_of_days(tmp_path: Path) -> None:
    frame = pd.DataFrame({"reach": np.repeat(["b", "a"], 5), "step": [5, 3, 1, 9, 7] * 2, "flow": np.arange(10.0)})
    panel, report = ingested(
        tmp_path / "m.panel",
        write(tmp_path / "m.csv", frame),
        entity="reach",
        time="step",
        prices=("flow",),
        values=(),
        derived={},
        adjustment={"declared": [{"entity": "a", "time": "7", "factor": 2.0}]},
        features={"lag": "lag(flow) OVER entity", "gap": "step - lag(step) OVER entity"},
        targets={"next": {"forward_return": {"column": "flow", "horizon_periods": 1, "delay_periods": 0}}},
        universe="step > 3",
        drop_rows={"first": "step = 1"},
    )
    assert panel.calendar_kind == "step"
    assert panel.calendar.tolist() == [3, 5, 7, 9]
    assert panel.prices[:, 0].tolist() == [6, 5, 9, 8, 1, 0, 4, 3]
    np.testing.assert_array_equal(panel.features[:4], [[np.nan, np.nan], [6, 2], [5, 2], [9, 2]])
    assert panel.adjustment.tolist() == [1, 1, 2, 2, 1, 1, 1, 1]
    np.testing.assert_allclose(panel.returns[:4, 0], [5 / 6 - 1, 4.5 / 5 - 1, 8 / 9 - 1, np.nan])
    assert panel.target_end[:4, 0].tolist() == [1, 2, 3, -1]
    assert panel.universe.tolist() == [False, True, True, True] * 2
    assert report["dropped_rows"] == {"first": 2}
    assert (report["first_time"], report["last_time"]) == ("3", "9")


def test_parquet_with_integer_times_is_a_calendar_of_steps_and_takes_declared_breaks(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [7, 7, 7], "step": [1, 2, 3], "flow": [1.0, 2.0, 3.0]})
    panel, _ = ingested(
        tmp_path / "m.panel",
        as_parquet(tmp_path / "m.parquet", frame),
        entity="id",
        time="step",
        prices=("flow",),
        values=(),
        derived={},
        features={"f": "flow"},
        targets={},
        universe=None,
        adjustment={"declared": [{"entity": "7", "time": "2", "factor": 2.0}]},
    )
    assert panel.entities == ["7"]
    assert panel.adjustment.tolist() == [1, 2, 2]


def test_the_report_counts_what_a_careful_reader_would_ask_for(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["A"] * 6 + ["B"] * 3,
            "date": [f"2020-01-{day:02d}" for day in (1, 2, 3, 6, 7, 8, 1, 6, 8)],
            "close": [1.0, 2.0, 0.0, 1.0, 1.1, 1e39, 5.0, 5.0, 5.0],
        }
    )
    panel, report = ingested(
        tmp_path / "m.panel",
        write(tmp_path / "m.csv", frame),
        prices=("close",),
        values=(),
        derived={},
        adjustment={},
        features={"close": "close", "one": "1", "infinite": "CASE WHEN close > 4 THEN 'inf'::DOUBLE ELSE close END"},
        targets={"next": {"forward_return": {"column": "close", "horizon_periods": 1, "delay_periods": 0}}},
        universe="close > 1",
        drop_rows={"cheap": "close < 0.5"},
    )
    assert report["rows_read"] == 9
    assert report["rows_kept"] == 8
    assert report["dropped_rows"] == {"cheap": 1}
    assert report["constant_columns"] == ["one"]
    assert report["num_gaps"] == 2
    assert report["longest_gap_dates"] == 1
    assert report["infinite_values"] == {"infinite": 4}
    assert report["lossy_casts"] == {"close": 1}
    assert report["missing_shares"] == {"close": 0.0, "one": 0.0, "infinite": 0.5}
    assert report["universe_share"] == pytest.approx(6 / 8)
    assert np.isfinite(panel.features[:, :1]).sum() == 7, "a value beyond float32 is missing, never infinite"
    assert np.isnan(panel.returns[3, 0]), "a return beyond the training cast is undefined"


def test_progress_is_told_with_units(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        seen.append((substep, done, total))

    ingest(
        world.settings(write(tmp_path / "m.csv", market())), tmp_path / "m.panel", budget_bytes=BUDGET_BYTES, beat=beat
    )
    order = list(dict.fromkeys(substep for substep, *_ in seen))
    assert order == ["sample", "read and scatter", "sort and compute", "index and checksum"]


def test_ingest_again_gives_the_same_bytes_but_for_the_segment(tmp_path: Path) -> None:
    source = write(tmp_path / "m.csv", market())
    first, _ = ingested(tmp_path / "m.panel", source)
    second, _ = ingested(tmp_path / "m.panel", source)
    sums = [[record["xxh3_64"] for record in panel.manifest["files"].values()] for panel in (first, second)]
    assert sums[0] == sums[1]
    assert first.content_key == second.content_key


def test_the_manifest_keeps_expressions_and_sources(tmp_path: Path) -> None:
    source = write(tmp_path / "m.csv", market())
    panel, _ = ingested(tmp_path / "m.panel", source)
    columns = {column["name"]: column for column in panel.manifest["columns"] if column["group"] == "features"}
    assert columns["mean_5"]["expression"] == world.SETTINGS["features"]["mean_5"]
    (record,) = panel.manifest["sources"]
    assert record["path"] == str(source)
    assert record["bytes"] == source.stat().st_size
    assert Panel(tmp_path / "m.panel").shape.source_bytes == source.stat().st_size


DECLARED: list[dict[str, Any]] = [
    {"entity": "A", "time": "2020-01-01", "factor": 7.0},  # its first row: nothing before it to compare with
    {"entity": "A", "time": "2020-01-03", "factor": 2.0},  # two in one suspension
    {"entity": "A", "time": "2020-01-04", "factor": 3.0},
    {"entity": "B", "time": "2020-01-02", "factor": 1.0},  # a real move that the rule would take for a break
    {"entity": "B", "time": "2020-01-09", "factor": 5.0},  # after its last row
]


def test_declared_breaks_fall_on_the_next_row_multiply_and_overrule_the_rule(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "symbol": list("AAAABBB"),
            "date": [f"2020-01-{day:02d}" for day in (1, 2, 6, 7, 1, 2, 3)],
            "close": [10.0, np.nan, 12.0, 13.0, 10.0, 40.0, 40.0],
        }
    )
    columns = dict.fromkeys(("open", "high", "low", "close"), "close")
    panel, report = ingested(
        tmp_path / "m.panel",
        write(tmp_path / "m.csv", frame),
        prices=("close",),
        values=(),
        derived={},
        features={"close": "close"},
        targets={"next": {"forward_return": {"column": "close", "horizon_periods": 1, "delay_periods": 0}}},
        universe=None,
        adjustment={"detect": True, **columns, "declared": DECLARED},
    )
    assert panel.adjustment.tolist() == [1, 1, 6, 6, 1, 1, 1]
    np.testing.assert_allclose(panel.returns[:, 0], [np.nan, np.nan, 13 / 12 - 1, np.nan, 3, 0, np.nan])
    assert report["scale_breaks"] == [
        {"entity": "A", "time": "2020-01-06", "factor": 6.0, "kind": "declared", "before": None, "after": 12.0}
    ]


KILLED = """
import json, os, signal, sys
from pathlib import Path
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
def beat(substep, done=0, total=0, **numbers):
    if substep == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
ingest(IngestConfig(**json.loads(sys.argv[1])), Path(sys.argv[2]), budget_bytes=400 << 20, beat=beat)
"""


@pytest.mark.parametrize("substep", ["read and scatter", "sort and compute", "index and checksum"])
def test_a_kill_at_any_step_loses_nothing_and_the_next_ingest_clears_up(tmp_path: Path, substep: str) -> None:
    source = write(tmp_path / "m.csv", market())
    old, _ = ingested(tmp_path / "m.panel", source)
    (tmp_path / "m.csv").write_text(source.read_text().replace("JUMP", "LEAP"))
    config = world.settings(source).model_dump_json()
    environment = {**os.environ, "PYTHONPATH": "src"}
    command = [sys.executable, "-c", KILLED, config, str(tmp_path / "m.panel"), substep]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    survivor = Panel(tmp_path / "m.panel")
    survivor.verify()
    assert survivor.content_key == old.content_key
    again, _ = ingested(tmp_path / "m.panel", source)
    assert "LEAP" in again.entities
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.panel"]
    assert len(list((tmp_path / "m.panel").iterdir())) == 2, "the manifest and one segment"


def test_the_largest_jumps_are_listed_whatever_the_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d")
    wild = [
        pd.DataFrame({"symbol": f"E{number:02d}", "date": days, "close": np.exp(rng.normal(0, 0.5, 60))})
        for number in range(20)
    ]
    source = write(tmp_path / "m.csv", pd.concat(wild))
    changes: dict[str, Any] = {"prices": ("close",), "values": (), "derived": {}, "adjustment": {}, "universe": None}
    changes |= {"features": {"close": "close"}, "targets": {}}
    _, whole = ingested(tmp_path / "a.panel", source, **changes)
    monkeypatch.setattr(memory, "BUCKET_BYTES", 2000)
    monkeypatch.setattr(memory, "BUCKET_BYTES_MIN", 2000)
    _, pieces = ingested(tmp_path / "b.panel", source, **changes)
    assert whole == pieces
    ratio = pd.concat([frame["close"] / frame["close"].shift() for frame in wild])
    jumps = ratio[(ratio > 1.5) | (ratio < 1 / 1.5)]
    assert whole["num_suspicious_jumps"] == len(jumps) > 200
    largest = np.sort(np.abs(np.log(jumps)))[::-1][:50]
    np.testing.assert_allclose([abs(np.log(jump["ratio"])) for jump in whole["suspicious_jumps"]], largest)

"""The claims of evaluate: light to compute, above what is measured, and not far above."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.errors import BudgetError
from seawall.evaluate import memory
from seawall.evaluate.config import EvaluateConfig, TablesConfig
from seawall.evaluate.daily import DailyTable
from seawall.evaluate.tables import evaluate_tables
from seawall.stores.panel import Panel
from seawall.stores.predictions import ROW_GROUP_ROWS, write_fold
from seawall.units import GIB, MIB
from tests.cgroups import memory_cgroup
from tests.evaluate.worlds import predict, private_peak_bytes
from tests.support import make_panel
from tests.train.worlds import three_target_world


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
@pytest.mark.parametrize(("num_entities", "num_dates"), [(12, 100), (1000, 200)])
def test_measured_is_below_projected_and_projected_is_not_idle(
    tmp_path: Path, num_entities: int, num_dates: int
) -> None:
    panel = make_panel(tmp_path, num_entities=num_entities, num_dates=num_dates, num_features=1)
    predictions = predict(panel, tmp_path)

    measured = private_peak_bytes("evaluate", panel.path, predictions, tmp_path / "metrics")

    projected = memory.plan(EvaluateConfig(), panel.shape, GIB).projected_private_bytes
    assert measured <= projected <= 1.5 * measured + 32 * MIB


def test_planning_imports_nothing_heavy() -> None:
    heavy = {"numpy", "pyarrow", "scipy", "torch"}
    code = f"import sys, seawall.evaluate.memory; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_row_group_of_the_plan_is_the_row_group_of_the_store() -> None:
    assert memory.ROW_GROUP_ROWS == ROW_GROUP_ROWS


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
def test_ten_times_the_dates_take_the_memory_the_claim_says_and_no_more(tmp_path: Path) -> None:
    peaks, projected = [], []
    for num_dates in (300, 3000):
        folder = tmp_path / str(num_dates)
        folder.mkdir()
        panel = make_panel(folder, num_entities=20, num_dates=num_dates, num_features=1)
        predictions = predict(panel, folder)
        peaks.append(private_peak_bytes("evaluate", panel.path, predictions, folder / "metrics", pause_seconds=0.0))
        projected.append(memory.plan(EvaluateConfig(), panel.shape, GIB).projected_private_bytes)

    assert all(peak <= claimed <= 1.5 * peak + 32 * MIB for peak, claimed in zip(peaks, projected, strict=True))
    assert peaks[1] - peaks[0] <= projected[1] - projected[0] + 0.05 * peaks[0]


def test_more_dates_than_are_held_give_the_file_of_all_of_them(tmp_path: Path) -> None:
    num_dates = memory.PART_DATES + 100
    daily = DailyTable(EvaluateConfig(min_names=3), tmp_path / "aside")
    scores = np.random.default_rng(0).standard_normal((num_dates, 2, 4))
    for date in range(num_dates):
        daily.append(date, 0, np.arange(4), scores[date, 0], scores[date, 1])

    daily.write(tmp_path / "daily.parquet", pa.int64())

    expected = [np.corrcoef(scores[date])[0, 1] for date in (0, memory.PART_DATES - 1, num_dates - 1)]
    written = pq.read_table(tmp_path / "daily.parquet")
    assert written.num_rows == daily.num_dates == num_dates
    assert written["time"].to_pylist() == list(range(num_dates))
    np.testing.assert_allclose(written["ic"].to_numpy()[[0, memory.PART_DATES - 1, -1]], expected, atol=1e-12)
    daily.discard()
    assert not (tmp_path / "aside").exists()


@pytest.mark.parametrize(
    ("num_dates", "limit_mib"), [(10_000, 200), pytest.param(200_000, 200, marks=pytest.mark.slow)]
)
def test_intraday_scores_of_anybody_are_judged_in_a_real_container(
    tmp_path: Path, num_dates: int, limit_mib: int
) -> None:
    rng, num_names = np.random.default_rng(0), 10
    times = np.datetime64("2020-01-01", "ns") + np.repeat(np.arange(num_dates), num_names) * np.timedelta64(60, "s")
    names = np.tile([f"N{name}" for name in range(num_names)], num_dates)
    numbers = rng.standard_normal((2, len(times)))
    order = rng.permutation(len(times))
    table = {"time": times[order], "entity": names[order], "prediction": numbers[0], "y": numbers[1]}
    pq.write_table(pa.table({name: pa.array(column) for name, column in table.items()}), tmp_path / "scores.parquet")

    words = ["--predictions", "scores.parquet", "--target", "y", "--memory", f"{limit_mib}MiB", "--json"]
    with memory_cgroup(limit_mib * MIB) as container:
        done = container.run([sys.executable, "-m", "seawall", "evaluate", *words], timeout=600, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    measured, projected = (found["memory"][f"{name}_private_bytes"] for name in ("measured", "projected"))
    assert found["overall"]["ic"]["num_dates"] == num_dates
    assert measured <= projected <= 1.5 * measured + 32 * MIB
    assert done.oom_kills == 0


def test_more_dates_than_there_is_room_for_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    rows = {"time": np.arange(30) // 3, "entity": ["a", "b", "c"] * 10, "prediction": np.arange(30.0)}
    pq.write_table(pa.table(rows | {"y": np.ones(30)}), tmp_path / "scores.parquet")
    config = TablesConfig(predictions=(str(tmp_path / "scores.parquet"),), target="y")

    with pytest.raises(BudgetError, match=r"about 10 dates need .* room for 9"):
        evaluate_tables(config, None, tmp_path / "work", buffer_rows=100, max_dates=9)


def test_scores_of_anybody_in_a_csv_are_judged_in_200_megabytes(tmp_path: Path) -> None:
    rng, num_dates, num_names = np.random.default_rng(0), 500, 40
    days = np.datetime64("2020-01-01") + np.repeat(np.arange(num_dates), num_names)
    names = np.tile([f"{name:04d}" for name in range(num_names)], num_dates)
    numbers, order = rng.standard_normal((2, len(days))), rng.permutation(len(days))
    columns = {"date": days, "symbol": names, "score": numbers[0], "y": numbers[1]}
    rows = zip(*(np.asarray(column)[order].tolist() for column in columns.values()), strict=True)
    lines = [",".join(map(str, row)) for row in rows]
    (tmp_path / "scores.csv").write_text("\n".join([",".join(columns), *lines]), encoding="utf-8")
    words = ["--predictions", "scores.csv", "--target", "y", "--memory", "190MiB", "--json"]

    with memory_cgroup(200_000_000) as container:
        done = container.run([sys.executable, "-m", "seawall", "evaluate", *words], timeout=300, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    measured, projected = (found["memory"][f"{name}_private_bytes"] for name in ("measured", "projected"))
    assert measured <= projected <= 1.5 * measured + 32 * MIB
    assert found["overall"]["ic"]["num_dates"] == num_dates
    assert done.oom_kills == 0


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
@pytest.mark.parametrize(("num_targets", "num_paths"), [pytest.param(3, 1, marks=pytest.mark.slow), (1, 5)])
def test_several_targets_and_paths_take_what_is_claimed(tmp_path: Path, num_targets: int, num_paths: int) -> None:
    panel = three_targets(tmp_path) if num_targets > 1 else make_panel(tmp_path, num_entities=20, num_dates=1000)
    rows, draw = np.array(panel.by_time[:]), np.random.default_rng(0)
    for path in range(num_paths):
        values = draw.standard_normal((len(rows), num_targets)).astype(np.float32)
        names = tuple(spec.name for spec in panel.target_specs)[:num_targets]
        parts = [(path, len(rows))] if num_paths > 1 else ()
        file = tmp_path / "predictions" / f"fold_{path:02d}.parquet"
        write_fold(file, panel, fold=path, rows=rows, predictions=values, target=names, model_key="", parts=parts)

    measured = private_peak_bytes("evaluate", panel.path, file.parent, tmp_path / "metrics", pause_seconds=0.0)

    plan = memory.plan(EvaluateConfig(), panel.shape, GIB, num_paths=num_paths, num_targets=num_targets)
    assert measured <= plan.projected_private_bytes <= 1.5 * measured + 32 * MIB


def three_targets(folder: Path) -> Panel:
    return Panel(three_target_world(folder, num_entities=20, num_dates=500).panel)

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from seawall.errors import FormatError
from seawall.report.compare import compare, config_differences
from seawall.report.compare_page import write_comparison
from seawall.report.memory import plan_comparison
from seawall.report.reading import read_run
from seawall.units import GIB
from tests.report.fake_run import World, make_run
from tests.report.test_run import HOSTILE, MAX_PAGE_BYTES, Page


def _runs(folder: Path, *worlds: World) -> list[Path]:
    return [make_run(folder / f"of_{number}", world) for number, world in enumerate(worlds)]


def test_only_what_differs_in_the_configurations_is_listed() -> None:
    one = {"train": {"model": {"hidden": 32}, "seed": 0}, "costs": [1, 2], "strategies": [{"k": 5}]}
    two = {"train": {"model": {"hidden": 64}, "seed": 0}, "costs": [1, 3], "strategies": [{"k": 5, "name": "x"}]}
    assert config_differences([one, two, one]) == {
        "costs": ("1, 2", "1, 3", "1, 2"),
        "strategies[0].name": ("–", "x", "–"),
        "train.model.hidden": ("32", "64", "32"),
    }


def test_the_difference_of_two_runs_is_taken_date_by_date_on_common_dates(tmp_path: Path) -> None:
    folders = _runs(tmp_path, World(), World())
    path = folders[1] / "metrics" / "daily.parquet"
    table = pq.read_table(path).slice(40)
    shifted = pa.array(np.asarray(table["rank_ic"]) + np.random.default_rng(1).normal(0.05, 0.01, len(table)))
    pq.write_table(table.set_column(table.schema.get_field_index("rank_ic"), "rank_ic", shifted), path)
    found = compare([read_run(folder) for folder in folders], folders)
    beside = found.runs[1].beside_first
    assert found.runs[0].beside_first is None
    assert beside is not None
    before = pq.read_table(folders[0] / "metrics" / "daily.parquet").slice(40)
    less = np.asarray(shifted) - np.asarray(before["rank_ic"])
    less = less[~np.isnan(less)]
    assert beside.num_dates == len(less)
    assert beside.mean == pytest.approx(less.mean(), abs=1e-12)
    assert beside.t_hac is not None
    assert beside.p_hac == pytest.approx(2 * stats.t.sf(abs(beside.t_hac), len(less) // 10), rel=0.05, abs=1e-12)


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = _runs(tmp_path, World(), World())
    assert [run.name for run in compare([read_run(f) for f in folders], folders).runs] == ["1: run", "2: run"]


def test_a_single_run_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    folders = _runs(tmp_path, World())
    with pytest.raises(FormatError, match="too few runs"):
        compare([read_run(folders[0])], folders)


def test_the_page_and_the_record_say_the_same(tmp_path: Path) -> None:
    folders = _runs(tmp_path, World(run_name="a"), World(run_name="b", seed=3, test_dates=200), World(run_name=HOSTILE))
    (folders[1] / "config.yaml").write_text(
        (folders[1] / "config.yaml").read_text().replace("hidden: 32", "hidden: 64")
    )
    record = write_comparison(folders, tmp_path / "compare.html")
    page = Page(tmp_path / "compare.html")
    json.dumps(record, allow_nan=False)
    assert page.sections == ["summary", "configuration", "prediction", "money", "data", "memory"]
    assert record["config"]["train.model.hidden"] == ["32", "64", "32"]
    assert "train.model.hidden" in page.text
    assert "memory.budget" not in page.text
    assert f"{record['runs'][1]['rank_ic']['mean']:.4f}".replace("-", "−") in page.text
    assert HOSTILE in page.text
    assert record["bytes"] == (tmp_path / "compare.html").stat().st_size < MAX_PAGE_BYTES


def test_runs_that_have_only_begun_are_compared_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(f'{{"format": "seawall-run/1", "name": "{name}", "units": {{}}}}')
    record = write_comparison([tmp_path / "a", tmp_path / "b"], tmp_path / "compare.html")
    assert record["config"] == {}
    assert record["runs"][0]["rank_ic"]["mean"] is None
    assert "undefined" in Page(tmp_path / "compare.html").text


def test_a_folder_that_is_no_run_leaves_an_old_page_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "compare.html").write_text("old")
    with pytest.raises(FormatError, match="not a run folder"):
        write_comparison([*_runs(tmp_path, World()), tmp_path], tmp_path / "compare.html")
    assert (tmp_path / "compare.html").read_text() == "old"


def test_the_plan_grows_with_runs_and_their_dates() -> None:
    two, three = plan_comparison([1_000, 1_000], GIB), plan_comparison([1_000, 1_000, 1_000], GIB)
    assert three.projected_private_bytes - two.projected_private_bytes == 2 * 1024 * 1024 + 2 * 44 * 1_000

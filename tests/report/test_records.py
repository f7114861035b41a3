import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from seawall.errors import FormatError
from seawall.report.fields import Fields, read_fields
from seawall.report.reading import read_run
from seawall.units import GIB
from tests.report.fake_run import World, make_run


def test_a_finished_run_is_read_whole(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, World(num_folds=3)))
    assert run.name == "pse-demo"
    folds = [f"{stage}/fold_{fold:02d}" for stage in ("train", "predict") for fold in range(3)]
    assert [unit.name for unit in run.units] == ["ingest", *folds, "evaluate", "join", "backtest"]
    assert run.declared_bytes == GIB
    assert run.panel is not None
    assert (run.panel.name, run.panel.num_entities, len(run.panel.features)) == ("pse", 257, 5)
    assert [fold.fold for fold in run.folds] == [0, 1, 2]
    assert [segment.kind for segment in run.folds[0].segments] == ["train", "valid", "test"]
    assert run.folds[0].segments[0].num_purged == 906
    assert [training.fold for training in run.trainings] == [0, 1, 2]
    assert run.overall is not None
    assert run.overall.rank_ic.count("num_undefined") == 8
    assert [block.fold for block in run.blocks] == [0, 1, 2]
    assert run.daily is not None
    assert run.daily.times.dtype == np.dtype("datetime64[ns]")
    assert [strategy.name for strategy in run.strategies] == ["long_short", "top_20"]
    equity = run.strategies[0].equity
    assert equity is not None
    assert equity.equity[0] == 1.0
    assert run.timeline is None


def test_the_epoch_kept_is_found_by_its_number(tmp_path: Path) -> None:
    training = read_run(make_run(tmp_path)).trainings[0]
    assert training.best.values["best"] is True
    assert np.isnan(training.curve("valid_ic")[0])


def test_step_calendars_stay_integers(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, World(steps=True)))
    assert run.daily is not None
    assert run.daily.times.dtype == np.dtype("int64")
    assert run.folds[0].segments[0].first_time == 0


def test_units_of_an_earlier_report_are_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    record["units"]["report"] = {"stage": "report", "fold": None}
    (folder / "run.json").write_text(json.dumps(record))
    assert "report" not in [unit.name for unit in read_run(folder).units]


def test_a_run_that_has_only_begun_is_read_with_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": "seawall-run/1", "name": "young", "units": {}}')
    run = read_run(tmp_path)
    assert run.name == "young"
    assert (run.panel, run.overall, run.daily, run.timeline) == (None, None, None, None)
    assert (run.units, run.folds, run.trainings, run.strategies) == ((), (), (), ())


def test_the_ingest_report_comes_from_the_unit_when_the_panel_has_moved(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    shutil.rmtree(tmp_path / "pse.panel")
    run = read_run(folder)
    assert run.panel is None
    assert run.ingest.count("rows_read") == 538_408


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"not a run folder, found no run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["metrics/metrics.json", "folds.json", "models/fold_00/history.json"])
def test_a_damaged_record_is_named(tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path)
    (folder / name).write_text('{"half":')
    with pytest.raises(FormatError, match=f"{Path(name).name}: cannot be read as JSON"):
        read_run(folder)


@pytest.mark.parametrize("name", ["metrics/daily.parquet", "backtest/top_20/equity.parquet"])
def test_a_damaged_table_is_named(tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path)
    (folder / name).write_bytes(b"PAR1")
    with pytest.raises(FormatError, match=f"{Path(name).name}: cannot be read"):
        read_run(folder)


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1, 2]")
    with pytest.raises(FormatError, match="not a JSON object, found list"):
        read_fields(tmp_path / "x.json")


def test_missing_null_and_nan_all_read_as_undefined() -> None:
    fields = Fields({"null": None, "nan": float("nan"), "inf": float("inf"), "text": "1", "yes": True, "one": 1})
    assert [fields.number(key) for key in ("gone", "null", "nan", "inf", "text", "yes", "one")] == [*[None] * 6, 1.0]

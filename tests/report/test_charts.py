import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from seawall.report.charts import decay_chart, folds_chart, ic_by_month_chart, ic_running_chart, quantile_chart
from seawall.report.charts_memory import timeline_chart, units_chart
from seawall.report.charts_money import equity_chart, months_chart
from seawall.report.drawing import Chart, figure_json, plain, written_times
from seawall.report.fields import Fields, read_fields
from seawall.report.reading import read_fold, read_run
from seawall.report.records import RunRecords
from seawall.report.series import MAX_POINTS
from seawall.report.timeline import pack_timeline
from seawall.train.config import TrainConfig
from seawall.train.run import make_folds_record
from seawall.units import MIB
from tests.report.fake_run import World, make_run
from tests.support import make_panel


@pytest.fixture
def run(tmp_path: Path) -> RunRecords:
    return _run(tmp_path, World())


def _run(folder: Path, world: World) -> RunRecords:
    path = make_run(folder, world)
    pack_timeline(path / "memory.csv", path / "memory.parquet")
    return read_run(path)


def _figure(chart: Chart) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(chart.json)
    return loaded


def _values(array: Mapping[str, Any]) -> list[float]:
    values: list[float] = np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"]).tolist()
    return values


def test_each_strategy_has_its_net_line_its_gross_line_switched_off_and_its_drawdown(run: RunRecords) -> None:
    traces = _figure(equity_chart(run.strategies))["data"]
    assert [trace["name"] for trace in traces[:3]] == ["long_short", "long_short, before costs", "long_short"]
    assert traces[1]["visible"] == "legendonly"
    assert traces[2]["yaxis"] == "y2"
    assert len({trace["line"]["color"] for trace in traces if trace["name"] != "benchmark"}) == 2
    net, gross, fall = (_values(trace["y"]) for trace in traces[:3])
    assert net[0] == 1.0
    assert gross[-1] > net[-1]
    assert max(fall) == 0.0


@pytest.mark.parametrize(("unit", "unit_milliseconds"), [("D", 86_400_000), ("h", 1000)])
def test_times_are_counts_the_page_can_write_out(unit: str, unit_milliseconds: int) -> None:
    days = np.arange(np.datetime64("1969-12-30"), np.datetime64("2039-01-01"), 99)
    times = (days.astype(f"datetime64[{unit}]") + np.arange(len(days)) % 24).astype("datetime64[ns]")

    counts, told = written_times(times)

    assert told == unit_milliseconds
    milliseconds = counts.astype(np.int64) * told
    np.testing.assert_array_equal(milliseconds.astype("datetime64[ms]"), times)
    assert written_times(np.arange(5))[1] is None


def test_a_long_equity_curve_is_thinned_and_keeps_its_lowest_point(tmp_path: Path) -> None:
    run = _run(tmp_path, World(num_folds=20, test_dates=1_000, strategies=("a",)))
    equity = run.strategies[0].equity
    assert equity is not None
    drawn = _values(_figure(equity_chart(run.strategies))["data"][0]["y"])
    assert len(drawn) <= MAX_POINTS + 2
    assert min(drawn) == np.float32(equity.equity.min())


def test_ic_is_shown_by_month_where_there_are_months_and_by_run_of_dates_where_not(
    run: RunRecords, tmp_path: Path
) -> None:
    assert run.daily is not None
    assert _figure(ic_by_month_chart(run.daily))["data"][0]["type"] == "heatmap"
    steps = _run(tmp_path / "steps", World(steps=True)).daily
    assert steps is not None
    assert _figure(ic_by_month_chart(steps))["data"][0]["type"] == "bar"


def test_the_added_up_rank_ic_ends_at_its_sum(run: RunRecords) -> None:
    assert run.daily is not None
    drawn = _values(_figure(ic_running_chart(run.daily))["data"][0]["y"])
    np.testing.assert_allclose(drawn[-1], np.nansum(run.daily.rank_ic), rtol=1e-6)


def test_quantiles_have_bars_for_all_and_dots_for_each_fold(run: RunRecords) -> None:
    assert run.overall is not None
    traces = _figure(quantile_chart(run.overall, run.blocks, is_return=True))["data"]
    assert [trace["type"] for trace in traces] == ["bar", *["scatter"] * 4]
    assert _values(traces[0]["y"])[4] == 0.0038


def test_segments_are_drawn_from_first_to_last_date(run: RunRecords) -> None:
    train, valid, test = _figure(folds_chart(run.folds))["data"]
    assert [trace["name"] for trace in (train, valid, test)] == ["train", "valid", "test"]
    segment = run.folds[0].segments[0]
    span = np.datetime64(str(segment.last_time), "ms") - np.datetime64(str(segment.first_time), "ms")
    assert train["base"][0] == segment.first_time
    assert train["x"][0] == int(span / np.timedelta64(1, "ms"))


def test_units_show_projected_behind_measured_and_the_budget(run: RunRecords) -> None:
    projected, measured, declared = _figure(units_chart(run.units, run.declared_bytes))["data"]
    assert [trace["name"] for trace in (projected, measured, declared)] == ["projected", "measured", "declared"]
    assert projected["width"] > measured["width"]
    assert all(m <= p for m, p in zip(measured["x"], projected["x"], strict=True))
    assert set(declared["x"]) == {1024.0}


def test_an_unmeasured_unit_has_no_bar_rather_than_one_of_zero(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    record["units"]["join"]["measured_private_bytes"] = None
    (folder / "run.json").write_text(json.dumps(record))
    units = read_run(folder).units
    measured = _figure(units_chart(units, None))["data"][1]
    assert measured["x"][[unit.name for unit in units].index("join")] is None


def test_the_timeline_has_one_legend_entry_per_stage(run: RunRecords) -> None:
    assert run.timeline is not None
    stages = {unit.name: unit.stage for unit in run.units}
    traces = _figure(timeline_chart(run.timeline, stages, run.declared_bytes))["data"]
    shown = [trace["name"] for trace in traces if trace.get("showlegend", True)]
    expected = ["ingest", "train", "predict", "evaluate", "join", "backtest", "parent"]
    assert shown == [*expected, "container, page cache included", "declared"]
    highest = max(max(_values(trace["y"])) for trace in traces if trace["name"] == "train")
    np.testing.assert_allclose(highest * MIB, run.timeline.total_bytes.max(), rtol=1e-6)


def test_chart_text_shows_a_name_as_it_was_written() -> None:
    assert plain("a<b>\n&c") == "a&lt;b&gt; &amp;c"
    assert len(plain("x" * 10_000)) == 120


def test_chart_json_cannot_end_its_script_element_and_still_says_the_same() -> None:
    hostile = "</script><!--<script>\u2028"
    text = figure_json(go.Figure(layout={"title": {"text": hostile}}))
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text)["layout"]["title"]["text"] == hostile


def test_folds_are_drawn_with_every_stretch_and_what_is_left_out(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_dates=80, ragged=False)
    folds = {"kind": "combinatorial", "num_groups": 4, "num_test_groups": 2, "valid": 5, "embargo_periods": 1}
    config = TrainConfig.model_validate({"target": "fwd", "lookback_periods": 4, "folds": folds})
    make_folds_record(panel.path, config, tmp_path / "folds.json")

    records = [read_fold(fields) for fields in read_fields(tmp_path / "folds.json").parts("folds")]
    bars = {bar["name"]: bar for bar in json.loads(folds_chart(records).json)["data"]}

    assert set(bars) == {"train", "valid", "test", "purged", "embargo"}
    assert sum(name == "fold 1" for name in bars["test"]["y"]) == 2
    assert sum(name == "fold 1" for name in bars["purged"]["y"]) == 4
    # A single date of embargo is a day wide, not nothing.
    assert set(bars["embargo"]["x"]) == {86_400_000.0}


def test_the_months_of_a_strategy_stand_at_their_year_and_month() -> None:
    months = [Fields({"month": "2019-11", "return": 0.02}), Fields({"month": "2021-01", "return": None})]
    chart = months_chart(3, months)
    assert chart is not None
    trace = _figure(chart)["data"][0]
    assert chart.name == "months-3"
    assert trace["y"] == ["2019", "2020", "2021"]
    returns = np.array(_values(trace["z"])).reshape(3, 12)
    assert np.argwhere(~np.isnan(returns)).tolist() == [[0, 10]]
    assert returns[0, 10] == pytest.approx(2.0)
    assert months_chart(0, []) is None


def test_a_benchmark_is_drawn_once_and_only_where_there_is_one(run: RunRecords) -> None:
    names = [trace["name"] for trace in _figure(equity_chart(run.strategies))["data"]]
    assert names.count("benchmark") == 1
    without = [strategy for strategy in run.strategies if strategy.equity and strategy.equity.benchmark_return is None]
    assert without
    assert "benchmark" not in [trace["name"] for trace in _figure(equity_chart(without))["data"]]


def test_each_lag_of_the_decay_has_its_band(run: RunRecords) -> None:
    assert run.overall is not None
    trace = _figure(decay_chart(run.overall.more.parts("decay")))["data"][0]
    assert trace["x"] == ["1", "2", "5", "10"]
    assert np.allclose(_values(trace["error_y"]["array"]), 0.008)
    assert np.allclose(_values(trace["error_y"]["arrayminus"]), 0.008)

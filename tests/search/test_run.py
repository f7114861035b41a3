"""A search end to end: files in, parameters, verdict and page out; bad input told; kills, memory, look-ahead."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import yaml

import seawall as sw
from seawall.budget.heartbeat import silent
from seawall.errors import ConfigError, DataError, SeawallError
from seawall.search.config import SearchConfig
from seawall.search.entry_columns import open_entries
from seawall.search.memory import notes, plan
from seawall.search.prepare import Inputs, prepare
from seawall.search.run import search
from seawall.units import GIB, MIB
from tests.search.worlds import SOME_COSTS, random_bars

START = np.datetime64("2020-01-01", "ns").astype(np.int64)
HOUR = 3_600_000_000_000

SECTION: dict[str, Any] = {
    "costs": SOME_COSTS.model_dump(),
    "types": {
        "scalping": {
            "opportunity_bps": 50,
            "grid": {
                "take_profit_bps": [40, 80, 160, None],
                "stop_loss_bps": [40, 80, 160],
                "trail": {"distance_bps": [150, 300], "activation_bps": [0, 50]},
                "holding_periods": [4, 8, 16],
            },
        },
        "swing": {
            "opportunity_bps": 100,
            "phase3": "skip",
            "grid": {"take_profit_bps": [200, 400], "stop_loss_bps": [200, 400], "holding_periods": [24, 48]},
        },
    },
    "entries": {"scores": ["a", "b"]},
    "validation": {"num_draws": 100},
    "replay": {"top": 3},
    "num_starts": 2,
    "max_rounds": 1,
}


def tables(folder: Path, *, num_entries: int = 1500, num_bars: int = 2500) -> tuple[Path, Path]:
    """Write bars of three entities in order of time, and entries of two types."""
    bars = random_bars(4, num_bars=num_bars, missing=0.02)
    names = np.array(bars.entities)[bars.entity_of(np.arange(bars.num_bars))]
    order = np.argsort(bars.time, kind="stable")
    columns: dict[str, Any] = {
        "entity": names[order],
        "time": pa.array(START + HOUR * bars.time[order], pa.timestamp("ns")),
    }
    columns |= {name: getattr(bars, name)[order] for name in ("open", "high", "low", "close")}
    pq.write_table(pa.table(columns), folder / "bars.parquet")
    rng = np.random.default_rng(1)
    places = rng.choice(order[100:-400], num_entries)
    entries = {
        "entity": names[places],
        "time": pa.array(START + HOUR * bars.time[places], pa.timestamp("ns")),
        "side": rng.choice([-1, 1], num_entries),
        "type": rng.choice(["scalping", "swing"], num_entries),
        "a": rng.normal(size=num_entries),
        "b": rng.normal(size=num_entries),
    }
    pq.write_table(pa.table(entries), folder / "entries.parquet")
    return folder / "bars.parquet", folder / "entries.parquet"


def config(bars: Path, entries: Path, /, **changes: Any) -> SearchConfig:  # noqa: ANN401
    return SearchConfig.model_validate({**SECTION, "source": str(bars), "entries_source": str(entries), **changes})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_both_types_are_searched_judged_and_written(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    summary = search(config(bars, entries), tmp_path / "out", Inputs(None, None))
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    scalping, swing = written["types"]["scalping"], written["types"]["swing"]

    assert set(summary["types"]) == {"scalping", "swing"}
    assert scalping["num_combinations"] == 4 * 3 * 5 * 3
    assert scalping["phase2"]["num_trials"] == 5 * 5
    assert scalping["num_trials"] > scalping["num_combinations"] + 25, "refinement counts as trials too"
    assert swing["num_trials"] == 25
    assert swing["chosen"]["holding_periods"] == swing["phase2"]["base_exit"]["holding_periods"]
    assert np.load(tmp_path / "out" / "scalping" / "grid.npy").shape == (180, 8)
    assert not (tmp_path / "out" / ".work").exists()
    for own in (scalping, swing):
        inside = own["account"]["search"]
        assert inside["total_return"] == pytest.approx(own["chosen"]["total_return"], abs=1e-9)
        assert sum(inside["exits"].values()) == inside["num_trades"]
        assert inside["pessimistic_total"] <= inside["optimistic_total"]
        assert own["live"]["is_out_of_sample"] is False
    live = yaml.safe_load((tmp_path / "out" / "best_parameters.yaml").read_text())
    assert "not out of sample" in live["types"]["scalping"]["refit_on"]
    assert live["types"]["scalping"]["parameters"]["holding_periods"] == scalping["live"]["holding_periods"]


def test_changing_the_holdout_changes_nothing_that_was_chosen_before_it(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    search(config(bars, entries), tmp_path / "a", Inputs(None, None))
    before = json.loads((tmp_path / "a" / "summary.json").read_text())["types"]
    border = before["scalping"]["spans"]["holdout_start"]
    table = pq.read_table(bars)
    late = np.asarray(table["time"].cast(pa.int64())) >= border
    factor = np.where(late, 1.7, 1.0)
    for name in ("open", "high", "low", "close"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(np.asarray(table[name]) * factor))
    pq.write_table(table, tmp_path / "changed.parquet")
    search(config(tmp_path / "changed.parquet", entries), tmp_path / "b", Inputs(None, None))
    after = json.loads((tmp_path / "b" / "summary.json").read_text())["types"]

    for name in ("scalping", "swing"):
        for key in ("chosen", "phase2", "validation", "starts", "walk_forward", "heat"):
            assert before[name][key] == after[name][key], key
        assert before[name]["account"]["search"] == after[name]["account"]["search"]


def test_the_band_changes_no_byte(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    search(config(bars, entries), tmp_path / "a", Inputs(None, None))
    search(config(bars, entries), tmp_path / "b", Inputs(None, None), band_combinations=1)

    assert files(tmp_path / "a") == files(tmp_path / "b")


CHILD = """
import sys
from pathlib import Path
from seawall.search.config import SearchConfig
from seawall.search.prepare import Inputs
from seawall.search.run import search
search(SearchConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Inputs(None, None))
"""


def test_kill_9_at_random_moments_ends_with_the_same_bytes(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    asked = config(bars, entries, checkpoint_seconds=0)
    search(asked, tmp_path / "whole", Inputs(None, None))
    rng, num_killed = np.random.default_rng(3), 0
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", CHILD, asked.model_dump_json(), str(tmp_path / "killed")])
        try:
            child.wait(float(rng.uniform(0.3, 1.5)))
            break
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            num_killed += 1
    search(asked, tmp_path / "killed", Inputs(None, None))

    assert num_killed >= 1
    assert files(tmp_path / "whole") == files(tmp_path / "killed")


def test_a_sample_is_drawn_and_the_winner_evaluated_on_all(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    for design in ("simple", "stratified", "auto"):
        asked = config(bars, entries, sample={"size": 200, "design": design})
        search(asked, tmp_path / design, Inputs(None, None))
        own = json.loads((tmp_path / design / "summary.json").read_text())["types"]["scalping"]

        assert own["sample"]["num_sampled"] <= 220
        assert own["sample"]["low"] is None or own["sample"]["low"] < own["sample"]["high"]
        assert own["account"]["search"]["num_trades"] <= own["spans"]["num_search"]
        assert "future" in own["sample"]["sentence"] or "No valid interval" in own["sample"]["sentence"]


def test_tuning_on_opportunities_promises_more_than_all_signals_earn(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    types = {
        "scalping": {**SECTION["types"]["scalping"], "tune_on": "opportunities"},
        "swing": SECTION["types"]["swing"],
    }
    asked = config(bars, entries, types=types)
    search(asked, tmp_path / "out", Inputs(None, None))
    own = json.loads((tmp_path / "out" / "summary.json").read_text())["types"]["scalping"]

    assert own["honesty"]["promised_total"] > own["account"]["search"]["total_return"] + 0.5
    assert "hindsight" in own["honesty"]["sentence"]
    assert own["honesty"]["earned_total"] == own["account"]["search"]["total_return"]
    assert own["validation"]["gate"]["passed"] is False
    assert any("opportunities" in condition["name"] for condition in own["validation"]["gate"]["conditions"])
    assert any("hindsight" in note for note in notes(asked))


def edited(folder: Path, column: str, place: int, value: float) -> Path:
    table = pq.read_table(folder / "bars.parquet")
    values = np.asarray(table[column]).copy()
    values[place] = value
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), folder / "bad.parquet")
    return folder / "bad.parquet"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("high", 1.0, "high is below low"),
        ("low", -3.0, "not above zero"),
        ("open", 0.0, "not above zero"),
        ("close", 10_000.0, "outside low..high"),
    ],
)
def test_impossible_bars_are_told_with_entity_and_time(tmp_path: Path, column: str, value: float, message: str) -> None:
    _, entries = tables(tmp_path)
    with pytest.raises(DataError, match=message) as told:
        search(config(edited(tmp_path, column, 50, value), entries), tmp_path / "out", Inputs(None, None))

    assert "'E" in str(told.value)
    assert "2020-01-0" in str(told.value)
    assert "Mend the bar, or set" in str(told.value)


def test_impossible_bars_can_be_dropped_and_counted(tmp_path: Path) -> None:
    _, entries = tables(tmp_path)
    asked = config(edited(tmp_path, "low", 50, -3.0), entries, bars={"impossible": "drop"})
    summary = search(asked, tmp_path / "out", Inputs(None, None))

    assert summary["bars"]["impossible_dropped"] == 1


def test_a_bar_that_is_nan_is_a_missing_bar(tmp_path: Path) -> None:
    _, entries = tables(tmp_path)
    summary = search(config(edited(tmp_path, "low", 50, np.nan), entries), tmp_path / "out", Inputs(None, None))

    assert summary["bars"]["missing"] == 1


@pytest.mark.parametrize("what", ["unsorted", "twice"])
def test_bars_out_of_order_are_refused(tmp_path: Path, what: str) -> None:
    bars, entries = tables(tmp_path)
    table = pq.read_table(bars)
    rows = np.arange(len(table))
    rows[[90, 96]] = (96, 90) if what == "unsorted" else (96, 96)
    pq.write_table(table.take(rows), tmp_path / "bad.parquet")
    message = "not in order of time" if what == "unsorted" else "not in order of time|occurs twice"
    with pytest.raises(DataError, match=message):
        search(config(tmp_path / "bad.parquet", entries), tmp_path / "out", Inputs(None, None))


def entries_with(folder: Path, column: str, value: Any, number: int = 1) -> Path:  # noqa: ANN401
    table = pq.read_table(folder / "entries.parquet")
    values = table[column].to_pylist()
    values[:number] = [value] * number
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), folder / "bad.parquet")
    return folder / "bad.parquet"


@pytest.mark.parametrize(
    ("column", "value", "kind", "message"),
    [
        ("entity", "nobody", DataError, "outside the bars"),
        ("side", 3, DataError, "not a side"),
        ("type", "scalp", ConfigError, "without a section"),
        ("time", None, SeawallError, "missing"),
    ],
)
def test_bad_entries_are_told(
    tmp_path: Path, column: str, value: Any, kind: type[SeawallError], message: str  # noqa: ANN401
) -> None:  # fmt: skip
    bars, _ = tables(tmp_path)
    with pytest.raises(kind, match=message):
        search(config(bars, entries_with(tmp_path, column, value)), tmp_path / "out", Inputs(None, None))


def test_entries_outside_and_without_a_score_are_dropped_and_counted_where_that_is_asked(tmp_path: Path) -> None:
    bars, _ = tables(tmp_path)
    table = pq.read_table(tmp_path / "entries.parquet")
    names, scores = table["entity"].to_pylist(), table["a"].to_pylist()
    names[:5], scores[5:12] = ["nobody"] * 5, [float("nan")] * 7
    table = table.set_column(0, "entity", pa.array(names)).set_column(4, "a", pa.array(scores))
    pacsv.write_csv(table, tmp_path / "entries.csv")
    asked = config(bars, tmp_path / "entries.csv", entries={"scores": ["a", "b"], "outside": "drop"})
    summary = search(asked, tmp_path / "out", Inputs(None, None))
    counted = [own["entries"] for own in summary["types"].values()]

    assert sum(own["outside"] for own in counted) == 5
    assert sum(own["undefined_score"] for own in counted) == 7
    assert sum(own["read"] for own in counted) == 1500


def test_a_holding_longer_than_the_data_is_refused(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    types = json.loads(json.dumps(SECTION["types"]))
    types["swing"]["grid"]["holding_periods"] = [10_000]
    with pytest.raises(DataError, match=r"no entry can be evaluated.*past end"):
        search(config(bars, entries, types=types), tmp_path / "out", Inputs(None, None))


def test_a_trail_inside_the_bar_range_is_refused(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    types = json.loads(json.dumps(SECTION["types"]))
    types["scalping"]["grid"]["trail"]["distance_bps"] = [20]
    with pytest.raises(ConfigError, match="tighter than the median bar"):
        search(config(bars, entries, types=types), tmp_path / "out", Inputs(None, None))


def test_a_grid_of_a_hundred_million_says_what_it_will_do_and_does_it(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    types = json.loads(json.dumps(SECTION["types"]))
    levels = {"start": 40, "stop": 400, "num": 100}
    types["scalping"]["grid"] |= {"take_profit_bps": levels, "stop_loss_bps": levels}
    types["scalping"]["grid"]["trail"] = {"distance_bps": {"start": 150, "stop": 500, "num": 100}, "include_off": False}
    types["scalping"]["grid"]["holding_periods"] = list(range(1, 101))
    summary = search(config(bars, entries, types=types), tmp_path / "out", Inputs(None, None))

    assert "100,000,000 combinations" in summary["notes"][0]
    assert "about" in summary["notes"][0]
    assert summary["types"]["scalping"]["is_exhaustive"] is False


def test_wrong_settings_name_the_nearest_right_one(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    section = {**SECTION, "source": str(bars), "entries_source": str(entries), "cost": {}}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(section))
    done = subprocess.run(
        [sys.executable, "-m", "seawall", "search", "--config", tmp_path / "search.yaml", "--output", tmp_path / "o"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "did you mean 'costs'" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_python_takes_frames_and_files_alike(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path, num_entries=400)
    grid = {"opportunity_bps": 50, "take_profit_bps": [50, 100], "stop_loss_bps": [50, 100], "holding_periods": [8]}
    options: dict[str, Any] = {"costs": SOME_COSTS.model_dump(), "memory": "2GiB", "settings": {"num_starts": 1}}
    of_files = sw.search(bars, entries, grid, output=tmp_path / "files", **options)
    of_frames = sw.search(
        pq.read_table(bars).to_pandas(), pq.read_table(entries), grid, output=tmp_path / "frames", **options
    )

    assert of_files.summary["types"]["trades"] == of_frames.summary["types"]["trades"]
    assert of_files.best_parameters["types"]["trades"]["parameters"]["holding_periods"] == 8
    record = of_files.record["units"]["search"]
    assert record["measured_private_bytes"] <= record["projected_private_bytes"]
    assert record["projected_private_bytes"] <= 1.5 * record["measured_private_bytes"] + 32 * MIB
    assert of_files.report.stat().st_size > 100_000
    started = time.monotonic()
    sw.search(bars, entries, grid, output=tmp_path / "files", **options)
    assert time.monotonic() - started < 20, "what is done is not done again"


def test_a_plan_that_cannot_fit_says_so_before_any_work(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    asked = config(bars, entries)
    small, large = plan(asked, 10**6, 100 * MIB), plan(asked, 10**6, GIB)

    assert small.neutral["band_combinations"] <= large.neutral["band_combinations"]
    assert large.projected_private_bytes < 200 * MIB


def test_predictions_of_a_run_become_entries_date_by_date(tmp_path: Path) -> None:
    bars, _ = tables(tmp_path)
    rng, num_dates = np.random.default_rng(8), 900
    names = np.tile(["E0", "E1", "E2"], num_dates)
    times = np.repeat(START + HOUR * np.arange(200, 200 + num_dates), 3)
    columns = {
        "entity": pa.array(names).dictionary_encode(),
        "time": pa.array(times, pa.timestamp("ns")),
        "prediction": pa.array(rng.normal(size=len(names)).astype(np.float32)),
    }
    (tmp_path / "predictions").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "predictions" / "fold_00.parquet")
    rule = {"long_quantile": 0.9, "short_quantile": 0.1}
    types = {"scalping": {**SECTION["types"]["scalping"], "predictions": rule}}
    section = {**SECTION, "types": types, "entries": {}, "source": str(bars)}
    search(SearchConfig.model_validate(section), tmp_path / "out", Inputs(None, tmp_path / "predictions"))
    own = json.loads((tmp_path / "out" / "summary.json").read_text())["types"]["scalping"]

    assert own["entries"]["read"] == 2 * num_dates, "the best and the worst of three, on each date"
    assert own["phase2"]["num_trials"] == 5


def test_without_anything_to_enter_on_the_search_is_refused(tmp_path: Path) -> None:
    bars, _ = tables(tmp_path)
    section = {**SECTION, "entries": {}, "source": str(bars)}
    with pytest.raises(ConfigError, match="nothing to enter on"):
        search(SearchConfig.model_validate(section), tmp_path / "out", Inputs(None, None))


@pytest.mark.parametrize("kind", ["momentum", "mean_reversion", "breakout"])
def test_signals_of_earlier_bars_do_not_move_when_later_ones_change(tmp_path: Path, kind: str) -> None:
    bars, _ = tables(tmp_path)
    table = pq.read_table(bars)
    late = np.asarray(table["time"].cast(pa.int64())) >= START + HOUR * 2000
    for name in ("open", "high", "low", "close"):
        place = table.column_names.index(name)
        changed = pa.array(np.asarray(table[name]) * np.where(late, 3.0, 1.0))
        table = table.set_column(place, name, changed)
    pq.write_table(table, tmp_path / "changed.parquet")
    signal = {"kind": kind, "lookback_periods": 20, "threshold": 1.5, "type": "scalping", "every_periods": 3}
    found = []
    for source in (bars, tmp_path / "changed.parquet"):
        section = {**SECTION, "types": {"scalping": SECTION["types"]["scalping"]}, "source": str(source)}
        section["entries"] = {"signals": [signal]}
        work = tmp_path / f"{kind}.{source.stem}"
        prepare(SearchConfig.model_validate(section), Inputs(None, None), work, silent)
        entries = open_entries(work / "scalping")
        early = entries.times < START + HOUR * 2000
        found.append((entries.rows[early].tolist(), entries.sides[early].tolist(), entries.scores[early].tolist()))

    assert len(found[0][0]) > 50
    assert found[0] == found[1]


def test_combinations_of_a_start_are_limited_where_that_is_asked(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    search(config(bars, entries, max_rounds=3, combinations_per_start=15), tmp_path / "out", Inputs(None, None))
    own = json.loads((tmp_path / "out" / "summary.json").read_text())["types"]["scalping"]

    assert [start["points"] for start in own["starts"]] == [15, 15]


def test_the_last_refit_chooses_on_everything(tmp_path: Path) -> None:
    """All the edge is in the hold-out: what was chosen before it cannot know, the refit does."""
    bars, entries = tables(tmp_path)
    table = pq.read_table(entries)
    times = np.asarray(table["time"].cast(pa.int64()))
    late = times >= np.quantile(times, 0.85)
    prices = pq.read_table(bars)
    rises = 1 + 0.002 * np.maximum(0, np.asarray(prices["time"].cast(pa.int64())) - np.quantile(times, 0.85)) / HOUR
    for name in ("open", "high", "low", "close"):
        place = prices.column_names.index(name)
        prices = prices.set_column(place, name, pa.array(np.asarray(prices[name]) * rises))
    pq.write_table(prices, tmp_path / "bars.parquet")
    scores = np.where(late & (np.asarray(table["side"]) == 1), 5.0, 0.0)
    table = table.set_column(4, "a", pa.array(scores + 0.01 * np.asarray(table["a"])))
    pq.write_table(table, tmp_path / "entries.parquet")
    types = {"swing": SECTION["types"]["swing"]}
    swing = pa.compute.equal(table["type"], "swing")
    pq.write_table(table.filter(swing), tmp_path / "entries.parquet")
    search(config(bars, entries, types=types), tmp_path / "out", Inputs(None, None))
    own = json.loads((tmp_path / "out" / "summary.json").read_text())["types"]["swing"]

    assert own["live"]["threshold"] is not None, "the score is worth something at last"
    assert own["live"] != own["chosen"]
    assert own["live"]["is_out_of_sample"] is False


def finer_table(folder: Path, bars: Path) -> Path:
    """Cut each bar into four: the extremes in the second and the third, so that one comes before the other."""
    table = pq.read_table(bars)
    count = len(table)
    prices = {name: np.asarray(table[name]) for name in ("open", "high", "low", "close")}
    middle = (prices["high"] + prices["low"]) / 2
    ends = [prices["open"], middle, middle, middle, prices["close"]]
    highs = [np.maximum(a, b) for a, b in pairwise(ends)]
    lows = [np.minimum(a, b) for a, b in pairwise(ends)]
    highs[1], lows[2] = prices["high"], prices["low"]
    quarters = np.tile(np.arange(4), count) * HOUR // 4
    times = np.repeat(np.asarray(table["time"].cast(pa.int64())), 4) + quarters
    columns = {
        "entity": np.repeat(np.asarray(table["entity"]), 4),
        "time": pa.array(times, pa.timestamp("ns")),
        "open": np.column_stack(ends[:4]).ravel(),
        "high": np.column_stack(highs).ravel(),
        "low": np.column_stack(lows).ravel(),
        "close": np.column_stack(ends[1:]).ravel(),
    }
    pq.write_table(pa.table(columns), folder / "finer.parquet")
    return folder / "finer.parquet"


def test_finer_bars_leave_nothing_ambiguous_where_they_tell(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    grid = {"take_profit_bps": [30], "stop_loss_bps": [30], "holding_periods": [8]}
    types = {"scalping": {**SECTION["types"]["scalping"], "grid": grid}, "swing": SECTION["types"]["swing"]}
    without = search(config(bars, entries, types=types), tmp_path / "a", Inputs(None, None))
    asked = config(bars, entries, types=types, detail_bars=str(finer_table(tmp_path, bars)))
    told = search(asked, tmp_path / "b", Inputs(None, None))
    before, after = (own["types"]["scalping"]["account"]["search"] for own in (without, told))

    assert told["bars"]["detail_entities"] == 3
    assert before["ambiguous_share"] > 0.01
    assert before["resolved_share"] == 0
    assert after["resolved_share"] > 0.01
    assert after["ambiguous_share"] < 0.2 * before["ambiguous_share"]


def test_detail_bars_that_are_not_finer_or_of_others_are_refused(tmp_path: Path) -> None:
    bars, entries = tables(tmp_path)
    with pytest.raises(ConfigError, match="not finer"):
        search(config(bars, entries, detail_bars=str(bars)), tmp_path / "out", Inputs(None, None))
    finer = pq.read_table(finer_table(tmp_path, bars))
    others = finer.set_column(0, "entity", pa.array(["X" + name for name in finer["entity"].to_pylist()]))
    pq.write_table(others, tmp_path / "others.parquet")
    asked = config(bars, entries, detail_bars=str(tmp_path / "others.parquet"))
    with pytest.raises(ConfigError, match="no entity of the bars has finer bars"):
        search(asked, tmp_path / "out", Inputs(None, None))

"""Appending in pieces and compacting makes, bit for bit, what one ingest of everything makes."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Int64
from seawall.errors import ConfigError, DataError
from seawall.ingest.append import append
from seawall.ingest.compact import compact
from seawall.ingest.reach import features_back
from seawall.ingest.recipe import Reach, Recipe
from seawall.ingest.run import ingest
from seawall.stores.panel import Panel
from seawall.stores.segments import ARRAYS
from tests.ingest.world import BUDGET_BYTES, market
from tests.ingest.world import settings as recipe
from tests.support import quick_folder

EXACT: dict[str, Any] = {
    "derived": {"change": "adj_close - lag(adj_close) OVER entity", "volume_3": "lag(volume, 3) OVER entity"},
    "features": {
        "change": "change",
        "sum_5": "sum(change) OVER (entity ROWS 4 PRECEDING)",
        "high_10": "max(adj_high) OVER (entity ROWS 9 PRECEDING)",
        "deep": "max(volume_3) OVER (entity ROWS 6 PRECEDING)",
        "volume": "volume",
    },
    "adjustment": {"detect": True},
}
"""Sums and extremes of few binary digits are exact in any order, so that equality has no excuse."""

COMPARED: dict[str, Any] = {
    **EXACT,
    "cross_sectional": {
        "rank": {"rank": "sum_5", "min_names": 2},
        "apart": {"zscore": "high_10", "within": "all", "min_names": 3},
        "held": {"winsorise": "volume", "within": "all", "limits": [0.2, 0.8], "min_names": 2},
        "in_group": {"demean": "deep", "within": "all", "group": "volume", "min_names": 2},
    },
}
NEUTRAL: dict[str, Any] = {
    **COMPARED,
    "targets": {
        "plain": {"forward_return": {"column": "close", "horizon_periods": 1}},
        "excess": {
            "forward_return": {"column": "close", "horizon_periods": 3},
            "market_neutral": True,
            "min_names": 2,
        },
        "side": {
            "forward_return": {"column": "open", "horizon_periods": 1, "delay_periods": 0},
            "market_neutral": True,
            "min_names": 2,
            "sign": True,
        },
    },
}

PLAIN: dict[str, Any] = {
    "derived": {},
    "features": {"volume": "volume", "close": '"close"'},
    "universe": None,
    "adjustment": {"detect": False},
}
"""Columns as they are: nothing but them is kept."""


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def same(many: Panel, one: Panel) -> None:
    """Compare everything a reader can read, to the last bit."""
    assert many.entities == one.entities
    for name in ("calendar", "offsets", "by_time", "time_offsets", *ARRAYS):
        if getattr(one, name) is None:
            assert getattr(many, name) is None, name
            continue
        found, expected = np.asarray(getattr(many, name)[:]), np.asarray(getattr(one, name)[:])
        assert found.dtype == expected.dtype, name
        np.testing.assert_array_equal(found, expected, err_msg=name)
        assert found.tobytes() == expected.tobytes() or found.dtype.kind == "f", name


def same_files(compacted: Path, one: Path) -> None:
    """Compare the bytes of every array file."""
    (left,), (right,) = ([p for p in path.iterdir() if p.is_dir()] for path in (compacted, one))
    assert {p.name for p in left.iterdir()} == {p.name for p in right.iterdir()}
    for path in left.glob("*.npy"):
        assert path.read_bytes() == (right / path.name).read_bytes(), path.name


@contextmanager
def folder() -> Iterator[Path]:
    with quick_folder() as name:
        yield name


def coarse(frame: pd.DataFrame) -> pd.DataFrame:
    """Prices in quarters: sums of a few of them are exact in binary."""
    prices = ["open", "high", "low", "close"]
    frame = frame.copy()
    frame[prices] = (frame[prices] * 4).round() / 4
    return frame


def check_pieces(frame: pd.DataFrame, piece: Int64, **changes: object) -> None:
    """Ingest piece 0, append the others, and hold every state against one ingest of what it holds."""
    pieces = [frame[piece == number] for number in range(int(piece.max()) + 1)]
    pieces = [part for part in pieces if len(part)]
    with folder() as here:
        sources = [write(here / f"{number}.csv", part) for number, part in enumerate(pieces)]
        many, one = here / "many.panel", here / "one.panel"
        ingest(recipe(sources[0], **changes), many, budget_bytes=BUDGET_BYTES)
        for source in sources[1:]:
            append([str(source)], many, budget_bytes=BUDGET_BYTES)
        ingest(recipe(*sources, **changes), one, budget_bytes=BUDGET_BYTES)
        whole = Panel(one)
        same(Panel(many), whole)
        Panel(many).verify()
        compact(many, block_rows=37)
        same(Panel(many), whole)
        same_files(many, one)
        assert Panel(many).content_key == whole.content_key


@pytest.mark.parametrize("cuts", [[60], [40, 41, 42, 43], [30, 60, 75, 89]])
def test_new_dates_appended_day_by_day_or_in_months_equal_one_ingest(cuts: list[int]) -> None:
    frame = coarse(market(num_entities=6, num_dates=90, seed=3))
    day = np.searchsorted(np.unique(frame["date"]), frame["date"])
    piece = np.searchsorted(cuts, day, side="right")
    check_pieces(frame, piece, **EXACT)


@pytest.mark.parametrize("changes", [COMPARED, NEUTRAL], ids=["features", "targets"])
def test_names_are_compared_again_on_the_dates_an_append_touches(tmp_path: Path, changes: dict[str, Any]) -> None:
    frame = coarse(market(num_entities=7, num_dates=60, seed=9))
    days = np.unique(frame["date"])
    day = np.searchsorted(days, frame["date"])
    piece = np.searchsorted([45, 46, 52], day, side="right")
    piece[day == 30] = 4  # a whole date that is put between two others
    piece[(day == 25) & (frame["symbol"] == "SCALE").to_numpy()] = 5  # one late row moves the others of its date
    sectors = pd.DataFrame({"symbol": np.unique(frame["symbol"])[1:], "sector": [1, 2, 1, 2, 1, 2]})  # one has none
    rule = {"rank": "sum_5", "group": "sector", "within": "all", "min_names": 2}
    compared = changes["cross_sectional"] | {"in_sector": rule}
    static = {"source": str(write(tmp_path / "sectors.csv", sectors))}
    check_pieces(frame, piece, **{**changes, "cross_sectional": compared, "static": static})


def test_a_new_date_costs_no_old_comparison(tmp_path: Path) -> None:
    frame = coarse(market(num_entities=7, num_dates=60, seed=9))
    days = np.unique(frame["date"])
    source = write(tmp_path / "old.csv", frame[frame["date"] < days[50]])
    for name, changes in (("features", COMPARED), ("targets", NEUTRAL)):
        panel = tmp_path / f"{name}.panel"
        ingest(recipe(source, **changes), panel, budget_bytes=BUDGET_BYTES)
        new = write(tmp_path / f"{name}.csv", frame[frame["date"] == days[50]])
        done = append([str(new)], panel, budget_bytes=BUDGET_BYTES)
        assert 0 < done["num_rewritten_rows"] <= 7 * 5, "as far back as a horizon"


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_late_rows_and_new_entities_in_any_pieces_equal_one_ingest(data: st.DataObject) -> None:
    check_any_pieces(data)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_late_rows_and_new_entities_in_many_more_pieces_equal_one_ingest(data: st.DataObject) -> None:
    check_any_pieces(data)


def check_any_pieces(data: st.DataObject) -> None:
    """Draw a market, cut it by date with some rows late, and compare."""
    frame = coarse(market(num_entities=5, num_dates=30, seed=data.draw(st.integers(0, 99))))
    number = data.draw(st.integers(2, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    day = np.searchsorted(np.unique(frame["date"]), frame["date"])
    piece = np.minimum(day * number // 30, number - 1)
    late = rng.random(len(frame)) < data.draw(st.sampled_from([0.0, 0.02, 0.3]))
    piece[late] = rng.integers(0, number, int(late.sum()))
    piece[(frame["symbol"] == "JUMP").to_numpy()] = number - 1  # an entity that comes with the last piece
    check_pieces(frame, piece, **data.draw(st.sampled_from([EXACT, PLAIN, COMPARED, NEUTRAL])))


ROLES: dict[str, Any] = {
    **PLAIN,
    "features": {"close": "close", "paid": "paid"},
    "splits": "ratio",
    "dividends": "paid",
    "weights": "volume",
}
FACTORS: dict[str, Any] = {
    **EXACT,
    "weights": "volume",
    "splits": "ratio",
    "dividends": "paid",
    "adjustment": {"column": "factor", "column_is": "divisor"},
}


def with_events(frame: pd.DataFrame) -> pd.DataFrame:
    """Splits, dividends, missing cells, and a factor on every row that changes with the splits."""
    rng = np.random.default_rng(5)
    frame = frame.sort_values(["symbol", "date"], ignore_index=True)
    frame["ratio"] = rng.choice([0.0, 1.0, 2.0, 0.5, np.nan], len(frame), p=[0.5, 0.3, 0.06, 0.04, 0.1])
    frame["paid"] = rng.choice([0.0, 0.25, np.nan], len(frame), p=[0.8, 0.1, 0.1])
    jump = frame["ratio"].where(frame["ratio"] > 0, 1.0).fillna(1.0)
    frame["factor"] = 8.0 / jump.groupby(frame["symbol"]).cumprod()
    return frame


@pytest.mark.parametrize("changes", [ROLES, FACTORS], ids=["splits", "factors"])
def test_roles_appended_late_and_in_pieces_equal_one_ingest(changes: dict[str, Any]) -> None:
    frame = with_events(coarse(market(num_entities=5, num_dates=50, seed=4)))
    day = np.searchsorted(np.unique(frame["date"]), frame["date"])
    piece = np.minimum(day // 15, 2)
    late = np.random.default_rng(1).random(len(frame)) < 0.05
    piece[late] = 2
    check_pieces(frame, piece, **changes)


UNBOUNDED: dict[str, Any] = {**EXACT, "features": {"age": "row_number() OVER entity", "top": "max(high) OVER entity"}}


def test_expressions_without_a_bound_read_the_whole_entity(tmp_path: Path) -> None:
    frame = coarse(market(num_entities=4, num_dates=40, seed=8))
    for changes, back in ((UNBOUNDED, None), (EXACT, 9), (PLAIN, 0)):
        config = recipe(tmp_path, **changes)
        assert features_back(config) == back
        assert Recipe(config, back).reach(40) == Reach(40 if back is None else back, 4)
    day = np.searchsorted(np.unique(frame["date"]), frame["date"])
    check_pieces(frame, np.minimum(day // 15, 2), **UNBOUNDED)


def test_a_split_that_comes_later_adjusts_its_own_rows_and_no_earlier_one(tmp_path: Path) -> None:
    frame = market(num_entities=4, num_dates=60, seed=1)
    declared = {"detect": True, "declared": [{"entity": "SPLIT", "time": "2020-02-14", "factor": 0.5}]}
    day = frame["date"].to_numpy()
    before = write(tmp_path / "a.csv", frame[day < "2020-02-14"])
    after = write(tmp_path / "b.csv", frame[day >= "2020-02-14"])
    panel = tmp_path / "x.panel"
    ingest(recipe(before, adjustment=declared), panel, budget_bytes=BUDGET_BYTES)
    old = Panel(panel)
    kept = np.array(old.adjustment[old.entity("SPLIT").slice])

    done = append([str(after)], panel, budget_bytes=BUDGET_BYTES)

    new = Panel(panel)
    adjustment = new.adjustment[new.entity("SPLIT").slice]
    np.testing.assert_array_equal(adjustment[: len(kept)], kept)
    assert set(adjustment[len(kept) :]) == {0.5}
    assert [(b["entity"], b["factor"], b["kind"]) for b in done["ingest"]["scale_breaks"]] == [
        ("SPLIT", 0.5, "declared")
    ]
    ingest(recipe(before, after, adjustment=declared), tmp_path / "one.panel", budget_bytes=BUDGET_BYTES)
    one = Panel(tmp_path / "one.panel")
    for name in ("adjustment", "returns", "target_end", "prices", "universe", "time_index"):
        np.testing.assert_array_equal(np.asarray(getattr(new, name)), np.asarray(getattr(one, name)), err_msg=name)
    np.testing.assert_allclose(np.asarray(new.features), np.asarray(one.features), rtol=1e-6, equal_nan=True)


@pytest.fixture
def grown() -> Iterator[tuple[Path, pd.DataFrame]]:
    """A panel of the first forty days of a market of sixty."""
    frame = coarse(market(num_entities=4, num_dates=60, seed=2))
    days = np.unique(frame["date"])
    with quick_folder() as here:
        source = write(here / "old.csv", frame[frame["date"] < days[40]])
        ingest(recipe(source, **EXACT), here / "x.panel", budget_bytes=BUDGET_BYTES)
        yield here / "x.panel", frame


def test_an_append_writes_new_rows_and_the_ends_they_touch_and_nothing_else(grown: tuple[Path, pd.DataFrame]) -> None:
    panel, frame = grown
    days = np.unique(frame["date"])
    source = write(panel.parent / "new.csv", frame[frame["date"] == days[40]])
    base = {path: path.stat().st_mtime_ns for path in panel.rglob("*.npy")}

    done = append([str(source)], panel, budget_bytes=BUDGET_BYTES)

    num_new = int((frame["date"] == days[40]).sum())
    assert (done["num_new_rows"], done["first_changed"]) == (num_new, days[40])
    assert done["num_rewritten_rows"] == 4 * num_new, "the four rows before, whose targets the new row makes known"
    assert {path: path.stat().st_mtime_ns for path in base} == base
    history = Panel(panel).manifest["history"]
    assert [entry["num_new_rows"] for entry in history[1:]] == [num_new]
    assert not list(panel.parent.glob(".*")), "no litter"


class Killed(BaseException):
    """Stands for the end of the process."""


def test_killed_at_any_report_an_append_reads_nothing_twice_and_ends_alike(grown: tuple[Path, pd.DataFrame]) -> None:
    panel, frame = grown
    new = str(write(panel.parent / "new.csv", frame[frame["date"] > np.unique(frame["date"])[40]]))
    seen: list[str] = []
    last = 10**9

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        seen.append(substep)
        if len(seen) > last:
            raise Killed

    whole, again = (panel.with_name(f"{name}.panel") for name in ("whole", "again"))
    shutil.copytree(panel, whole)
    append([new], whole, budget_bytes=BUDGET_BYTES, beat=beat)
    everything = list(seen)
    assert {"read and scatter", "merge and compute"} <= set(everything)
    for last in range(len(everything)):
        shutil.copytree(panel, again)
        seen.clear()
        with pytest.raises(Killed):
            append([new], again, budget_bytes=BUDGET_BYTES, beat=beat)
        was_read, last = "merge and compute" in seen, 10**9
        seen.clear()
        append([new], again, budget_bytes=BUDGET_BYTES, beat=beat)
        assert not (was_read and "read and scatter" in seen), "read once"
        same(Panel(again), Panel(whole))
        assert not list(panel.parent.glob(".*")), "no litter"
        shutil.rmtree(again)


def test_the_same_files_are_appended_once(grown: tuple[Path, pd.DataFrame]) -> None:
    panel, frame = grown
    days = np.unique(frame["date"])
    source = write(panel.parent / "new.csv", frame[frame["date"] == days[40]])
    first = append([str(source)], panel, budget_bytes=BUDGET_BYTES)
    again = append([str(source)], panel, budget_bytes=BUDGET_BYTES)
    assert (first["appended"], again["appended"]) == (True, False)
    assert again["content_key"] == first["content_key"]


def test_rows_that_are_there_already_follow_the_declared_policy(grown: tuple[Path, pd.DataFrame]) -> None:
    panel, frame = grown
    days = np.unique(frame["date"])
    changed = frame[(frame["date"] >= days[38]) & (frame["date"] <= days[41])].copy()
    changed["volume"] += 1
    source, old = write(panel.parent / "again.csv", changed), panel.parent / "old.csv"
    before = Panel(panel).content_key
    with pytest.raises(DataError, match=r"is in the panel already, found \('000', 2020-02-2"):
        append([str(source)], panel, budget_bytes=BUDGET_BYTES)
    assert Panel(panel).content_key == before
    for policy in ("first", "last"):
        many, one = panel.parent / f"{policy}.panel", panel.parent / f"{policy}-one.panel"
        ingest(recipe(old, duplicates=policy, **EXACT), many, budget_bytes=BUDGET_BYTES)
        done = append([str(source)], many, budget_bytes=BUDGET_BYTES)
        ingest(recipe(old, source, duplicates=policy, **EXACT), one, budget_bytes=BUDGET_BYTES)
        same(Panel(many), Panel(one))
        twice = int((changed["date"] <= days[39]).sum())
        assert (done["num_left_out"], done["num_replaced"]) == ((twice, 0) if policy == "first" else (0, twice))
    only_old = write(panel.parent / "nothing.csv", changed[changed["date"] <= days[39]])
    many = panel.parent / "first.panel"
    assert not append([str(only_old)], many, budget_bytes=BUDGET_BYTES)["appended"]
    assert len(Panel(many).segments) == 2


def test_what_was_known_before_a_date_keeps_its_key_and_its_values(grown: tuple[Path, pd.DataFrame]) -> None:
    panel, frame = grown
    old = Panel(panel)
    days = np.unique(frame["date"])
    late = (frame["date"] == days[40]) | ((frame["symbol"] == "JUMP") & (frame["date"] == days[42]))
    append([str(write(panel.parent / "n.csv", frame[late]))], panel, budget_bytes=BUDGET_BYTES)
    new = Panel(panel)
    assert new.content_key_before(40) == old.content_key_before(40) != new.content_key_before(41)
    for name in old.entities:
        here, there = old.entity(name).slice, new.entity(name).slice
        there = slice(there.start, there.start + here.stop - here.start)
        for array in ("features", "prices", "universe", "adjustment", "time_index"):
            np.testing.assert_array_equal(getattr(new, array)[there], getattr(old, array)[here])
        ends, before = new.target_end[there], old.target_end[here]
        assert ((ends == before) | ((before == -1) & (ends >= 40))).all(), "a target that becomes known ends later"

    gap = (frame["symbol"] == "SPLIT") & (frame["date"] == days[41])
    append([str(write(panel.parent / "m.csv", frame[gap]))], panel, budget_bytes=BUDGET_BYTES)
    assert Panel(panel).content_key_before(41) == new.content_key_before(41), "a late row of the day after"
    assert Panel(panel).content_key_before(42) != new.content_key_before(42)
    compact(panel, block_rows=1000)
    assert Panel(panel).content_key_before(41) == new.content_key_before(41), "compacting keeps the history"


def test_a_panel_without_a_recipe_and_one_of_steps_refuse_in_words(grown: tuple[Path, pd.DataFrame]) -> None:
    panel, _ = grown
    steps = write(panel.parent / "s.csv", pd.DataFrame({"symbol": ["A"], "date": [7]}))
    for column in ("open", "high", "low", "close", "volume"):
        frame = pd.read_csv(steps)
        frame[column] = 1.0
        write(steps, frame)
    before = Panel(panel).content_key
    with pytest.raises(DataError, match="time is missing or does not fit the format"):
        append([str(steps)], panel, budget_bytes=BUDGET_BYTES)
    manifest = Panel(panel).manifest
    for text, words in ((None, "not made by an ingest"), ("{}", "of another version"), ("{", "another version")):
        changed = {key: value for key, value in manifest.items() if key != "recipe"}
        (panel / "panel.json").write_text(json.dumps(changed | ({"recipe": text} if text else {})))
        with pytest.raises(ConfigError, match=words):
            append([str(steps)], panel, budget_bytes=BUDGET_BYTES)
    assert Panel(panel).content_key == before

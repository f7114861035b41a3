"""The daily loop: rows are appended, the config runs again, and only what they can change is done again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seawall.budget.limits import find_budget
from seawall.errors import ConfigError, DataError
from seawall.pipeline import upkeep
from seawall.pipeline.api import run
from seawall.pipeline.config import parse_config
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.run import Silent
from seawall.pipeline.stages import Folds, Unit, plan_unit
from seawall.pipeline.upkeep import Upkeep
from seawall.stores.panel import Panel
from seawall.stores.shape import PanelShape
from seawall.train.run import make_folds_record
from tests.pipeline.world import config, market, write_market

MEMORY = "1200MiB"


def work(stage: str, panel: Path) -> Upkeep:
    return Upkeep(stage, panel, find_budget(MEMORY), Silent(), "the same command")


def add(panel: Path, frame: pd.DataFrame, name: str) -> dict[str, Any]:
    record: dict[str, Any] = upkeep.append(work("append", panel), [str(write_market(panel.parent / name, frame))])
    return record


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], pd.DataFrame]:
    """A panel of the first 210 dates, run once: two folds; and the whole market of 260 dates."""
    folder = tmp_path_factory.mktemp("loop")
    frame = market()
    days = np.unique(frame["date"])
    source = write_market(folder / "old.csv", frame[frame["date"] < days[210]])
    settings = config(source, folder / "ingest")
    settings["panel"] = str(folder / "market.panel")
    run(settings | {"train": None, "backtest": None}, memory=MEMORY, only="ingest")
    del settings["ingest"]
    settings |= {"output": str(folder / "out"), "backtest": None}
    run(settings, memory=MEMORY)
    return folder, settings, frame


def models(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = sorted((folder / "out" / "models").glob("*/model.safetensors"))
    return {path.parent.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def predictions(folder: Path, fold: int) -> pd.DataFrame:
    table = pq.read_table(folder / "out" / "predictions" / f"fold_{fold:02d}.parquet")
    return pd.DataFrame({name: table[name].to_pylist() for name in ("time", "entity", "prediction")})


def test_new_dates_keep_the_models_and_move_no_earlier_prediction(
    loop: tuple[Path, dict[str, Any], pd.DataFrame],
) -> None:
    folder, settings, frame = loop
    panel, days = folder / "market.panel", np.unique(frame["date"])
    before, scores = models(folder), [predictions(folder, fold) for fold in range(2)]
    keys = {name: record["key"] for name, record in RunManifest(folder / "out", "small").units.items()}

    summary = add(panel, frame[(frame["date"] >= days[210]) & (frame["date"] < days[255])], "new.csv")["summary"]
    upkeep.compact(work("compact", panel))
    run(settings, memory=MEMORY)

    assert pd.Timestamp(summary["first_changed"]) == days[210]
    after = models(folder)
    assert {name: after[name] for name in before} == before, "not even written again"
    assert set(after) - set(before) == {"fold_02"}
    units = RunManifest(folder / "out", "small").units
    assert [units[f"train/fold_{fold:02d}"]["key"] == keys[f"train/fold_{fold:02d}"] for fold in range(2)] == [True] * 2
    for fold in range(2):
        again = predictions(folder, fold)
        pd.testing.assert_frame_equal(again, scores[fold])
    opened = Panel(panel)
    table = pq.read_table(folder / "out" / "predictions" / "fold_01.parquet")
    rows = table["row"].to_numpy()
    assert [opened.entities[number] for number in opened.entity_of(rows)] == table["entity"].to_pylist()

    late = frame[(frame["symbol"] == "S03") & (frame["date"] == days[200])].assign(symbol="NEW")
    assert add(panel, late, "late.csv")["summary"]["num_new_rows"] == 1
    config, folds = parse_config(settings, "test"), folder / "folds.json"
    assert config.train is not None
    make_folds_record(panel, config.train, folds)
    was, now = (json.loads(path.read_text())["folds"] for path in (folder / "out" / "folds.json", folds))
    moved = [fold["fold"] for fold, other in zip(was, now, strict=True) if fold["content_key"] != other["content_key"]]
    assert moved == [2], "a late row before the last test makes that fold stale, no other"


def test_several_segments_are_claimed_where_a_stage_chains_them() -> None:
    checked = parse_config(config(Path("none.csv"), Path("out")), "test")
    shape = PanelShape(
        num_rows=10_000, num_entities=100, num_dates=200, num_features=4, num_targets=1, num_prices=1,
        max_rows_per_entity=200, max_rows_per_date=100,
    )  # fmt: skip
    many, folds = replace(shape, num_pieces=500), Folds((5000,), (2000,))
    for stage in ("folds", "train", "predict", "evaluate", "join", "backtest"):
        one, other = (plan_unit(Unit(stage), checked, sizes, folds, 2**30) for sizes in (shape, many))
        assert other.projected_private_bytes - one.projected_private_bytes == many.layout_bytes == 150_000


def test_an_ingest_does_not_undo_an_append(tmp_path: Path) -> None:
    frame = market()
    days = np.unique(frame["date"])
    source = write_market(tmp_path / "old.csv", frame[frame["date"] < days[20]])
    settings = config(source, tmp_path / "out") | {"train": None, "backtest": None}
    run(settings, memory=MEMORY, only="ingest")
    panel = tmp_path / "out" / "small.panel"
    add(panel, frame[frame["date"] == days[20]], "new.csv")
    before = Panel(panel).content_key

    with pytest.raises(ConfigError, match="rows were appended to this store"):
        run(settings, memory=MEMORY, only="ingest")
    assert Panel(panel).content_key == before


def test_bad_input_leaves_the_panel_as_it_was(tmp_path: Path) -> None:
    frame = market()
    days = np.unique(frame["date"])
    source = write_market(tmp_path / "old.csv", frame[frame["date"] < days[20]])
    run(config(source, tmp_path / "out") | {"train": None, "backtest": None}, memory=MEMORY, only="ingest")
    panel = tmp_path / "out" / "small.panel"
    before = {path: path.stat().st_mtime_ns for path in panel.rglob("*")}
    (tmp_path / "bad.csv").write_text("symbol,date,close,value\nS00,2021-01-04,many,1\n")
    (tmp_path / "lacks.csv").write_text("symbol,date,close\nS00,2021-01-04,2\n")
    for name, words in (("bad.csv", "line 2"), ("lacks.csv", "value"), ("old.csv2", "not found")):
        with pytest.raises((DataError, ConfigError), match=words):
            upkeep.append(work("append", panel), [str(tmp_path / name)])
    assert {path: path.stat().st_mtime_ns for path in panel.rglob("*")} == before
    assert json.loads((panel / "panel.json").read_text())["segments"]

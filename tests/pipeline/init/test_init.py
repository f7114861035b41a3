"""A first config is guessed from real and awkward tables, explained, and refused where guessing would be wrong."""

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.budget.limits import find_budget
from seawall.errors import ConfigError, DataError, SeawallError
from seawall.pipeline.config import load_config
from seawall.pipeline.init.memory import LOOK_ROWS
from seawall.pipeline.init.run import Asked, Written, init
from seawall.pipeline.listener import Silent
from seawall.tables.survey import MOST_ROWS

DATA = Path(__file__).parents[3].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real sets in {DATA}")

SETS = [
    *("crypto_daily.csv.gz", "crypto_hourly.csv.gz", "equities_pse_daily.parquet", "equities_us_close_wide.csv.gz"),
    *("equities_us_ohlcv_daily.csv.gz", "forex_hourly.parquet", "hydro_daily.parquet", "hydro_static.csv"),
    *("motion_walk_joints.csv.gz", "motion_watch.parquet", "motion_watch_static.csv"),
]


def bars(names: list[str], num_days: int) -> Iterator[tuple[date, str, list[float], int]]:
    """Random walks on weekdays: day, name, open high low close, volume."""
    dice = random.Random(3)
    prices = dict.fromkeys(names, 10.0)
    day = date(2022, 1, 3)
    for _ in range(num_days):
        while day.weekday() > 4:
            day += timedelta(1)
        for name in names:
            first = prices[name]
            last = prices[name] = first * (1 + dice.gauss(0, 0.015))
            yield day, name, [first, max(first, last) * 1.01, min(first, last) * 0.99, last], dice.randint(10**6, 10**7)
        day += timedelta(1)


def german(number: float) -> str:
    return f"{number:,.4f}".translate(str.maketrans(",.", ".,"))


def spreadsheet(folder: Path, num_days: int = 60) -> Path:
    """What people really have: a byte order mark, semicolons, decimal commas, a repeated row, a total at the end."""
    lines = [
        f"{day:%d/%m/%Y};{name};{';'.join(german(price) for price in prices)};{volume:,}".replace(",", ".", 0)
        for day, name, prices, volume in bars(["SAN", "IBE", "ITX", "TEF"], num_days)
    ]
    lines = [";".join([*line.split(";")[:-1], line.split(";")[-1].replace(",", ".")]) for line in lines]
    lines.insert(20, lines[19])
    lines.insert(40, "04/01/2022;TEF;n.d.;n.d.;n.d.;n.d.;")
    path = folder / "export.csv"
    text = "Date;Ticker;Open;High;Low;Close;Volume\n" + "\n".join(lines) + "\nTotal;;;;;;123.456\n"
    path.write_text(text, encoding="utf-8-sig")
    return path


def write(folder: Path, *sources: str | Path, **told: Any) -> tuple[Written, dict[str, Any]]:  # noqa: ANN401
    """Write a config; hand it back as it reads."""
    asked = Asked(tuple(map(str, sources)), folder / "config.yaml", overwrite=True, **told)
    written = init(asked, find_budget("3GiB"), Silent(), "seawall init")
    config: dict[str, Any] = yaml.safe_load(written.path.read_text(encoding="utf-8"))
    return written, config


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_each_real_set_gives_a_config_that_loads_with_a_reason_for_every_key(name: str, tmp_path: Path) -> None:
    written, config = write(tmp_path, DATA / name)
    load_config(written.path)
    assert all(guess.why for guess in written.guesses)
    comments = [line for line in written.path.read_text().splitlines() if line.lstrip().startswith("# ")]
    assert all(len(line) <= 80 for line in comments if str(tmp_path) not in line and str(DATA) not in line)
    known = {
        "crypto_daily.csv.gz": ("symbol", "date", "fwd_ret_5", {}),
        "crypto_hourly.csv.gz": ("symbol", "date", "fwd_ret_12", {}),
        "equities_pse_daily.parquet": ("symbol", "date", "fwd_ret_5", {}),
        "equities_us_close_wide.csv.gz": ("symbol", "Date", "fwd_ret_5", {"wide": "close"}),
        "equities_us_ohlcv_daily.csv.gz": ("Ticker", "Date", "fwd_ret_5", {}),
        "forex_hourly.parquet": ("symbol", "datetime", "fwd_ret_12", {}),
        "hydro_daily.parquet": ("gauge_id", "date", "next_streamflow_mm", {}),
        "hydro_static.csv": ("gauge_id", "date", "next_streamflow_mm", {}),
        "motion_walk_joints.csv.gz": ("clip", "frame", "next_", {}),
        "motion_watch.parquet": ("series_id", "t", "next_wz", {}),
        "motion_watch_static.csv": ("series_id", "t", "next_wz", {}),
    }
    entity, time, target, layout = known[name]
    section = config["ingest"]
    assert (section["entity"], section["time"], section.get("layout", {})) == (entity, time, layout)
    assert config["train"]["target"].startswith(target)
    assert ("backtest" in config) == ("price" in str(config["ingest"].get("drop_rows")))
    if name == "equities_us_ohlcv_daily.csv.gz":
        assert section["targets"]["fwd_ret_5"]["forward_return"]["column"] == "Adj Close"
    if name == "equities_pse_daily.parquet":
        assert section["adjustment"]["detect"], "the scale breaks are seen"
    if name.endswith("static.csv"):
        assert section["static"] == {"source": str(DATA / name), "entity": entity}
    record = written.look
    assert record["measured_private_bytes"] <= record["projected_private_bytes"]
    assert record["projected_private_bytes"] <= 1.5 * record["measured_private_bytes"] + 32 * 2**20


def test_the_plan_of_the_look_knows_how_many_rows_are_read() -> None:
    assert LOOK_ROWS == MOST_ROWS


def test_a_spreadsheet_export_is_read_as_it_is_written(tmp_path: Path) -> None:
    _, config = write(tmp_path, spreadsheet(tmp_path))
    section = config["ingest"]
    assert section["layout"] == {"decimal": ",", "delimiter": ";", "thousands": "."}
    assert (section["entity"], section["time"]) == ("Ticker", "Date")
    assert (section["duplicates"], section["max_bad_rows"]) == ("last", 2)
    assert section["prices"] == ["Open", "High", "Low", "Close"]


def test_one_file_of_one_instrument_is_named_after_the_file_and_its_row_numbers_are_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.csv"
    rows = [
        f'{number},{day},{",".join(f"{price:.4f}" for price in prices)},"{volume:,}"'
        for number, (day, _, prices, volume) in enumerate(bars(["A"], 60))
    ]
    path.write_text(",Date,Open,High,Low,Close,Volume\n" + "\n".join(rows) + "\n")
    _, config = write(tmp_path, path)
    assert config["ingest"]["layout"] == {"entity_from_file": "{entity}", "thousands": ","}
    assert config["ingest"]["values"] == ["Volume"]
    assert "backtest" not in config, "one instrument cannot be ranked"


def test_a_price_in_another_language_can_be_told(tmp_path: Path) -> None:
    path = spreadsheet(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("Close", "Cierre", 1), encoding="utf-8")
    _, guessed = write(tmp_path, path)
    _, told = write(tmp_path, path, price="Cierre")
    assert "backtest" not in guessed
    assert told["ingest"]["targets"]["fwd_ret_1"]["forward_return"]["column"] == "Cierre"
    assert told["backtest"]["trade_price"] == "Cierre"


def test_a_column_that_lies_ahead_becomes_the_target_and_never_a_feature(tmp_path: Path) -> None:
    path = tmp_path / "factors.csv"
    dice = random.Random(1)
    rows = [
        f"{day},{name},{dice.random()},{dice.random()},{dice.random()}" for day, name, _, _ in bars(["A", "B", "C"], 80)
    ]
    path.write_text("trade_date,code,momentum,y_ret_10d,target_vol\n" + "\n".join(rows) + "\n")
    written, config = write(tmp_path, path)
    assert config["ingest"]["targets"] == {"y_ret_10d": {"column": {"name": "y_ret_10d", "horizon_periods": 10}}}
    assert list(config["ingest"]["features"]) == ["momentum"]
    assert "target_vol" not in config["ingest"]["values"]
    assert "leaks the future" in " ".join(guess.why for guess in written.guesses)


def test_dates_that_read_two_ways_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    days = [f"{month:02d}/{day:02d}/2022" for month in range(1, 13) for day in range(1, 13)]
    path.write_text(
        "date,symbol,close\n" + "".join(f"{day},A,{n + 1}\n{day},B,{n + 2}\n" for n, day in enumerate(days))
    )
    with pytest.raises(DataError, match=r"two ways.*--time-format"):
        write(tmp_path, path)
    assert not (tmp_path / "config.yaml").exists()
    _, config = write(tmp_path, path, time_format="%d/%m/%Y")
    assert config["ingest"]["time_format"] == "%d/%m/%Y"


def test_keys_that_do_not_tell_rows_apart_are_refused_with_the_other_candidates(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    days = [date(2022, 1, 1) + timedelta(n) for n in range(40)]
    rows = [f"{day},AAPL,{kind},{n}" for n, day in enumerate(days) for kind in ("bid", "ask")]
    path.write_text("date,symbol,side,x\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"do not tell the rows apart.*40 of 80"):
        write(tmp_path, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column of times"),
        ("date,symbol,note\n2024-01-01,A,x\n", "no column of numbers beside"),
        ("date,symbol,x\n2024-01-01,A,1\n2024-01-02,A,2\n", "too few dates"),
        ("date,symbol,x\n", "no rows"),
        ("", "the file is empty"),
    ],
)
def test_what_cannot_be_guessed_is_refused_in_words(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SeawallError, match=message):
        write(tmp_path, path)
    assert {p.name for p in tmp_path.iterdir()} == {"bad.csv"}, "nothing is left behind"


def test_a_static_table_alone_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rivers_static.csv"
    path.write_text("gauge_id,area\n01,3.5\n02,4.5\n")
    with pytest.raises(DataError, match=r"static attributes, one row for each entity"):
        write(tmp_path, path)


def test_hostile_column_names_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    names = ['# x: [1]\u2028name: "stolen"', "a'; drop table x", "<b>", "{z}"]
    rows = [
        f"{day},{name}," + ",".join(f"{price}" for price in prices) for day, name, prices, _ in bars(["A", "B"], 40)
    ]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    path.write_text(f"date,symbol,{header}\n" + "\n".join(rows) + "\n", encoding="utf-8")
    written, config = write(tmp_path, path)
    assert config["name"] == "bars"
    assert list(config["ingest"]["features"]) == names
    load_config(written.path)


def test_an_existing_config_is_kept_unless_told(tmp_path: Path) -> None:
    kept = tmp_path / "config.yaml"
    kept.write_text("mine")
    path = spreadsheet(tmp_path)
    with pytest.raises(ConfigError, match="the file exists"):
        init(Asked((str(path),), kept), find_budget("3GiB"), Silent(), "seawall init")
    assert kept.read_text() == "mine"
    assert not (tmp_path / "seawall.schema.json").exists()
    write(tmp_path, path)
    assert json.loads((tmp_path / "seawall.schema.json").read_text())["title"] == "seawall config"


@pytest.mark.parametrize("name", ["nothing", "config.txt", "none/config.yaml"])
def test_outputs_that_cannot_be_written_are_told_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--output"):
        init(Asked(("x.csv",), tmp_path / name), find_budget("3GiB"), Silent(), "seawall init")

"""Every command of the ingest guide runs and says what the guide says, on the real sets; skipped without them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import seawall as sw
from seawall.cli.main import app

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
GUIDE = (ROOT / "docs" / "guide" / "ingest.md").read_text(encoding="utf-8")

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real sets in {DATA}")


def steps() -> list[tuple[list[str], list[str]]]:
    """Commands of each block, and the lines the guide shows after it."""
    found = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", GUIDE, re.DOTALL)
    return [(commands.splitlines(), shown.splitlines()) for commands, shown in found]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with all sets; the commands of the guide are run in it once."""
    folder = tmp_path_factory.mktemp("guide")
    for path in DATA.iterdir():
        (folder / path.name).symlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for commands, shown in steps():
            said = []
            for command in commands:
                result = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
                assert result.exit_code == 0, command
                said += result.output.splitlines()
            assert [line for line in shown if line not in said] == []
        yield folder


@needs_data
def test_every_real_set_comes_in_with_one_command_and_the_known_counts(workplace: Path) -> None:
    counts = {
        "pse": (538_408, 257),
        "us": (8_313 * 20, 20),
        "tech": (12_154, 5),
        "fx": (6 * 57_600, 6),
        "coins": (19_847, 4),
        "coins_daily": (5_801, 4),
        "rivers": (49 * 12_418, 49),
        "watch": (118_668, 70),
        "walk": (1_064, 1),
    }
    for name, (num_rows, num_entities) in counts.items():
        shape = sw.open(workplace / f"{name}.panel").shape
        assert (shape.num_rows, shape.num_entities) == (num_rows, num_entities), name


@needs_data
def test_quirks_of_the_stock_exchange(workplace: Path) -> None:
    panel = sw.open(workplace / "pse.panel")
    names_per_day = np.diff(panel.time_offsets)
    assert (names_per_day.min(), np.median(names_per_day), names_per_day.max()) == (112, 199, 249)
    lengths = np.diff(panel.offsets)
    assert (lengths.min(), lengths.max()) == (101, 2_798)
    assert ((panel.prices == 0).all(axis=1)).sum() == 37
    assert (np.diff(panel.times_as_datetime()) > np.timedelta64(6, "D")).sum() == 9
    assert panel.manifest["ingest"]["prices"]["close"]["zero"] == 37


@needs_data
def test_quirks_of_the_bars(workplace: Path) -> None:
    tech = sw.open(workplace / "tech.panel")
    lengths = dict(zip(tech.entities, np.diff(tech.offsets).tolist(), strict=True))
    assert lengths["FB"] == 196
    first_of_goog = tech.times_as_datetime()[tech.time_index[tech.offsets[tech.entities.index("GOOG")]]]
    assert str(first_of_goog)[:10] == "2004-08-19"
    us = sw.open(workplace / "us.panel")
    assert np.isfinite(us.prices).all()
    assert us.entities[:3] == ["AAPL", "AMD", "BAC"]
    fx = sw.open(workplace / "fx.panel")
    assert np.diff(fx.offsets).tolist() == [57_600] * 6
    assert len({int(fx.time_index[start]) for start in fx.offsets[:-1]}) > 1
    weekdays = (fx.calendar // 86_400_000_000_000 + 3) % 7  # Monday is 0
    assert weekdays.max() == 4


@needs_data
def test_quirks_of_the_coins(workplace: Path) -> None:
    hourly, daily = sw.open(workplace / "coins.panel"), sw.open(workplace / "coins_daily.panel")
    lengths = np.diff(hourly.offsets)
    assert (lengths.min(), lengths.max()) == (4_844, 5_001)
    assert hourly.entities[int(lengths.argmin())] == "adausd"
    assert hourly.manifest["ingest"]["longest_gap_dates"] == 22
    trades = daily.features[:, daily.column_index("features", "tradesDone")]
    volume = daily.features[:, daily.column_index("features", "volume")]
    assert ((trades == 0) & (volume > 0)).sum() == 150


@needs_data
def test_quirks_of_the_rivers(workplace: Path) -> None:
    panel = sw.open(workplace / "rivers.panel")
    assert any(name.startswith("0") for name in panel.entities)
    flow = panel.features[:, panel.column_index("features", "streamflow_mm")]
    assert np.isnan(flow).sum() == 10_195
    by_gauge = np.add.reduceat(np.isnan(flow).astype(int), panel.offsets[:-1])
    assert (by_gauge > 0).sum() == 33
    evaporation = panel.features[:, panel.column_index("features", "pet_mm")]
    assert (evaporation < 0).sum() == 1_156
    attributes = panel.attributes
    assert attributes.num_columns == 212
    numbers = [name for name in attributes.schema.names if pa.types.is_floating(attributes.schema.field(name).type)]
    spread = [len(set(attributes[name].to_pylist())) for name in numbers]
    assert sum(count == 1 for count in spread) == 20


@needs_data
def test_quirks_of_the_movements(workplace: Path) -> None:
    watch = sw.open(workplace / "watch.panel")
    lengths = np.diff(watch.offsets)
    assert (lengths.min(), lengths.max()) == (963, 2_416)
    assert watch.calendar_kind == "step"
    assert len(set(watch.attributes["exercise"].to_pylist())) == 7
    walk = sw.open(workplace / "walk.panel")
    assert walk.shape.num_features == 3 + 69


@needs_data
def test_a_folder_of_243_daily_files_gives_what_one_file_gives(tmp_path: Path) -> None:
    whole = pq.read_table(DATA / "equities_pse_daily.parquet")
    dates = whole["date"].unique().take(pa.array(range(243)))
    (tmp_path / "daily").mkdir()
    kept = []
    for number, date in enumerate(dates):
        rows = whole.filter(pa.compute.equal(whole["date"], date))
        pq.write_table(rows, tmp_path / "daily" / f"{number:03d}.parquet")
        kept.append(rows)
    pq.write_table(pa.concat_tables(kept), tmp_path / "one.parquet")
    many = sw.ingest(tmp_path / "daily", tmp_path / "many.panel", memory="2GiB", entity="symbol", time="date")
    one = sw.ingest(tmp_path / "one.parquet", tmp_path / "one.panel", memory="2GiB", entity="symbol", time="date")
    assert many.content_key == one.content_key
    assert many.shape.num_dates == 243

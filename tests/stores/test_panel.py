import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.errors import ConfigError, FormatError
from seawall.stores import segments as segments_module
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.shape import read_shape
from tests.stores.panels import write_tiny
from tests.support import make_panel


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "tiny.panel")
    return tmp_path / "tiny.panel"


def test_a_panel_gives_back_what_was_written(tiny: Path) -> None:
    panel = Panel(tiny)
    assert panel.names("features") == ["f", "g"]
    assert panel.names("prices") == ["close"]
    assert panel.column_index("features", "g") == 1
    assert panel.target_specs == (TargetSpec("fwd", "forward_return", "close", 1, 1),)
    assert panel.entities == ["A", "B"]
    assert panel.calendar_kind == "step"
    assert panel.times_as_datetime().tolist() == [10, 20, 30, 40]
    assert panel.universe.tolist() == [True, False, True, False, True]
    assert panel.target_end[:, 0].tolist() == [3, -1, -1, -1, -1]
    assert panel.entity_of(np.array([[0, 2], [3, 4]])).tolist() == [[0, 0], [1, 1]]
    assert repr(panel) == f"Panel({str(tiny)!r}, rows=5, entities=2, dates=4, features=2)"


def test_a_calendar_of_timestamps_reads_as_datetimes(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    assert panel.times_as_datetime()[0] == np.datetime64("2019-04-14")


def test_an_unknown_column_is_refused_with_the_nearest(tiny: Path) -> None:
    with pytest.raises(ConfigError, match="unknown column, found 'clos'") as error:
        Panel(tiny).column_index("prices", "clos")
    assert "Did you mean 'close'?" in str(error.value)


def test_arrays_are_mapped_only_when_asked_for(tiny: Path) -> None:
    (tiny / "seg-000000" / "prices.npy").unlink()
    panel = Panel(tiny)
    assert panel.features.shape == (5, 2)
    with pytest.raises(FormatError, match=r"prices\.npy: cannot be read"):
        _ = panel.prices


FILES = sorted(
    [
        *(f"{name}.npy" for name in segments_module.ARRAYS if name not in ("values", *segments_module.ROLES)),
        "calendar.npy",
        "offsets.npy",
        "by_time.npy",
        "time_offsets.npy",
        "entities.parquet",
    ]
)


@pytest.mark.parametrize("name", FILES)
def test_verify_finds_one_flipped_bit_anywhere_in_any_file(tiny: Path, name: str) -> None:
    Panel(tiny).verify()
    path = tiny / "seg-000000" / name
    good = path.read_bytes()
    for place in (0, len(good) // 2, len(good) - 1):
        bad = bytearray(good)
        bad[place] ^= 0b100
        path.write_bytes(bad)
        with pytest.raises(FormatError, match=f"{name}: block 0 is damaged"):
            Panel(tiny).verify()
    path.write_bytes(good)
    Panel(tiny).verify()


def test_verify_knows_every_file_of_the_store(tiny: Path) -> None:
    listed = json.loads((tiny / "panel.json").read_text())["files"]
    assert sorted(listed) == [f"seg-000000/{name}" for name in FILES]


@pytest.mark.parametrize("change", ["missing", "longer", "shorter"])
def test_verify_finds_missing_and_resized_files(tiny: Path, change: str) -> None:
    path = tiny / "seg-000000" / "features.npy"
    data = path.read_bytes()
    path.unlink()
    if change != "missing":
        path.write_bytes(data + b"\0" if change == "longer" else data[:-1])
    with pytest.raises(FormatError, match=r"features\.npy: (missing|block 0 is damaged)"):
        Panel(tiny).verify()


def test_verify_names_the_damaged_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seawall.stores.atomic.BLOCK_BYTES", 4096)
    write_tiny(tmp_path / "x.panel")
    path = tmp_path / "x.panel" / "seg-000000" / "features.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="block 1 is damaged"):
        Panel(tmp_path / "x.panel").verify()
    path.write_bytes(data[:4096])
    with pytest.raises(FormatError, match="wrong number of blocks, found 1, allowed: 2"):
        Panel(tmp_path / "x.panel").verify()


Change = Callable[[dict[str, Any]], object]

MANIFESTS: dict[str, tuple[Change, str]] = {
    "another format": (lambda m: m.update(format="seawall-panel/2"), "unknown format, found 'seawall-panel/2'"),
    "no format": (lambda m: m.pop("format"), "unknown format, found None"),
    "no rows": (lambda m: m.pop("num_rows"), "damaged manifest, found num_rows = None"),
    "rows as text": (lambda m: m.update(num_rows="5"), "damaged manifest, found num_rows = '5'"),
    "negative dates": (lambda m: m.update(num_dates=-1), "damaged manifest, found num_dates = -1"),
    "true entities": (lambda m: m.update(num_entities=True), "damaged manifest"),
    "no columns": (lambda m: m.pop("columns"), "damaged manifest, found columns = None"),
    "a column without a group": (lambda m: m["columns"][0].pop("group"), "damaged manifest, found columns"),
    "columns as text": (lambda m: m.update(columns="features"), "damaged manifest, found columns = 'features'"),
    "a target without a horizon": (lambda m: m["targets"][0].pop("horizon_periods"), "damaged manifest, found targets"),
    "sources as numbers": (lambda m: m.update(sources=[1]), "damaged manifest, found sources = [1]"),
    "no files": (lambda m: m.pop("files"), "damaged manifest, found files = None"),
    "no segments": (lambda m: m.update(segments=[]), "one segment or more, each once, found 0 segments"),
    "two segments": (lambda m: m.update(segments=m["segments"] * 2), "found 2 segments"),
    "a segment upstairs": (lambda m: m["segments"][0].update(name=".."), "plain folder name, found '..'"),
    "a segment elsewhere": (lambda m: m["segments"][0].update(name="/etc"), "plain folder name, found '/etc'"),
    "a hidden segment": (lambda m: m["segments"][0].update(name=".seg-000000.tmp"), "plain folder name"),
    "a nameless segment": (lambda m: m["segments"][0].update(name=""), "plain folder name"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_hostile_manifest_is_refused_in_words(tiny: Path, case: str) -> None:
    change, message = MANIFESTS[case]
    manifest = json.loads((tiny / "panel.json").read_text())
    change(manifest)
    (tiny / "panel.json").write_text(json.dumps(manifest))
    with pytest.raises(FormatError) as error:
        Panel(tiny)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "\ufffe", '{"format": "seawall-panel/1"}', "[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_refused(tiny: Path, text: str) -> None:
    (tiny / "panel.json").write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=r"not a panel store|unknown format|damaged manifest"):
        read_shape(tiny)


def test_a_place_without_a_panel_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a panel store") as error:
        Panel(tmp_path / "nothing.panel")
    assert "seawall ingest" in str(error.value)


def test_counts_that_disagree_with_the_arrays_are_found_on_first_use(tiny: Path) -> None:
    manifest = json.loads((tiny / "panel.json").read_text())
    for key, value, use in (
        ("num_rows", 6, "features"),
        ("num_dates", 5, "calendar"),
        ("num_entities", 3, "offsets"),
        ("num_entities", 1, "entities"),
    ):
        (tiny / "panel.json").write_text(json.dumps({**manifest, key: value}))
        with pytest.raises(FormatError, match="does not match the manifest"):
            getattr(Panel(tiny), use)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all"])
def test_a_damaged_list_of_entities_is_refused(tiny: Path, data: bytes) -> None:
    (tiny / "seg-000000" / "entities.parquet").write_bytes(data)
    with pytest.raises(FormatError, match=r"entities\.parquet"):
        _ = Panel(tiny).entities


def test_a_list_of_entities_without_names_is_refused(tiny: Path) -> None:
    pq.write_table(pa.table({"name": ["A", "B"]}), tiny / "seg-000000" / "entities.parquet")
    with pytest.raises(FormatError, match=r"entities\.parquet"):
        _ = Panel(tiny).entities


def test_the_arrays_of_a_segment_are_those_of_the_format() -> None:
    assert set(segments_module.ARRAYS) == {
        "features",
        "targets",
        "target_end",
        "returns",
        "prices",
        "adjustment",
        "universe",
        "time_index",
        "values",
        "weights",
        "dividends",
        "splits",
    }

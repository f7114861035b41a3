from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seawall.errors import FormatError
from seawall.report.timeline import COLUMNS, pack_timeline, read_timeline
from tests.report.fake_run import make_run

HEADER = ",".join(COLUMNS) + "\n"


def _line(seconds: float, unit: str, private: int, cgroup: str = "") -> str:
    return f"{seconds},{unit},work,{private},10,5,{cgroup},7\n"


def _packed(folder: Path, text: str) -> Path:
    (folder / "memory.csv").write_text(text, encoding="utf-8")
    pack_timeline(folder / "memory.csv", folder / "memory.parquet")
    return folder / "memory.parquet"


def test_packing_keeps_every_value(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    num_rows = pack_timeline(run / "memory.csv", run / "memory.parquet")
    expected, found = pd.read_csv(run / "memory.csv"), pd.read_parquet(run / "memory.parquet")
    assert num_rows == len(expected)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = _packed(tmp_path, HEADER + _line(1, "a", 100) + _line(2, "a", 200) + "3,a,work,12")
    assert read_timeline(path).num_samples == 2


def test_unreadable_lines_and_repeated_headers_are_left_out(tmp_path: Path) -> None:
    path = _packed(
        tmp_path, HEADER + _line(1, "a", 100) + HEADER + "x,y\n" + "1,a,work,many,1,1,1,1\n" + _line(2, "a", 1)
    )
    assert read_timeline(path).num_samples == 2


def test_a_file_with_a_header_only_gives_an_empty_timeline(tmp_path: Path) -> None:
    timeline = read_timeline(_packed(tmp_path, HEADER))
    assert timeline.num_samples == 0
    assert len(timeline.seconds) == 0


def test_the_total_is_private_and_shared_memory_of_child_and_parent(tmp_path: Path) -> None:
    timeline = read_timeline(_packed(tmp_path, HEADER + _line(0, "a", 100, "55") + _line(1, "a", 200)))
    assert timeline.total_bytes.tolist() == [117.0, 217.0]
    assert timeline.parent_bytes.tolist() == [7.0, 7.0]
    np.testing.assert_array_equal(timeline.cgroup_bytes, [55.0, np.nan])


def test_time_counts_from_the_first_sample_and_continues_after_a_restart(tmp_path: Path) -> None:
    lines = [_line(seconds, "a", 1) for seconds in (100.0, 103.0, 0.5, 2.5)]
    assert read_timeline(_packed(tmp_path, HEADER + "".join(lines))).seconds.tolist() == [0.0, 3.0, 3.0, 5.0]


def test_thinning_over_many_row_groups_keeps_peaks_order_and_short_units(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    private = rng.integers(1_000, 2_000, 20_000)
    private[[5, 9_000, 19_990]] = 900_000
    units = ["a"] * 12_000 + ["tiny"] + ["b"] * 7_999
    lines = [_line(i, unit, int(size)) for i, (unit, size) in enumerate(zip(units, private, strict=True))]
    timeline = read_timeline(_packed(tmp_path, HEADER + "".join(lines)), max_points=300)
    assert len(timeline.seconds) < 320
    assert timeline.num_samples == 20_000
    assert timeline.units.count("tiny") == 1
    assert (np.diff(timeline.seconds) > 0).all()
    assert {5.0, 9_000.0, 19_990.0} <= set(timeline.seconds[timeline.total_bytes > 900_000].tolist())


def test_a_file_that_is_no_timeline_is_refused(tmp_path: Path) -> None:
    (tmp_path / "memory.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(FormatError, match="cannot be read as a memory timeline"):
        read_timeline(tmp_path / "memory.parquet")


def test_units_side_by_side_are_added_up_and_those_in_turn_are_not(tmp_path: Path) -> None:
    beside = [_line(0, "a", 100), _line(0.1, "b", 30), _line(0.2, "a", 200), _line(0.3, "b", 40), _line(0.4, "b", 50)]
    later = [_line(0.5, "c", 1), _line(60, "a", 100)]
    timeline = read_timeline(_packed(tmp_path, HEADER + "".join([*beside, *later])))
    apart = [110, 40 + 110, 210 + 40, 50, 60, 11, 110]
    assert (timeline.total_bytes - timeline.parent_bytes).tolist() == apart

"""Scattered reads of the panel: right values, and a mapping that does not read ahead."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from seawall.errors import ConfigError
from seawall.join.gather import RowGather
from tests.support import make_panel


def mapping_flags(folder: Path, name: str) -> set[str]:
    """Flags the kernel keeps for the mapping of a file: ``rr`` is advised for random reads."""
    text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    (block,) = re.findall(rf"{re.escape(str(folder))}/\S*{name}\n.*?VmFlags: ([a-z ]+)", text, flags=re.DOTALL)
    return set(block.split())


def test_rows_in_any_order_give_their_own_values(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, breaks=True)
    rows = np.random.default_rng(0).permutation(panel.shape.num_rows)[:200]

    gather = RowGather(panel, "fwd", ("low", "open"))

    np.testing.assert_array_equal(gather.forward_returns(rows), np.asarray(panel.returns)[rows, 0])
    np.testing.assert_array_equal(gather.price_columns(rows)[0], np.asarray(panel.prices)[rows, 2])
    np.testing.assert_array_equal(gather.price_columns(rows)[1], np.asarray(panel.prices)[rows, 0])
    np.testing.assert_array_equal(gather.adjustments(rows), np.asarray(panel.adjustment)[rows])
    np.testing.assert_array_equal(gather.dates(rows), np.asarray(panel.time_index)[rows])
    assert RowGather(panel, "fwd", ()).price_columns(rows) == []


@pytest.mark.skipif(sys.platform != "linux", reason="mapping flags are read from /proc")
def test_no_mapping_that_is_read_in_scattered_places_reads_ahead(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)

    RowGather(panel, "fwd", ("close",))

    for name in ("returns.npy", "prices.npy", "adjustment.npy", "time_index.npy"):
        assert "rr" in mapping_flags(tmp_path, name), name


def test_an_unknown_target_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="targets: unknown column, found 'forward'"):
        RowGather(make_panel(tmp_path), "forward", ())

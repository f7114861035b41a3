"""Scalers agree with NumPy, whatever the blocks, and depend on the chosen rows alone."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Float32
from seawall.errors import DataError, FormatError
from seawall.stores import scalers
from seawall.stores.scalers import ColumnScale, Scaler, fit_columns, load_scaler


def random_values(seed: int, n: int = 400, offset: float = 0.0) -> Float32:
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((n, 3)) * [1.0, 1e-4, 1e4] + offset).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


def fitted(values: Float32, *blocks: list[int]) -> tuple[ColumnScale, ...]:
    rows = [np.array(block, np.int64) for block in blocks] or [np.arange(len(values))]
    return fit_columns(values, rows, range(values.shape[1]), [f"f{i}" for i in range(values.shape[1])])


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("chunk_bytes", [24, 240, 1 << 20])
def test_mean_and_spread_agree_with_numpy(offset: float, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalers, "CHUNK_BYTES", chunk_bytes)
    values = random_values(1, offset=offset)

    columns = fitted(values)

    wide = values.astype(np.float64)
    expected_std = np.nanstd(wide, axis=0)
    np.testing.assert_allclose([c.mean for c in columns], np.nanmean(wide, axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([c.std for c in columns], np.where(expected_std > 0, expected_std, 1.0), rtol=1e-9)
    assert [c.num_values + c.num_missing for c in columns] == [400, 400, 400]
    assert [c.num_missing for c in columns] == np.isnan(values).sum(axis=0).tolist()


@settings(max_examples=30, deadline=None)
@given(cuts=st.sets(st.integers(1, 399), max_size=8))
def test_blocks_change_no_bit(cuts: set[int]) -> None:
    values = random_values(2)
    edges = [0, *sorted(cuts), 400]
    blocks = [list(range(a, b)) for a, b in pairwise(edges)]

    assert fitted(values, *blocks) == fitted(values)


def test_rows_that_were_not_chosen_change_no_bit() -> None:
    values = random_values(3)
    chosen = list(range(0, 200, 3))
    changed = np.concatenate([values, random_values(4)])
    changed[[row for row in range(800) if row not in chosen]] = 1e30

    assert fitted(changed, chosen) == fitted(values, chosen)


def test_a_column_whose_values_are_all_alike_is_scaled_by_one() -> None:
    values = np.full((50, 1), 0.1, np.float32)

    (column,) = fitted(values)

    assert (column.mean, column.std) == (float(np.float32(0.1)), 1.0)


def test_infinite_values_measure_nothing_and_are_counted() -> None:
    values = np.array([[1.0], [np.inf], [3.0], [-np.inf], [np.nan]], np.float32)

    (column,) = fitted(values)

    assert column == ColumnScale("f0", 2.0, 1.0, num_values=2, num_missing=1, num_infinite=2)


def test_a_column_without_a_value_is_an_error_that_names_it() -> None:
    values = random_values(5)
    values[:, 1] = np.nan

    with pytest.raises(DataError, match=r"column 'f1' has no value in the train rows, found 400 rows\. Leave"):
        fitted(values)


def test_a_saved_scaler_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    columns = fitted(random_values(6))
    scaler = Scaler(columns[:2], columns[2], 5.0, None)

    scaler.save(tmp_path / "scaler.json")

    assert load_scaler(tmp_path / "scaler.json") == scaler


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "seawall-scaler/1"}', '{"format": "other/1"}'])
def test_a_file_that_is_no_scaler_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scaler.json").write_text(text)

    with pytest.raises(FormatError, match=r"scaler\.json"):
        load_scaler(tmp_path / "scaler.json")


def test_the_file_is_plain_json_with_its_format_in_it(tmp_path: Path) -> None:
    columns = fitted(random_values(7))
    Scaler(columns[:2], columns[2], 5.0, 4.0).save(tmp_path / "scaler.json")

    record = json.loads((tmp_path / "scaler.json").read_text())

    assert record["format"] == "seawall-scaler/1"
    assert [column["name"] for column in record["features"]] == ["f0", "f1"]
    assert record["target_clip_sigmas"] == 4.0

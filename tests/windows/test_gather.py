"""Batches from the mapped store equal plain slices, scaled as said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Float32, Int64
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.windows.gather import Gather
from seawall.windows.samples import select_samples
from seawall.windows.scaling import Scaling
from tests.support import make_panel


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return make_panel(tmp_path_factory.mktemp("panel"), num_features=5)


def slices(panel: Panel, rows: Int64, lookback: int) -> Float32:
    return np.stack([panel.features[row - lookback + 1 : row + 1] for row in rows])


@settings(max_examples=40, deadline=None)
@given(lookback=st.integers(1, 30), seed=st.integers(0, 1000), size=st.integers(1, 40))
def test_windows_equal_plain_slices(panel: Panel, lookback: int, seed: int, size: int) -> None:
    samples = select_samples(panel, (0, panel.shape.num_dates), lookback)
    rows = samples.rows(np.random.default_rng(seed).integers(0, samples.num_samples, size))

    np.testing.assert_array_equal(Gather(panel, lookback).features(rows), slices(panel, rows, lookback))


def test_a_choice_of_columns_comes_in_the_order_asked_for(panel: Panel) -> None:
    rows = np.array([40, 41, 99])

    found = Gather(panel, 6, features=(3, 0)).features(rows)

    np.testing.assert_array_equal(found, slices(panel, rows, 6)[:, :, [3, 0]])


def test_scaling_centres_divides_clips_and_turns_missing_into_the_mean(panel: Panel) -> None:
    mean = np.array([0.5, -0.2], np.float32)
    std = np.array([0.3, 2.0], np.float32)
    rows = np.arange(60, 200)

    found = Gather(panel, 10, features=(1, 4), scaling=Scaling(mean, std, 1.5)).features(rows)

    plain = slices(panel, rows, 10)[:, :, [1, 4]]
    expected = np.nan_to_num(np.clip((plain - mean) / std, -1.5, 1.5), nan=0.0)
    assert np.isnan(plain).any()
    assert (np.abs(found) == 1.5).any()
    np.testing.assert_array_equal(found, expected)


def test_reading_a_batch_changes_neither_the_store_nor_the_batch_before(panel: Panel) -> None:
    before = np.array(panel.features)
    gather = Gather(panel, 4, scaling=Scaling(np.ones(5, np.float32), np.full(5, 2, np.float32), 3.0))
    first = gather.features(np.array([10, 20]))
    kept = first.copy()

    gather.features(np.array([30, 40]))

    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(np.array(panel.features), before)


def test_advice_against_reading_ahead_changes_no_value(panel: Panel) -> None:
    rows = np.arange(50, 90)

    with_advice = Gather(Panel(panel.path), 8, random_access=True).features(rows)

    np.testing.assert_array_equal(with_advice, Gather(panel, 8).features(rows))


def test_targets_come_unscaled_with_their_missing_values(panel: Panel) -> None:
    rows = np.arange(panel.shape.num_rows)

    found = Gather(panel, 1, targets=(0,)).target_values(rows)

    np.testing.assert_array_equal(found, np.array(panel.targets))
    assert np.isnan(found).any()


def test_a_lookback_longer_than_the_panel_is_refused(panel: Panel) -> None:
    with pytest.raises(ConfigError, match=r"lookback_periods: out of range, found 100000"):
        Gather(panel, 100_000)

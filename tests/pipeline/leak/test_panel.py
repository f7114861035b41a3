"""Leaks planted in the data: each is found by its check, and the honest twin of each is passed in silence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.leak.worlds import (
    NUM_DATES,
    NUM_ENTITIES,
    Market,
    centred,
    clean_market,
    expanding_score,
    forward,
    trailing,
    verdicts,
)

Plant = Callable[[Market], Market]


def _full_sample_scaler(market: Market) -> Market:
    raw = market.features["mean_5"]
    return market.with_feature("mean_5", (raw - np.nanmean(raw)) / np.nanstd(raw))


def _entity_scaler(market: Market) -> Market:
    raw = market.features["ret_1"]
    scaled = (raw - raw.mean(axis=1, keepdims=True)) / raw.std(axis=1, keepdims=True)
    return market.with_feature("score", scaled)


def _whole_history_ranks(market: Market) -> Market:
    order = np.argsort(np.argsort(market.close, axis=1), axis=1)
    return market.with_feature("rank", (order + 1) / NUM_DATES)


def _back_filled(market: Market) -> Market:
    late = market.features["late"].copy()
    late[:, :30] = late[:, 30:31]
    return market.with_feature("late", late)


def _label_in_features(market: Market) -> Market:
    return market.with_feature("mean_5", 3.0 * market.target + 1.0)


def _lead_column(market: Market) -> Market:
    noise = np.random.default_rng(3).normal(0, 0.04, market.close.shape)
    return market.with_feature("ret_1", np.nan_to_num(market.target) + noise)


def _centred_mean(market: Market) -> Market:
    return market.with_feature("mean_5", centred(market.features["ret_1"], 5))


def _shifted_append(market: Market) -> Market:
    shifted = market.features["ret_1"].copy()
    first = NUM_DATES // 3
    shifted[:, first:-2] = market.features["ret_1"][:, first + 2 :]
    return market.with_feature("ret_1", shifted)


def _short_horizon(market: Market) -> Market:
    return replace(market, kind="column", target=forward(market.close, 10))


def _short_horizon_without_prices(market: Market) -> Market:
    returns = np.random.default_rng(8).normal(0, 0.02, market.close.shape)
    sums = np.full(returns.shape, np.nan)
    sums[:, :-10] = 10 * trailing(returns, 10)[:, 10:]
    return replace(market, kind="column", target=sums)


def _forward_filled_target(market: Market) -> Market:
    target = market.target.copy()
    missing = np.random.default_rng(4).random(target.shape) < 0.05
    missing[:, 0] = False
    place = np.maximum.accumulate(np.where(missing, 0, np.arange(NUM_DATES)), axis=1)
    return replace(market, kind="column", target=np.take_along_axis(target, place, axis=1))


def _copied_rows(market: Market) -> Market:
    """Rows of the test segment stand a second time at dates of train."""
    features = {name: values.copy() for name, values in market.features.items()}
    target = market.target.copy()
    for values in (*features.values(), target):
        values[5, 100:130] = values[5, 320:350]
    return replace(market, features=features, target=target)


def _copied_entity(market: Market) -> Market:
    """An entity of the test dates, under another name and 250 dates earlier."""
    moved = {name: np.vstack([values, np.roll(values[7], -250)]) for name, values in market.features.items()}
    return replace(
        market,
        features=moved,
        close=np.vstack([market.close, np.roll(market.close[7], -250)]),
        target=np.vstack([market.target, np.roll(market.target[7], -250)]),
        present=np.vstack([market.present, market.present[7]]),
        names=tuple(f"E{number:03d}" for number in range(NUM_ENTITIES + 1)),
    )


def _twin_entity(market: Market) -> Market:
    """One entity listed twice, over all dates."""
    return replace(
        market,
        features={name: np.vstack([values, values[7]]) for name, values in market.features.items()},
        close=np.vstack([market.close, market.close[7]]),
        target=np.vstack([market.target, market.target[7]]),
        present=np.vstack([market.present, market.present[7]]),
        names=tuple(f"E{number:03d}" for number in range(NUM_ENTITIES + 1)),
    )


def _suspended(market: Market) -> Market:
    present = market.present.copy()
    present[::4, 240:270] = False  # no row for weeks, across the border of train and valid
    return replace(market, present=present)


def _ends_counted_in_dates(market: Market) -> Market:
    return replace(_suspended(market), end_shift=1)


@pytest.mark.parametrize(
    ("plant", "check", "verdict"),
    [
        (_full_sample_scaler, "preparation", "leak"),
        (_entity_scaler, "preparation", "leak"),
        (_whole_history_ranks, "preparation", "leak"),
        (_back_filled, "preparation", "check"),
        (_label_in_features, "features", "leak"),
        (_lead_column, "features", "check"),
        (_centred_mean, "features", "check"),
        (_shifted_append, "features", "check"),
        (_short_horizon, "targets", "leak"),
        (_short_horizon_without_prices, "targets", "check"),
        (_forward_filled_target, "targets", "check"),
        (_copied_rows, "duplicates", "leak"),
        (_copied_entity, "duplicates", "leak"),
        (_twin_entity, "duplicates", "check"),
        (_ends_counted_in_dates, "target ends", "leak"),
    ],
)
def test_a_planted_leak_is_found_by_its_check(plant: Plant, check: str, verdict: str, tmp_path: Path) -> None:
    found = verdicts(plant(clean_market()), tmp_path)
    assert found[check] == verdict, found
    others = {name: value for name, value in found.items() if name != check}
    assert "leak" not in others.values(), others


def _as_it_is(market: Market) -> Market:
    return market


def _declared_horizon(market: Market) -> Market:
    return replace(market, kind="column", horizon=10, target=forward(market.close, 10))


def _own_target(market: Market) -> Market:
    return replace(market, kind="column")


def _same_feature_lagged(market: Market) -> Market:
    lagged = np.roll(market.features["ret_1"], 2, axis=1)
    return market.with_feature("ret_1", lagged)


def _expanding_scores(market: Market) -> Market:
    return market.with_feature("mean_5", expanding_score(market.features["ret_1"]))


@pytest.mark.parametrize(
    "twin", [_as_it_is, _declared_horizon, _own_target, _same_feature_lagged, _expanding_scores, _suspended]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_honest_twin_of_each_is_passed_in_silence(twin: Plant, seed: int, tmp_path: Path) -> None:
    found = verdicts(twin(clean_market(seed)), tmp_path)
    assert set(found.values()) == {"ok"}, found


def test_windows_chosen_by_their_hash_still_meet_their_copies(tmp_path: Path) -> None:
    found = verdicts(_copied_entity(clean_market()), tmp_path, max_hashes=4000)
    assert found["duplicates"] == "leak"

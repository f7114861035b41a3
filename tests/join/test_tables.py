"""A join of two outside tables, held against pandas, at any buffer size."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.errors import ConfigError, DataError
from seawall.join.config import TablesConfig
from seawall.join.tables import join_tables

NAMES = [f"{number:06d}.XSHE" for number in range(7)]
DAYS = pd.bdate_range("2020-01-01", periods=30)


def _frames(seed: int, share_kept: float = 0.8) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    keys = pd.MultiIndex.from_product([DAYS, NAMES], names=["trade_date", "order_book_id"]).to_frame(index=False)
    predictions = keys.sample(frac=share_kept, random_state=seed).assign(
        prediction=lambda f: rng.standard_normal(len(f)).astype("f4"), fold=lambda f: f.trade_date.dt.month
    )
    returns = keys.sample(frac=share_kept, random_state=seed + 1)
    returns = pd.concat([returns, returns.sample(frac=0.1, random_state=seed)]).sample(frac=1, random_state=seed)
    values = rng.standard_normal(len(returns)) * 0.05
    values[rng.random(len(values)) < 0.05] = np.nan
    return predictions, returns.assign(y_ret_10d=values, close=rng.random(len(returns)))


def _config(folder: Path, **more: Any) -> TablesConfig:  # noqa: ANN401 - any key of the config
    usual = {"entity": "order_book_id", "time": "trade_date", "duplicates": "last"}
    return TablesConfig(predictions=(str(folder / "p*"),), returns=(str(folder / "r*"),), **{**usual, **more})


def _expected(predictions: pd.DataFrame, returns: pd.DataFrame, policy: Literal["first", "last"]) -> pd.DataFrame:
    once = returns.drop_duplicates(["trade_date", "order_book_id"], keep=policy)
    joined = predictions.merge(once, on=["trade_date", "order_book_id"], how="left", validate="one_to_one")
    return joined.sort_values(["trade_date", "order_book_id"]).reset_index(drop=True)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.integers(0, 10**6),
    buffer_rows=st.integers(1, 300),
    policy=st.sampled_from(["first", "last"]),
    kind=st.sampled_from(["csv", "parquet"]),
)
def test_the_join_is_that_of_pandas(
    tmp_path: Path, seed: int, buffer_rows: int, policy: Literal["first", "last"], kind: str
) -> None:
    folder = tmp_path / f"{seed}-{buffer_rows}-{policy}-{kind}"
    folder.mkdir(exist_ok=True)
    predictions, returns = _frames(seed)
    for name, frame in (("p", predictions), ("r", returns)):
        if kind == "csv":
            frame.to_csv(folder / f"{name}.csv", index=False)
        else:
            frame.to_parquet(folder / f"{name}.parquet", row_group_size=50)
    config = _config(folder, duplicates=policy, columns=("close",))
    summary = join_tables(config, folder / "out.parquet", folder / "work", buffer_rows=buffer_rows)
    found, expected = pq.read_table(folder / "out.parquet").to_pandas(), _expected(predictions, returns, policy)
    assert found["time"].tolist() == expected["trade_date"].tolist()
    assert found["entity"].tolist() == expected["order_book_id"].tolist()
    assert found["forward_return"].to_numpy().tobytes() == expected["y_ret_10d"].to_numpy().tobytes() or np.array_equal(
        found["forward_return"], expected["y_ret_10d"], equal_nan=True
    )
    assert np.array_equal(found["close"], expected["close"], equal_nan=True)
    assert np.array_equal(found["prediction"].astype("f4"), expected["prediction"].astype("f4"))
    assert found["fold"].tolist() == expected["fold"].tolist()
    assert summary["num_rows"] == len(predictions)
    assert summary["num_matched"] == int(expected["y_ret_10d"].notna().sum())
    assert summary["repeated_returns"] == len(returns) - len(returns.drop_duplicates(["trade_date", "order_book_id"]))
    assert not (folder / "work").exists()


def test_the_file_does_not_depend_on_the_buffer(tmp_path: Path) -> None:
    predictions, returns = _frames(3)
    predictions.to_parquet(tmp_path / "p.parquet")
    returns.to_parquet(tmp_path / "r.parquet")
    for buffer_rows in (1, 17, 5000):
        out = tmp_path / f"out-{buffer_rows}.parquet"
        join_tables(_config(tmp_path), out, tmp_path / "work", buffer_rows=buffer_rows)
    first, second, third = (path.read_bytes() for path in sorted(tmp_path.glob("out-*")))
    assert first == second == third


def test_later_returns_change_no_earlier_row(tmp_path: Path) -> None:
    predictions, returns = _frames(4)
    predictions.to_parquet(tmp_path / "p.parquet")
    results = []
    for scale in (1.0, 7.0):
        later = returns["trade_date"] > DAYS[15]
        changed = returns.assign(y_ret_10d=returns["y_ret_10d"].where(~later, returns["y_ret_10d"] * scale))
        changed.to_parquet(tmp_path / "r.parquet")
        join_tables(_config(tmp_path), tmp_path / "out.parquet", tmp_path / "work", buffer_rows=50)
        table = pq.read_table(tmp_path / "out.parquet").to_pandas()
        results.append(table[table["time"] <= DAYS[15]]["forward_return"].to_numpy())
    assert np.array_equal(results[0], results[1], equal_nan=True)


def _refused(tmp_path: Path, predictions: pd.DataFrame, returns: pd.DataFrame, **more: Any) -> str:  # noqa: ANN401
    predictions.to_parquet(tmp_path / "p.parquet")
    returns.to_parquet(tmp_path / "r.parquet")
    out = tmp_path / "out.parquet"
    out.write_bytes(b"what was there before")
    with pytest.raises((DataError, ConfigError)) as caught:
        join_tables(_config(tmp_path, **more), out, tmp_path / "work", buffer_rows=64)
    assert out.read_bytes() == b"what was there before"
    return str(caught.value)


def test_repeated_keys_are_refused_unless_a_policy_is_chosen(tmp_path: Path) -> None:
    text = _refused(tmp_path, *_frames(1), duplicates="error")
    assert "the same (time, entity) occurs more than once" in text
    assert "returns" in text


def test_repeated_predictions_are_refused(tmp_path: Path) -> None:
    predictions, returns = _frames(1)
    text = _refused(tmp_path, pd.concat([predictions, predictions.head(3)]), returns)
    assert text.startswith("predictions: the same (time, entity)")


@pytest.mark.parametrize(
    ("rename", "hint"),
    [
        (lambda name: name.partition(".")[0].lstrip("0") or "0", "suffix"),
        (lambda name: name.lower(), "case or spaces"),
        (lambda name: name.lstrip("0"), "leading zeros"),
        (lambda name: f"other {name}", "same kind of code"),
    ],
)
def test_names_that_do_not_meet_are_explained_with_examples_of_both(tmp_path: Path, rename: Any, hint: str) -> None:  # noqa: ANN401
    predictions, returns = _frames(1)
    text = _refused(tmp_path, predictions, returns.assign(order_book_id=returns["order_book_id"].map(rename)))
    assert "no entity in common" in text
    assert "000001.XSHE" in text
    assert hint in text


def test_times_of_which_one_side_has_a_zone_are_refused(tmp_path: Path) -> None:
    predictions, returns = _frames(1)
    zoned = returns.assign(trade_date=returns["trade_date"].dt.tz_localize("UTC"))
    assert "have a time zone" in _refused(tmp_path, predictions, zoned)


def test_spans_that_do_not_overlap_are_refused(tmp_path: Path) -> None:
    predictions, returns = _frames(1)
    later = returns.assign(trade_date=returns["trade_date"] + pd.Timedelta(days=4000))
    assert "no time in common" in _refused(tmp_path, predictions, later)


def test_timestamps_and_plain_integers_are_refused(tmp_path: Path) -> None:
    predictions, returns = _frames(1)
    steps = returns.assign(trade_date=np.arange(len(returns)))
    assert "plain integers" in _refused(tmp_path, predictions, steps)


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    assert "y_ret_10d" in _refused(tmp_path, *_frames(1), return_column="y_ret10d")


def test_a_missing_entity_names_file_and_line(tmp_path: Path) -> None:
    predictions, returns = _frames(1)
    predictions.to_parquet(tmp_path / "p.parquet")
    returns.reset_index(drop=True).assign(order_book_id=lambda f: f["order_book_id"].where(f.index != 4)).to_csv(
        tmp_path / "r.csv", index=False
    )
    with pytest.raises(DataError, match="line 6: the entity is missing"):
        join_tables(_config(tmp_path), tmp_path / "out.parquet", tmp_path / "work", buffer_rows=64)


def test_returns_that_look_like_percent_are_asked_about(tmp_path: Path) -> None:
    predictions, returns = _frames(1)
    predictions.to_parquet(tmp_path / "p.parquet")
    returns.assign(y_ret_10d=returns["y_ret_10d"] * 100).to_parquet(tmp_path / "r.parquet")
    summary = join_tables(_config(tmp_path), tmp_path / "out.parquet", tmp_path / "work", buffer_rows=64)
    assert "are they in percent?" in summary["warnings"][0]

"""Feature sets through the whole ingest, against Qlib's own values and against pandas."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seawall.arrays import AnyArray, Float32
from seawall.errors import ConfigError
from seawall.ingest.append import append
from seawall.ingest.feature_sets import dense
from seawall.ingest.feature_sets.catalogue import ALPHA158, BARS_BASIC, SETS
from seawall.ingest.feature_sets.compute import compute_set
from seawall.pipeline.config import parse_config
from seawall.stores.panel import Panel
from tests.ingest.world import BUDGET_BYTES, ingested, market

GOLDEN = Path(__file__).parent / "golden" / "alpha158.npz"
ONLY_SETS: dict[str, Any] = {"features": {}, "derived": {}, "universe": None, "targets": {}, "adjustment": {}}


@pytest.fixture(scope="module")
def golden() -> dict[str, AnyArray]:
    with np.load(GOLDEN) as stored:
        return dict(stored)


def bars_csv(path: Path, golden: dict[str, AnyArray]) -> Path:
    frame = pd.DataFrame(golden["bars"].astype(float), columns=golden["fields"])
    frame.insert(0, "symbol", golden["entity"])
    frame.insert(1, "date", golden["day"].astype(str))
    frame.sample(frac=1, random_state=1).to_csv(path, index=False)
    return path


def same_as_qlib(ours: Float32, theirs: Float32, names: list[str]) -> None:
    for place, name in enumerate(names):
        np.testing.assert_allclose(ours[:, place], theirs[:, place], rtol=1e-4, atol=0, equal_nan=True, err_msg=name)


def test_alpha158_equals_the_values_of_qlib_from_csv_to_store(tmp_path: Path, golden: dict[str, AnyArray]) -> None:
    source = bars_csv(tmp_path / "bars.csv", golden)
    # float32 prices written as text and read again are the same float32
    panel, report = ingested(tmp_path / "m.panel", source, **ONLY_SETS, feature_sets=["alpha158"], values=("vwap",))
    assert panel.names("features") == golden["names"].tolist()
    same_as_qlib(panel.features, golden["values"], panel.names("features"))
    share = report["missing_shares"]["ROC60"]
    assert share == pytest.approx(np.isnan(golden["values"][:, golden["names"] == "ROC60"]).mean())


@pytest.mark.parametrize("size", [62, 100, 4096])
def test_alpha158_does_not_depend_on_where_chunks_are_cut(
    golden: dict[str, AnyArray], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(dense.chunks, "__defaults__", (size,))
    same_as_qlib(computed("alpha158", golden), golden["values"], golden["names"].tolist())


def computed(name: str, golden: dict[str, AnyArray], last: int | None = None) -> Float32:
    """A set over the golden bars; only the first ``last`` rows of each entity where that is given."""
    place = np.searchsorted(golden["calendar"], golden["day"])
    _, first, lengths = np.unique(golden["entity"], return_index=True, return_counts=True)
    kept = np.concatenate([np.arange(f, f + min(n, last or n)) for f, n in zip(first, lengths, strict=True)])
    starts = np.concatenate([[0], np.cumsum(np.minimum(lengths, last or lengths))])
    position = place[kept] - np.repeat(place[first], np.diff(starts))
    columns = dict(zip(golden["fields"].tolist(), golden["bars"][kept].T.astype(float), strict=True))
    columns = {role: columns[role] for role in SETS[name].columns}
    out = np.full((len(kept), len(SETS[name].features)), np.float32(-7))
    compute_set(name, columns, position, starts, out)
    return out


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("last", [1, 2, 61, 150])
def test_no_value_of_a_set_moves_when_later_rows_are_taken_away(
    golden: dict[str, AnyArray], name: str, last: int
) -> None:
    _, first, lengths = np.unique(golden["entity"], return_index=True, return_counts=True)
    kept = np.concatenate([np.arange(f, f + min(n, last)) for f, n in zip(first, lengths, strict=True)])
    np.testing.assert_allclose(computed(name, golden, last), computed(name, golden)[kept], rtol=2e-6, equal_nan=True)


def test_without_vwap_the_other_157_features_are_made(tmp_path: Path, golden: dict[str, AnyArray]) -> None:
    source = bars_csv(tmp_path / "bars.csv", golden)
    chosen = {"name": "alpha158", "vwap": None, "prefix": "a_"}
    panel, _ = ingested(tmp_path / "m.panel", source, **ONLY_SETS, feature_sets=[chosen])
    names = [f"a_{name}" for name in golden["names"] if name != "VWAP0"]
    assert panel.names("features") == names
    same_as_qlib(panel.features, golden["values"][:, golden["names"] != "VWAP0"], names)


def test_windows_over_rows_pass_over_suspended_days(tmp_path: Path, golden: dict[str, AnyArray]) -> None:
    source = bars_csv(tmp_path / "bars.csv", golden)
    chosen = {"name": "alpha158", "align": "rows"}
    panel, _ = ingested(tmp_path / "m.panel", source, **ONLY_SETS, feature_sets=[chosen])
    close = pd.Series(golden["bars"][:, 3].astype(float))
    mean = close.groupby(golden["entity"]).transform(lambda price: price.rolling(30, min_periods=1).mean())
    np.testing.assert_allclose(column(panel, "MA30"), mean / close, rtol=1e-5)


def column(panel: Panel, name: str) -> Float32:
    values: Float32 = panel.features[:, panel.column_index("features", name)]
    return values


def test_a_missing_column_is_refused_with_its_name(tmp_path: Path) -> None:
    market().to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ConfigError, match="unknown column, found 'vwap'"):
        ingested(tmp_path / "m.panel", tmp_path / "m.csv", feature_sets=["alpha158"])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["alpha_158"], "Input should be 'bars_basic' or 'alpha158'"),
        (["alpha158", "alpha158"], "two features are named 'KMID'; give the feature set a prefix"),
        ([{"name": "bars_basic", "clsoe": "c"}], "unknown key, found 'clsoe'. Did you mean 'close' or 'low'?"),
    ],
)
def test_wrong_choices_are_told_with_their_place(chosen: list[Any], message: str) -> None:
    section = {"sources": ["a.csv"], "entity": "e", "time": "t", "feature_sets": chosen}
    with pytest.raises(ConfigError) as error:
        parse_config({"output": "o", "ingest": section}, "c.yaml")
    assert message in str(error.value)


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The basic set, feature by feature in pandas, for one entity."""
    c, h, low, o, v = (frame[name] for name in ("close", "high", "low", "open", "volume"))
    r = pd.Series(np.log(c / c.shift()))
    d = c.diff()
    true_range = pd.concat([h, c.shift()], axis=1).max(axis=1, skipna=False) - pd.concat([low, c.shift()], axis=1).min(
        axis=1, skipna=False
    )
    ema = (c.ewm(span=12).mean() - c.ewm(span=26).mean()).where(c.notna())
    logged = pd.Series(np.log(v + 1))
    return pd.DataFrame(
        {
            "ret_1": r,
            **{f"ret_{n}": np.log(c / c.shift(n)) for n in (5, 10, 20, 60)},
            "mom_120_20": np.log(c.shift(20) / c.shift(120)),
            **{f"vol_{n}": r.rolling(n).std() for n in (5, 20, 60)},
            "parkinson_20": np.sqrt(pd.Series(np.log(h / low) ** 2).rolling(20).mean() / (4 * np.log(2))),
            "gap": np.log(o / c.shift()),
            "range": np.log(h / low),
            "close_location": (c - low) / (h - low),
            "atr_14": true_range.rolling(14).mean() / c,
            "rsi_14": d.clip(lower=0).rolling(14).sum() / d.abs().rolling(14).sum(),
            "macd": ema / c,
            "macd_hist": (ema - ema.ewm(span=9).mean()) / c,
            "bollinger_20": (c - c.rolling(20).mean()) / c.rolling(20).std(),
            "ma_ratio_20": c / c.rolling(20).mean() - 1,
            "ma_ratio_60": c / c.rolling(60).mean() - 1,
            "drawdown_60": c / c.rolling(60).max() - 1,
            "volume_z_20": (logged - logged.rolling(20).mean()) / logged.rolling(20).std(),
            "volume_change_5": np.log((v.rolling(5).mean() + 1) / (v.rolling(20).mean() + 1)),
            "illiquidity_20": (1e6 * r.abs() / (c * v).where(v > 0)).rolling(20).mean(),
        }
    )


def test_the_basic_set_equals_pandas_feature_by_feature(tmp_path: Path) -> None:
    frame = market(num_dates=400, seed=4)
    frame["volume"] += 1000.0
    frame.to_csv(tmp_path / "m.csv", index=False)
    panel, _ = ingested(tmp_path / "m.panel", tmp_path / "m.csv", **ONLY_SETS, feature_sets=["bars_basic"])
    assert panel.names("features") == [feature.name for feature in BARS_BASIC]
    ordered = frame.sort_values(["symbol", "date"], ignore_index=True)
    expected = pd.concat([judged(rows) for _, rows in ordered.groupby("symbol")])
    for name in panel.names("features"):
        np.testing.assert_allclose(column(panel, name), expected[name], rtol=1e-4, atol=2e-6, err_msg=name)


def test_a_split_moves_no_feature_of_the_sets(tmp_path: Path) -> None:
    plain = market(num_dates=200, seed=2)
    plain = plain[plain["symbol"] != "SCALE"]
    split = plain.copy()
    after = (split["symbol"] == "JUMP") & (split["date"] >= "2020-03-02")
    split.loc[after, ["open", "high", "low", "close"]] /= 2
    split.loc[after, "volume"] *= 2
    settings = ONLY_SETS | {"feature_sets": ["bars_basic", {"name": "alpha158", "vwap": None}]}
    declared = {"declared": [{"entity": "JUMP", "time": "2020-03-02", "factor": 0.5}]}
    panels = []
    for name, frame, adjustment in (("a", plain, {}), ("b", split, declared)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        source = tmp_path / f"{name}.csv"
        panels.append(ingested(tmp_path / f"{name}.panel", source, **(settings | {"adjustment": adjustment}))[0])
    np.testing.assert_array_equal(panels[0].features, panels[1].features)


def test_the_catalogue_has_the_158_names_of_qlib_once() -> None:
    assert len({feature.name for feature in ALPHA158}) == 158
    assert all(feature.formula and feature.meaning for feature in (*ALPHA158, *BARS_BASIC))


@pytest.mark.parametrize("name", sorted(SETS))
def test_rows_that_are_appended_get_the_values_a_whole_ingest_gives(
    tmp_path: Path, golden: dict[str, AnyArray], name: str
) -> None:
    frame = pd.read_csv(bars_csv(tmp_path / "all.csv", golden)).sort_values(["date", "symbol"])
    cut = str(golden["calendar"][250])
    frame[frame["date"] < cut].to_csv(tmp_path / "old.csv", index=False)
    frame[frame["date"] >= cut].to_csv(tmp_path / "new.csv", index=False)
    chosen = ONLY_SETS | {"feature_sets": [name], "values": ("vwap",)}
    whole, _ = ingested(tmp_path / "whole.panel", tmp_path / "all.csv", **chosen)
    ingested(tmp_path / "grown.panel", tmp_path / "old.csv", **chosen)
    append([str(tmp_path / "new.csv")], tmp_path / "grown.panel", budget_bytes=BUDGET_BYTES)
    grown = Panel(tmp_path / "grown.panel")
    assert len(grown.manifest["segments"]) == 2
    rows = np.arange(whole.shape.num_rows)
    np.testing.assert_allclose(grown.features[rows], whole.features[rows], rtol=2e-6, equal_nan=True)

"""Seeds and baselines judged beside the predictions, and errors by entity: SciPy and pandas are the judges."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from seawall.arrays import Float32
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.memory import plan
from seawall.evaluate.run import evaluate
from seawall.report.fields import Fields
from seawall.report.verdicts import verdict
from seawall.stores.panel import Panel
from seawall.stores.predictions import Beside, write_fold
from tests.evaluate.worlds import fold_rows
from tests.support import make_panel

CONFIG = EvaluateConfig(min_names=5, num_quantiles=3, by_entity=True)
MEMBERS = ("seed_0", "seed_4", "baseline_ridge", "baseline_mean", "baseline_last_value")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], pd.DataFrame, Path]:
    """Metrics of a run with two seeds and three baselines, and everything in one frame as a notebook would have it."""
    folder = tmp_path_factory.mktemp("beside")
    panel = make_panel(folder, num_entities=14, num_dates=120)
    rng = np.random.default_rng(4)
    noise = rng.standard_normal((panel.shape.num_rows, 3)).astype(np.float32) * 0.02
    known = np.nan_to_num(panel.returns[:, 0]).astype(np.float32)
    values = {"seed_0": 0.2 * known + noise[:, 0], "seed_4": 0.2 * known + noise[:, 1], "baseline_ridge": noise[:, 2]}
    values["baseline_mean"] = np.full(len(known), 0.001, np.float32)
    values["baseline_last_value"] = np.where(np.arange(len(known)) % 3 == 0, np.nan, noise[:, 2]).astype(np.float32)
    both = np.stack([values["seed_0"], values["seed_4"]])
    values |= {"prediction": both.mean(axis=0), "prediction_std": both.std(axis=0, ddof=1)}
    write(panel, folder / "predictions", values)
    evaluate(panel.path, folder / "predictions", folder / "metrics", CONFIG)
    frame = pd.concat([pq.read_table(path).to_pandas() for path in sorted(folder.glob("predictions/*.parquet"))])
    frame["target"] = np.asarray(panel.returns)[frame["row"], 0]
    return json.loads((folder / "metrics/metrics.json").read_text()), frame, folder


def write(panel: Panel, folder: Path, values: dict[str, Float32]) -> None:
    for fold, rows in enumerate(fold_rows(panel, 3)):
        beside = {name: values[name][rows] for name in ("prediction_std", *MEMBERS)}
        write_fold(
            folder / f"fold_{fold:02d}.parquet",
            panel,
            fold=fold,
            rows=rows,
            predictions=values["prediction"][rows],
            target="fwd",
            model_key="none",
            beside=Beside(beside, (0, 4)),
        )


def by_date(frame: pd.DataFrame, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rank IC and squared error of the model and of another on the rows both predict, date by date: [dates, 2] each."""
    ics, errors = [], []
    for _, date in frame.dropna(subset=["target", name]).groupby("time"):
        if len(date) < 5:
            continue
        sides = [date["prediction"].astype(float), date[name].astype(float)]
        ics.append([stats.spearmanr(side, date["target"])[0] if side.nunique() > 1 else np.nan for side in sides])
        errors.append([float(((side - date["target"]) ** 2).mean()) for side in sides])
    return np.array(ics), np.array(errors)


@pytest.mark.parametrize("name", MEMBERS)
def test_each_is_judged_on_the_rows_both_predict(judged: tuple[dict[str, Any], pd.DataFrame, Path], name: str) -> None:
    metrics, frame, _ = judged
    found = next(one for one in metrics["beside"] if one["name"] == name)
    paired = frame.dropna(subset=["target", name])
    ics, errors = by_date(frame, name)

    assert found["pooled"]["n"] == found["model_pooled"]["n"] == len(paired)
    assert found["pooled"]["mse"] == pytest.approx(((paired[name].astype(float) - paired["target"]) ** 2).mean())
    if name == "baseline_mean":
        assert found["rank_ic"]["mean"] is None
        assert found["less"]["rank_ic"]["mean"] is None
    else:
        assert found["rank_ic"]["mean"] == pytest.approx(ics[:, 1].mean(), abs=1e-12)
        assert found["less"]["rank_ic"]["mean"] == pytest.approx((ics[:, 0] - ics[:, 1]).mean(), abs=1e-12)
    enough = frame.dropna(subset=["target", name]).groupby("time").size() >= 5
    if enough.all():
        assert found["less"]["squared_error"]["mean"] == pytest.approx((errors[:, 0] - errors[:, 1]).mean())


def test_the_seeds_are_summarised_with_their_spread(judged: tuple[dict[str, Any], pd.DataFrame, Path]) -> None:
    metrics, frame, _ = judged
    ics = [by_date(frame, name)[0][:, 1].mean() for name in ("seed_0", "seed_4")]

    assert metrics["seeds"]["seeds"] == [0, 4]
    assert metrics["seeds"]["rank_ic"]["std"] == pytest.approx(np.std(ics, ddof=1))
    assert metrics["seeds"]["rank_ic"]["min"] == pytest.approx(min(ics))
    assert metrics["seeds"]["mean_spread"] == pytest.approx(frame["prediction_std"].astype(float).mean())
    share = frame["prediction_std"].astype(float).mean() / frame["prediction"].astype(float).std(ddof=0)
    assert metrics["seeds"]["spread_share"] == pytest.approx(share, rel=1e-6)


def test_efficiencies_of_each_entity_are_those_of_the_formula(
    judged: tuple[dict[str, Any], pd.DataFrame, Path],
) -> None:
    metrics, frame, folder = judged
    table = pq.read_table(folder / "metrics/entities.parquet").to_pandas().set_index("entity")
    expected = {}
    for entity, own in frame.dropna(subset=["target"]).groupby("entity", observed=True):
        truth, said = own["target"].to_numpy(), own["prediction"].to_numpy(np.float64)
        expected[entity] = 1 - ((truth - said) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()

    assert len(table) == len(expected)
    for entity, nse in expected.items():
        assert table.loc[str(entity), "nse"] == pytest.approx(nse, abs=1e-10)
    assert metrics["overall"]["by_entity"]["nse"]["median"] == pytest.approx(np.median(list(expected.values())))
    assert metrics["overall"]["by_entity"]["num_entities"] == len(expected)


@pytest.mark.parametrize(
    ("mean", "p_hac", "less_is_better", "said"),
    [
        (0.02, 0.01, False, "better"),
        (-0.02, 0.01, False, "worse"),
        (-0.02, 0.01, True, "better"),
        (0.02, 0.2, False, "no difference shown"),
        (None, None, False, "cannot be told"),
    ],
)
def test_a_verdict_needs_five_per_cent(
    mean: float | None, p_hac: float | None, less_is_better: bool, said: str
) -> None:
    assert verdict(Fields({"mean": mean, "p_hac": p_hac}), less_is_better=less_is_better) == said


def test_what_is_judged_beside_is_claimed(tmp_path: Path) -> None:
    shape = make_panel(tmp_path, num_entities=5, num_dates=40).shape
    alone = plan(EvaluateConfig(), shape, 2**30)
    beside = plan(EvaluateConfig(), shape, 2**30, num_beside=4)
    more = plan(EvaluateConfig(by_entity=True), shape, 2**30, num_beside=9)

    assert alone.projected_private_bytes < beside.projected_private_bytes < more.projected_private_bytes
    assert {claim.purpose for claim in more.private} >= {"seeds and baselines", "errors by entity"}

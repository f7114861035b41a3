"""Windows of a fold for a stranger's loop: its samples alone, scaled by what its train samples know."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import seawall as sw
from seawall.bridges.torch_data import TorchWindows
from seawall.errors import ConfigError, SeawallError
from seawall.stores.panel import Panel
from seawall.windows.api import WindowsChoice
from seawall.windows.scaling import Scaling
from seawall.windows.splits import FoldSamples
from tests.support import make_panel
from tests.train.worlds import change_from

LOOKBACK = 6


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return make_panel(tmp_path_factory.mktemp("scaling"), num_entities=6)


def first_fold(panel: Panel) -> FoldSamples:
    return next(iter(sw.folds(panel, train=60, valid=20, test=20, lookback=LOOKBACK)))


def test_windows_of_a_fold_are_its_samples_scaled_by_those_of_train_alone(panel: Panel) -> None:
    fold = first_fold(panel)
    train = sw.windows(panel, lookback=LOOKBACK, batch=32, samples=fold.train, scaling="zscore")
    valid = sw.windows(panel, lookback=LOOKBACK, batch=32, samples=fold.valid, scaling=train.scaling, mask=True)

    rows = fold.train.rows(np.arange(fold.train.num_samples))
    seen = np.asarray(panel.features[rows], np.float64)
    assert train.scaling is not None
    np.testing.assert_allclose(train.scaling.mean, np.nanmean(seen, axis=0), rtol=1e-6)
    np.testing.assert_allclose(train.scaling.std, np.nanstd(seen, axis=0), rtol=1e-6)
    assert sorted(np.concatenate([batch["row"] for batch in train]).tolist()) == rows.tolist()
    for batch in valid:
        assert fold.valid.contains(batch["row"]).all()
        plain = np.stack([panel.features[row - LOOKBACK + 1 : row + 1] for row in batch["row"]])
        scaled = np.clip((plain - train.scaling.mean) / train.scaling.std, -5, 5)
        np.testing.assert_allclose(batch["x"], np.nan_to_num(scaled), rtol=1e-6)
        np.testing.assert_array_equal(batch["mask"], ~np.isnan(plain))


def test_changing_what_comes_after_train_changes_neither_its_scaling_nor_its_windows(tmp_path: Path) -> None:
    def seen(panel: Panel) -> tuple[list[float], list[object]]:
        fold = first_fold(panel)
        windows = sw.windows(panel, lookback=LOOKBACK, samples=fold.train, scaling="zscore")
        assert windows.scaling is not None
        return windows.scaling.mean.tolist(), [batch["x"].tolist() for batch in windows]

    path = make_panel(tmp_path, num_entities=6).path
    before = seen(Panel(path))

    change_from(path, 60, seed=1)

    assert seen(Panel(path)) == before


def test_torch_windows_of_a_fold_are_those_of_the_plain_stream(panel: Panel) -> None:
    fold = first_fold(panel)
    choice = WindowsChoice(lookback=LOOKBACK, batch=32, scaling="zscore")
    plain = sw.windows(panel, lookback=LOOKBACK, batch=32, samples=fold.train, scaling="zscore")

    for ours, theirs in zip(plain, TorchWindows(panel, choice, samples=fold.train), strict=True):
        np.testing.assert_array_equal(theirs["x"].numpy(), ours["x"])


def test_samples_and_scalings_that_do_not_fit_are_refused_by_name(panel: Panel) -> None:
    fold = first_fold(panel)
    short = dataclasses.replace(fold.train, before=np.zeros_like(fold.train.before))
    none = Scaling(np.zeros(2, np.float32), np.ones(2, np.float32), 5.0)
    for choice, message in (
        ({"samples": fold.train, "lookback": 40}, "samples: have no 40 rows of their entity"),
        ({"samples": short}, "samples: there are none"),
        ({"scaling": "zcore"}, "scaling: unknown, found 'zcore', allowed: zscore"),
        ({"scaling": none}, "scaling: is of other columns, found 2 columns, allowed: 3 columns"),
    ):
        with pytest.raises(ConfigError, match=message):
            sw.windows(panel, **({"lookback": LOOKBACK} | choice))
    with pytest.raises(SeawallError, match="cannot be given with dates"):
        len(TorchWindows(panel, WindowsChoice(lookback=LOOKBACK), dates=(0, 50), samples=fold.train))

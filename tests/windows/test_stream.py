"""The batch stream: every sample once an epoch, the same batches for the same seed, resumable after any batch."""

import numpy as np
import pytest

from seawall.errors import ConfigError, ResumeError
from seawall.pipeline.loader import windows as open_windows
from seawall.stores.panel import Panel
from seawall.windows.choose import Order
from seawall.windows.gather import Gather
from seawall.windows.samples import Samples, select_samples
from seawall.windows.stream import Windows
from tests.support import make_panel


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return make_panel(tmp_path_factory.mktemp("panel"), num_entities=12)


def windows_of(panel: Panel, *, batch_size: int = 64, order: Order = "shuffle", seed: int = 0) -> Windows:
    samples = select_samples(panel, (0, panel.shape.num_dates), 5)
    return Windows(Gather(panel, 5, targets=(0,)), samples, batch_size=batch_size, order=order, seed=seed)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100_000])
def test_an_epoch_holds_every_sample_once(panel: Panel, batch_size: int) -> None:
    windows = windows_of(panel, batch_size=batch_size)

    rows = [row for batch in windows for row in batch.row.tolist()]

    expected = windows.samples.rows(np.arange(windows.samples.num_samples)).tolist()
    assert sorted(rows) == expected
    assert rows != expected


def test_sequential_order_is_row_order(panel: Panel) -> None:
    windows = windows_of(panel, order="sequential")

    rows = [row for batch in windows for row in batch.row.tolist()]

    assert rows == sorted(rows)


def test_the_order_belongs_to_seed_and_epoch_and_the_batch_size_only_cuts_it(panel: Panel) -> None:
    def rows(batch_size: int, seed: int, epoch: int) -> list[int]:
        windows = windows_of(panel, batch_size=batch_size, seed=seed)
        return [row for batch in windows.epoch(epoch) for row in batch.row.tolist()]

    first = rows(64, 1, 0)
    assert rows(64, 1, 0) == rows(13, 1, 0) == first
    assert rows(64, 2, 0) != first
    assert rows(64, 1, 1) != first


def test_a_stream_restored_after_any_batch_gives_the_rest_and_then_the_next_epoch(panel: Panel) -> None:
    whole = [batch.row.tolist() for batch in windows_of(panel)]
    after = [batch.row.tolist() for batch in windows_of(panel).epoch(1)]
    for stop in range(1, len(whole) + 1):
        windows = windows_of(panel)
        for number, _ in enumerate(windows, 1):
            if number == stop:
                break
        continued = windows_of(panel)

        continued.load_state(windows.state())

        if stop < len(whole):
            assert [batch.row.tolist() for batch in continued] == whole[stop:]
        assert [batch.row.tolist() for batch in continued] == after


def test_a_batch_holds_the_windows_and_targets_of_its_rows(panel: Panel) -> None:
    batch = next(iter(windows_of(panel)))

    assert batch.x.shape == (64, 5, 3)
    assert batch.x.dtype == batch.y.dtype == np.float32
    np.testing.assert_array_equal(batch.x[:, -1], panel.features[batch.row])
    np.testing.assert_array_equal(batch.y, panel.targets[batch.row])


def test_a_position_of_another_stream_is_refused_by_name(panel: Panel) -> None:
    state = windows_of(panel, seed=1).state()

    with pytest.raises(
        ResumeError, match=r"windows\.seed: the saved position is of another stream, found 1, allowed: 0"
    ):
        windows_of(panel).load_state(state)


def test_a_position_of_other_samples_is_refused_however_many_they_are(panel: Panel) -> None:
    early, late = (select_samples(panel, dates, 5) for dates in ((0, 40), (40, 80)))
    same = Samples(late.first_rows[: len(early.first_rows)], early.before)
    assert same.num_samples == early.num_samples

    def stream(samples: Samples) -> Windows:
        return Windows(Gather(panel, 5), samples, batch_size=64)

    with pytest.raises(ResumeError, match=r"windows\.samples: the saved position is of another stream"):
        stream(same).load_state(stream(early).state())
    stream(select_samples(panel, (0, 40), 5)).load_state(stream(early).state())


def test_an_error_while_gathering_reaches_the_caller(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = windows_of(panel)
    monkeypatch.setattr(windows.source, "rows", lambda epoch, step: np.array([10**9]))

    with pytest.raises(IndexError):
        next(iter(windows))


def test_the_public_helper_takes_names_and_serves_all_legal_rows(panel: Panel) -> None:
    windows = open_windows(panel.path, lookback=20, batch=50, columns=["f2", "f0"], order="sequential")

    batches = list(windows)

    assert sum(len(batch["row"]) for batch in batches) == windows.samples.num_samples
    np.testing.assert_array_equal(batches[0]["x"][:, -1], panel.features[batches[0]["row"]][:, [2, 0]])
    assert any(np.isnan(batch["y"]).any() for batch in batches)


def test_the_public_helper_names_near_columns_and_orders(panel: Panel) -> None:
    with pytest.raises(ConfigError, match=r"unknown column, found 'f9'\. Did you mean"):
        open_windows(panel, lookback=5, columns=["f9"])
    with pytest.raises(ConfigError, match=r"unknown order, found 'shufle'\. Did you mean 'shuffle'"):
        open_windows(panel, lookback=5, order="shufle")
    with pytest.raises(ConfigError, match="batch: must be greater than zero, found 0"):
        open_windows(panel, lookback=5, batch=0)

"""Windows in torch's own loaders: the same batches, any number of workers, saved and continued anywhere."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import seawall as sw
from seawall.bridges.torch_data import TorchWindows
from seawall.errors import ResumeError
from seawall.stores.panel import Panel
from seawall.windows.api import WindowsChoice
from tests.support import make_panel


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return make_panel(tmp_path_factory.mktemp("panel"), num_entities=10)


def dataset(panel: Panel, order: str = "shuffle", pool: int | None = None, seed: int = 0) -> TorchWindows:
    return TorchWindows(panel.path, WindowsChoice(lookback=5, batch=32, order=order, pool=pool, seed=seed))


def rows(loader: object) -> list[list[int]]:
    return [batch["row"].tolist() for batch in loader]  # type: ignore[attr-defined] # any iterable of batches


@pytest.mark.parametrize(("order", "pool"), [("shuffle", None), ("blocks", 30_000), ("by_time", None)])
@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_a_loader_gives_the_batches_of_the_stream_in_order(
    panel: Panel, order: str, pool: int | None, num_workers: int
) -> None:
    expected = [b["row"].tolist() for b in sw.windows(panel, lookback=5, batch=32, order=order, pool=pool)]

    loader = DataLoader(dataset(panel, order, pool), batch_size=None, num_workers=num_workers)

    assert rows(loader) == expected
    assert len(loader) == len(expected)


def test_each_pass_is_the_next_epoch_and_an_epoch_can_be_set(panel: Panel) -> None:
    windows = dataset(panel)
    first, second = rows(windows), rows(windows)
    assert first != second
    assert sorted(row for batch in first for row in batch) == sorted(row for batch in second for row in batch)

    windows.set_epoch(1)

    assert rows(DataLoader(windows, batch_size=None, num_workers=2)) == second


def test_a_saved_position_goes_on_in_a_fresh_process_worth_of_state(panel: Panel) -> None:
    whole = dataset(panel)
    expected, after = rows(whole), rows(whole)
    running = dataset(panel)
    iterator = iter(running)
    for _ in range(3):
        next(iterator)

    continued = pickle.loads(pickle.dumps(dataset(panel)))  # noqa: S301 - our own object, as a worker gets it
    continued.load_state_dict(copy.deepcopy(running.state_dict()))

    assert rows(continued) == expected[3:]
    assert rows(continued) == after
    with pytest.raises(ResumeError, match=r"windows\.seed"):
        dataset(panel, seed=3).load_state_dict(running.state_dict())


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata still calls it
@pytest.mark.parametrize(("num_workers", "order", "pool"), [(0, "shuffle", None), (2, "blocks", 30_000)])
def test_a_stateful_data_loader_goes_on_where_its_state_was_taken(
    panel: Panel, num_workers: int, order: str, pool: int | None
) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")

    def loader() -> Any:  # noqa: ANN401 - torchdata's
        return stateful.StatefulDataLoader(dataset(panel, order, pool), batch_size=None, num_workers=num_workers)

    expected = rows(loader())
    for stop in (1, 4, len(expected) - 1):
        running = loader()
        iterator = iter(running)
        seen = [next(iterator)["row"].tolist() for _ in range(stop)]
        state = pickle.loads(pickle.dumps(running.state_dict()))  # noqa: S301 - our own, as a checkpoint keeps it
        del iterator

        continued = loader()
        continued.load_state_dict(state)

        assert seen == expected[:stop]
        assert rows(continued) == expected[stop:]


def test_tensors_share_the_memory_of_arrays_and_hold_the_same(panel: Panel) -> None:
    arrays = list(sw.windows(panel, lookback=5, batch=32, order="shuffle", mask=True))
    tensors = list(sw.windows(panel, lookback=5, batch=32, order="shuffle", mask=True, as_="torch"))

    for plain, tensor in zip(arrays, tensors, strict=True):
        assert set(plain) == set(tensor)
        for name, values in plain.items():
            np.testing.assert_array_equal(tensor[name].numpy(), values)
    assert tensors[0]["x"].dtype == torch.float32
    assert tensors[0]["mask"].dtype == torch.bool


def test_a_missing_panel_is_refused_when_the_stream_is_opened(tmp_path: Path) -> None:
    with pytest.raises(sw.SeawallError, match="not a panel store"):
        len(TorchWindows(tmp_path / "no.panel", WindowsChoice(lookback=5)))


def test_tensors_are_in_page_locked_memory_just_where_there_is_a_gpu(panel: Panel) -> None:
    batch = next(iter(TorchWindows(panel, WindowsChoice(lookback=5, batch=32))))

    assert batch["x"].is_pinned() == torch.cuda.is_available()

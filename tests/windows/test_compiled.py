"""The compiled kernels give the bits that NumPy gives, and never reads outside the rows."""

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Bool, Float32, Int64
from seawall.stores.segments import Layout
from seawall.windows import compiled, cutter
from seawall.windows.compiled import ELSEWHERE, CompiledCut
from seawall.windows.cutter import Cutter
from seawall.windows.order import permute
from seawall.windows.scaling import Scaling
from tests.stores.test_segments import Rows, panels, stacked, updates

SPECIAL = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -3e38, 3e38, 1.0], np.float32)

lengths, widths = st.integers(1, 70), st.integers(1, 40)


@pytest.fixture(autouse=True)
def _needs_the_library() -> None:
    if compiled.library() is None:
        if shutil.which("cc"):
            pytest.fail("the package was built without its library, or with another version of it: run `make setup`")
        pytest.skip("no C compiler here")


@contextmanager
def without_library() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutter, "library", lambda: None)
        yield


def some_rows(seed: int, num_rows: int, width: int) -> Float32:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((num_rows, width)).astype(np.float32)
    places = rng.random(rows.shape) < 0.2
    rows[places] = rng.choice(SPECIAL, int(places.sum()))
    return rows


def both(
    starts: Int64, rows: Float32, length: int, columns: tuple[int, ...] | None, how: str
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Cut with the library and without, with a mask and without; give all the bytes."""
    width = rows.shape[1] if columns is None else len(columns)
    rng = np.random.default_rng(1)
    mean, std = rng.standard_normal(width).astype(np.float32), rng.uniform(0.1, 3, width).astype(np.float32)
    scaling = Scaling(mean, std, 1.5) if how == "scaled" else None

    def cut() -> tuple[bytes, ...]:
        made = Cutter([rows], length, columns=columns, scaling=scaling, fill_missing=how == "filled")
        x, mask = made.cut_with_mask(starts)
        return made.cut(starts).tobytes(), x.tobytes(), mask.tobytes()

    with without_library(), np.errstate(all="ignore"):
        plain = cut()
    return cut(), plain


@settings(max_examples=60, deadline=None)
@given(st.data(), lengths, widths, st.sampled_from(["as stored", "filled", "scaled"]))
def test_the_bits_are_those_of_numpy(data: st.DataObject, length: int, width: int, how: str) -> None:
    rows = some_rows(length, length + data.draw(st.integers(0, 200)), width)
    starts = np.array(data.draw(st.lists(st.integers(0, len(rows) - length), max_size=40)), np.int64)
    columns = data.draw(st.none() | st.lists(st.integers(0, width - 1), min_size=1, max_size=width).map(tuple))

    ours, plain = both(starts, rows, length, columns, how)

    assert ours == plain


@settings(max_examples=20, deadline=None)
@given(updates, st.integers(1, 6), st.booleans())
def test_windows_over_several_segments_are_those_of_numpy(chosen: list[Rows], lookback: int, scaled: bool) -> None:
    with panels(*stacked(chosen)) as (many, one):
        if lookback > one.shape.num_rows or many.layout is None:
            return
        width = one.shape.num_features
        scaling = Scaling(np.full(width, 0.3, np.float32), np.full(width, 1.7, np.float32), 2.0) if scaled else None
        starts = np.arange(one.shape.num_rows - lookback + 1)

        def cut(layout: Layout | None) -> tuple[Float32, Bool]:
            made = Cutter(many.parts("features"), lookback, layout=layout, scaling=scaling)
            return made.cut_with_mask(starts)

        x, mask = cut(many.layout)
        with without_library():
            plain, plain_mask = cut(many.layout)
        assert x.tobytes() == plain.tobytes()
        assert mask.tobytes() == plain_mask.tobytes()


@given(n=st.integers(1, 2**62), key=st.integers(0, 2**64 - 1), data=st.data())
def test_the_shuffled_order_is_that_of_numpy(n: int, key: int, data: st.DataObject) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=50)), np.int64)

    ours = permute(n, key, positions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "library", lambda: None)
        plain = permute(n, key, positions)
    assert ours.tolist() == plain.tolist()


@pytest.mark.parametrize("start", [-1, 41, 2**62, -(2**62)])
def test_a_window_outside_the_rows_is_refused_before_anything_is_written(start: int) -> None:
    made = CompiledCut(library(), [np.ones((100, 3), np.float32)], 60, columns=None, scaling=None, fill_missing=False)
    into = np.full((2, 60, 3), 7, np.float32)

    with pytest.raises(IndexError, match=f"window 1 of the batch begins at row {start}, outside the rows"):
        made.cut(np.array([40, start]), into, None)

    assert (into == 7).all()


def test_a_segment_that_is_not_there_is_refused_and_one_left_to_the_caller_is_left() -> None:
    made = CompiledCut(library(), [np.ones((9, 1), np.float32)], 3, columns=None, scaling=None, fill_missing=False)
    into = np.full((3, 3, 1), 7, np.float32)

    with pytest.raises(IndexError, match="window 2"):
        made.cut(np.array([0, 0, 0]), into, None, np.array([0, ELSEWHERE, 1]))
    made.cut(np.array([0, 2**60, 6]), into, None, np.array([0, ELSEWHERE, 0]))

    assert into[:, 0, 0].tolist() == [1, 7, 1]


def test_a_source_shorter_than_a_window_has_none() -> None:
    short = Cutter([np.ones((3, 2), np.float32)], 5)

    assert short.cut(np.empty(0, np.int64)).shape == (0, 5, 2)
    with pytest.raises(IndexError):
        short.cut(np.zeros(1, np.int64))


def test_rows_without_columns_give_windows_without_values() -> None:
    assert Cutter([np.empty((100, 0), np.float32)], 60).cut(np.array([0, 40])).shape == (2, 60, 0)


def test_a_library_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "VERSION", compiled.VERSION + 1)

    assert compiled.library.__wrapped__() is None


def test_the_source_compiles_without_a_warning(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    source = Path(compiled.__file__).with_name("kernels.c")
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]

    subprocess.run([compiler, *flags, "-o", tmp_path / "kernels.so", source], check=True)

    assert ctypes.CDLL(str(tmp_path / "kernels.so")).seawall_version() == compiled.VERSION


def library() -> ctypes.CDLL:
    opened = compiled.library()
    assert opened is not None
    return opened

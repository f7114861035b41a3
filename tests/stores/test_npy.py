import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import AnyArray
from seawall.errors import FormatError
from seawall.stores import atomic, npy
from seawall.stores.atomic import block_checksums
from seawall.stores.npy import HEADER_BYTES, ArrayWriter, check_array, header, map_array, write_array
from tests.support import quick_folder

GOLDEN = b"\x93NUMPY\x01\x00\xf6\x0f{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"


def test_the_header_is_4096_bytes_to_the_letter() -> None:
    found = header(np.dtype("<f4"), (3, 2))
    assert len(found) == HEADER_BYTES == 4096
    assert found == GOLDEN + b" " * (4095 - len(GOLDEN)) + b"\n"


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i4", "<i8", "|u1"])
@pytest.mark.parametrize("shape", [(0,), (5,), (0, 3), (4, 3), (4, 0)])
def test_numpy_loads_what_was_written(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    write_array(tmp_path / "x.npy", array)
    for found in (np.load(tmp_path / "x.npy"), map_array(tmp_path / "x.npy", dtype, shape)):
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found, array)
    assert (tmp_path / "x.npy").stat().st_size == HEADER_BYTES + array.nbytes


def test_a_mapped_array_cannot_be_written_to(tmp_path: Path) -> None:
    write_array(tmp_path / "x.npy", np.arange(3))
    mapped = map_array(tmp_path / "x.npy", "<i8", (3,))
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 7


@given(st.lists(st.integers(0, 7), max_size=6), st.integers(1, 200))
def test_rows_appended_in_any_pieces_make_the_same_file(pieces: list[int], window_bytes: int) -> None:
    rows = np.arange(sum(pieces) * 2, dtype=np.float64).reshape(-1, 2)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(npy, "WINDOW_BYTES", window_bytes)
        path = Path(folder) / "x.npy"
        with ArrayWriter(path, "<f8", (2,)) as writer:
            for piece in np.split(rows, np.cumsum(pieces)):
                writer.append(piece)
        np.testing.assert_array_equal(np.load(path), rows)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=6), st.sampled_from([512, 4096, 5000]), st.integers(-1, 1))
def test_checksums_made_while_writing_are_those_of_the_file(pieces: list[int], block_bytes: int, too_many: int) -> None:
    rows = np.arange(2 * sum(pieces), dtype=np.float32).reshape(-1, 2)
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "BLOCK_BYTES", block_bytes)
        path = folder / "x.npy"
        with ArrayWriter(path, "<f4", (2,), final_rows=len(rows) + too_many) as writer:
            for part in np.split(rows, np.cumsum(pieces)[:-1]) if pieces else []:
                writer.append(part[:, ::-1])
            assert writer.checksums is None
        assert writer.checksums == (None if too_many else block_checksums(path))
        np.testing.assert_array_equal(np.load(path), rows[:, ::-1])


def test_values_are_cast_to_the_declared_dtype_and_strides_do_not_matter(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "x.npy", "<f4", (2,)) as writer:
        writer.append(np.arange(12.0).reshape(2, 6).T[::2, ::-1])
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.arange(12, dtype="<f4").reshape(2, 6).T[::2, ::-1])


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "x.npy", "<f4", (2,)) as writer, pytest.raises(ValueError, match="expected \\(2,\\)"):
        writer.append(np.zeros((4, 3)))


Hostile = Callable[[Path], object]


def text_header(text: str) -> Hostile:
    body = text.ljust(HEADER_BYTES - 11) + "\n"
    return lambda path: path.write_bytes(GOLDEN[:10] + body.encode() + bytes(24))


def saved(array: AnyArray) -> Hostile:
    return lambda path: write_array(path, array)


def patched(offset: int, data: bytes) -> Hostile:
    def damage(path: Path) -> None:
        write_array(path, np.zeros((3, 2), "<f4"))
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return damage


def resized(num_bytes: int) -> Hostile:
    def damage(path: Path) -> None:
        write_array(path, np.zeros((3, 2), "<f4"))
        with path.open("r+b") as file:
            file.truncate(num_bytes)

    return damage


HOSTILE: dict[str, tuple[Hostile, str]] = {
    "missing": (lambda path: None, "cannot be read, found No such file"),
    "a folder": (lambda path: path.mkdir(), "cannot be read, found Is a directory"),
    "empty": (lambda path: path.write_bytes(b""), "not a .npy file"),
    "a text": (lambda path: path.write_text("hello " * 1000), "not a .npy file"),
    "a pickle": (lambda path: path.write_bytes(b"\x80\x04\x95" + bytes(8000)), "not a .npy file"),
    "header only in part": (resized(2000), "not a .npy file"),
    "last byte missing": (resized(HEADER_BYTES + 23), "wrong length, found 4,119 bytes, allowed: 4,120 bytes"),
    "no data": (resized(HEADER_BYTES), "wrong length, found 4,096 bytes"),
    "one byte more": (resized(HEADER_BYTES + 25), "wrong length, found 4,121 bytes"),
    "a terabyte of nothing": (resized(2**40), "wrong length, found 1,099,511,627,776 bytes"),
    "version 2": (patched(6, b"\x02"), "not a .npy file"),
    "a short header": (patched(8, b"\x76\x00"), "not a .npy file"),
    "the header of numpy itself": (lambda path: np.save(path, np.zeros((3, 2), "<f4")), "not a .npy file"),
    "another dtype": (saved(np.zeros((3, 2), "<f8")), "header does not match the manifest"),
    "big-endian": (saved(np.zeros((3, 2), ">f4")), "header does not match the manifest"),
    "another shape": (saved(np.zeros((2, 3), "<f4")), "header does not match the manifest"),
    "more rows": (saved(np.zeros((4, 2), "<f4")), "header does not match the manifest"),
    "one axis": (saved(np.zeros(6, "<f4")), "header does not match the manifest"),
    "column order": (text_header("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }"), "does not match"),
    "objects": (text_header("{'descr': '|O', 'fortran_order': False, 'shape': (3, 2), }"), "does not match"),
    "negative shape": (text_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -2), }"), "does not match"),
    "endless shape": (text_header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**99,), }"), "damaged header"),
    "shape of text": (text_header("{'descr': '<f4', 'fortran_order': False, 'shape': 'ab', }"), "does not match"),
    "shape is a number": (text_header("{'descr': '<f4', 'fortran_order': False, 'shape': 3, }"), "damaged header"),
    "a list": (text_header("[1, 2, 3]"), "damaged header"),
    "a number": (text_header("7"), "damaged header"),
    "nothing": (text_header(""), "damaged header"),
    "missing keys": (text_header("{'descr': '<f4'}"), "damaged header"),
    "code": (text_header("__import__('os').system('true')"), "damaged header"),
    "deep nesting": (text_header("[" * 4000), "damaged header"),
    "deeper nesting": (text_header("-" * 4000 + "1"), "damaged header"),
    "not closed": (text_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)"), "damaged header"),
    "zero bytes": (patched(30, b"\0\0\0"), "damaged header"),
    "not ASCII": (patched(30, "\u00e9".encode()), "damaged header"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_by_name_before_a_byte_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    make, message = HOSTILE[case]
    path = tmp_path / "features.npy"
    make(path)
    monkeypatch.setattr(np, "memmap", None)
    with pytest.raises(FormatError) as error:
        map_array(path, "<f4", (3, 2))
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("shape", [(2**40, 2**10), (2**61, 8), (2**32, 2**32)])
def test_a_shape_too_large_for_memory_is_judged_by_its_length_alone(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(header(np.dtype("<f8"), shape))
    with pytest.raises(FormatError, match="wrong length, found 4,096 bytes"):
        check_array(path, "<f8", shape)

import os
from pathlib import Path

import pytest

from seawall.errors import ConfigError, DataError
from seawall.tables.sources import check_unchanged, expand, fingerprint


def write(path: Path, text: str = "entity,time\nA,1\n") -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_means_its_tables_in_order_of_name_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.csv", "a.json", "c.tsv", "notes.txt", ".hidden.csv"):
        write(tmp_path / name)
    assert [path.name for path in expand([tmp_path])] == ["a.json", "b.csv", "c.tsv"]


def test_a_glob_means_the_files_it_matches_in_order_of_name(tmp_path: Path) -> None:
    for name in ("2024-02.csv", "2024-01.csv", "other.csv"):
        write(tmp_path / name)
    assert [path.name for path in expand([str(tmp_path / "2024-*.csv")])] == ["2024-01.csv", "2024-02.csv"]


def test_a_file_with_glob_letters_in_its_name_is_that_file(tmp_path: Path) -> None:
    strange = write(tmp_path / "prices[1]*.csv")
    write(tmp_path / "prices1.csv")
    assert expand([strange]) == [strange]


def test_several_sources_keep_their_order(tmp_path: Path) -> None:
    late, early = write(tmp_path / "z.csv"), write(tmp_path / "a.csv")
    assert expand([late, early]) == [late, early]


@pytest.mark.parametrize("typed", ["price.csv", "Prices.csv", "prices.csv.gz", "prcies.csv"])
def test_a_missing_file_is_answered_with_a_near_name(tmp_path: Path, typed: str) -> None:
    write(tmp_path / "prices.csv")
    with pytest.raises(DataError, match="file not found") as error:
        expand([tmp_path / typed])
    assert "Did you mean prices.csv?" in str(error.value)


@pytest.mark.parametrize("name", ["nothing.csv", "no/such/folder/x.csv", "bad\0name.csv"])
def test_a_missing_file_without_a_near_name_says_check_the_path(tmp_path: Path, name: str) -> None:
    write(tmp_path / "prices.csv")
    with pytest.raises(DataError, match=r"file not found\. Check the path"):
        expand([str(tmp_path / name)])


def test_a_name_too_long_for_a_file_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        expand(["x" * 5000 + ".csv"])


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file is empty, found 0 bytes"):
        expand([write(tmp_path / "empty.csv", "")])


@pytest.mark.parametrize("name", ["prices.xlsx", "prices", "prices.csv.7z"])
def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="unknown kind of file") as error:
        expand([write(tmp_path / name)])
    assert ".csv, .csv.gz, .csv.zst" in str(error.value)


def test_a_folder_or_glob_without_tables_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt")
    for pattern in (str(tmp_path), str(tmp_path / "*.csv")):
        with pytest.raises(DataError, match="no file matches"):
            expand([pattern])


def test_a_folder_named_like_a_table_is_refused_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(DataError, match="not a regular file, found a folder"):
        expand([str(tmp_path / "*.csv")])


def test_a_fingerprint_sees_growth_edges_middle_and_loss(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_bytes(b"x" * 300_000)
    before = fingerprint(path)
    check_unchanged(before)
    with path.open("r+b") as file:  # beyond the hashed edges: only the modification time tells
        file.seek(150_000)
        file.write(b"y")
    os.utime(path, ns=(before.modified_ns + 1_000_000, before.modified_ns + 1_000_000))
    with pytest.raises(DataError, match="changed while it was read"):
        check_unchanged(before)
    path.unlink()
    with pytest.raises(DataError, match="changed while it was read"):
        check_unchanged(before)

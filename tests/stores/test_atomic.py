import json
import math
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from seawall.stores import atomic
from seawall.stores.atomic import block_checksums, file_checksum, replacing, text_key, write_json, write_text


def test_a_text_is_replaced_whole_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")
    write_text(path, "n\u00e9w")
    assert path.read_text(encoding="utf-8") == "n\u00e9w"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_while_writing_keeps_the_old_file_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"b": 1, "a": None})
    assert path.read_text(encoding="utf-8") == '{\n "a": null,\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": math.nan})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": None, "b": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("num_bytes", [0, 1, 99, 100, 101, 1000])
def test_block_checksums_are_those_of_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_bytes: int
) -> None:
    monkeypatch.setattr(atomic, "BLOCK_BYTES", 100)
    monkeypatch.setattr(atomic, "READ_BYTES", 33)
    data = bytes(i % 251 for i in range(num_bytes))
    path = tmp_path / "data"
    path.write_bytes(data)
    whole, blocks = block_checksums(path)
    assert whole == file_checksum(path) == xxhash.xxh3_64_hexdigest(data)
    pieces = [data[start : start + 100] for start in range(0, max(1, num_bytes), 100)]
    assert blocks == [xxhash.xxh3_64_hexdigest(piece) for piece in pieces]


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_keys_are_equal_only_for_equal_lists_of_texts(one: list[str], other: list[str]) -> None:
    assert (text_key(*one) == text_key(*other)) == (one == other)


def test_the_key_of_known_texts_never_changes() -> None:
    lengths_and_texts = b"\x02" + bytes(7) + b"ab" + b"\x01" + bytes(7) + b"c"
    assert text_key("ab", "c") == xxhash.xxh3_128_hexdigest(lengths_and_texts) == "f2eda2708bcfd51cc05c0ee4c9f60440"

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import ConfigError
from seawall.units import GIB, KIB, MIB, format_apart, format_bytes, format_seconds, parse_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2GiB", 2 * GIB), ("512 MiB", 512 * MIB), ("1.5gib", GIB * 3 // 2), ("4096", 4096), ("64KiB", 64 * KIB), (7, 7)],
)
def test_binary_sizes_are_read(text: str | int, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["2GB", "1G", "two GiB", "", "-1GiB", "1 GiB extra", "nan", "0MiB"])
def test_anything_else_is_refused_and_never_guessed(text: str) -> None:
    with pytest.raises(ConfigError, match="--memory: ") as refused:
        parse_bytes(text, where="--memory")
    assert repr(text) in str(refused.value)


@given(st.integers(1, 2**50))
def test_a_printed_size_is_within_a_twentieth_of_the_real_one(size_bytes: int) -> None:
    printed = format_bytes(size_bytes)

    number = parse_bytes(printed.replace(" ", "")) if not printed.startswith("0 ") else size_bytes
    assert abs(number - size_bytes) <= 0.051 * size_bytes


@given(st.integers(1, 2**50), st.integers(1, 2**50), st.booleans())
def test_two_sizes_look_different_where_they_are(first: int, second: int, are_close: bool) -> None:
    second = first + second % 1000 if are_close else second

    one, other = format_apart(first, second)

    assert (one == other) == (first == second)
    assert format_apart(GIB, 2 * GIB) == ("1.0 GiB", "2.0 GiB")
    assert format_apart(10 * GIB + 3 * MIB, 10 * GIB) == ("10,243 MiB", "10,240 MiB")


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.44, "0.4 s"), (42, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_read_as_people_say_them(seconds: float, expected: str) -> None:
    assert format_seconds(seconds) == expected

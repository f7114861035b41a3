import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import ConfigError, DataError
from seawall.tables.clock import ISO, STEP
from seawall.tables.times import TimeFormat, declared_format, from_typed, infer_format, parse_texts

WHERE = "column date"


def parsed(*texts: str) -> list[int]:
    times, valid = parse_texts(pa.array(texts), infer_format(texts, where=WHERE))
    assert valid.all()
    return [int(time) for time in times]


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31",
        "2024-01-31 09:30",
        "2024-01-31T09:30:15",
        "2024-01-31 09:30:15.25",
        "2024-01-31 09:30:15.123456789",
        "2024-01-31T09:30Z",
        "2024-01-31 09:30+05:30",
        "2024-01-31T09:30:00-0800",
        "20240131",
        "2024/01/31",
        "31/01/2024",
        "01/31/2024",
        "31.01.2024",
        "20240131 09:30:00",
        "20240131093000",
    ],
)
def test_a_written_time_means_what_pandas_says_it_means(text: str) -> None:
    day_first = text.startswith("31")
    expected = pd.to_datetime([text], dayfirst=day_first, utc=True)[0].value
    assert parsed(text) == [expected]


@given(st.lists(st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")), min_size=1, max_size=8))
def test_iso_times_of_every_day_are_read_like_pandas(moments: list[pd.Timestamp]) -> None:
    texts = [moment.isoformat(sep=" ") for moment in moments]
    assert parsed(*texts) == [pd.Timestamp(moment).as_unit("ns").value for moment in moments]


def test_an_offset_is_turned_into_utc_and_no_offset_is_taken_as_utc() -> None:
    assert parsed("2024-01-31 09:30+05:30", "2024-01-31 04:00Z") == [1706673600000000000] * 2
    assert parsed("2024-01-31 04:00") == [1706673600000000000]


def test_texts_with_and_without_an_offset_are_refused_unless_a_zone_is_declared() -> None:
    mixed = ["2024-01-31 09:30+05:30", "2024-01-31 04:00"]
    with pytest.raises(DataError, match="some times have an offset and some have none"):
        infer_format(mixed, where=WHERE)
    zoned = infer_format(mixed, where=WHERE, timezone="Asia/Kolkata")
    assert parse_texts(pa.array(mixed), zoned)[0].tolist() == [1706673600000000000, 1706653800000000000]


@pytest.mark.parametrize("samples", [("03/04/2024",), ("05/05/2024", "03/04/2024"), ("01-02-2024", "02-02-2024")])
def test_day_first_against_month_first_is_refused_with_both_readings(samples: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="ambiguous") as error:
        infer_format(samples, where=WHERE)
    telling = next(text for text in samples if text[:2] != text[3:5])
    day_first = pd.to_datetime(telling, dayfirst=True).date().isoformat()
    month_first = pd.to_datetime(telling, dayfirst=False).date().isoformat()
    message = str(error.value)
    assert message.startswith(f"{WHERE}: ")
    assert telling in message
    assert f"{day_first} as %d" in message
    assert f"{month_first} as %m" in message


def test_one_telling_day_settles_the_order_for_the_whole_column() -> None:
    assert infer_format(["03/04/2024", "13/04/2024"], where=WHERE) == TimeFormat("%d/%m/%Y")
    assert infer_format(["03/04/2024", "04/13/2024"], where=WHERE) == TimeFormat("%m/%d/%Y")


def test_a_date_that_reads_the_same_both_ways_is_not_ambiguous() -> None:
    assert parsed("05/05/2024") == [pd.Timestamp("2024-05-05").value]


def test_integers_are_steps_and_negative_ones_too() -> None:
    assert infer_format(["0", "17", "-3"], where=WHERE) == TimeFormat(STEP)
    assert parsed("0", "17", "-3") == [0, 17, -3]


def test_a_mistyped_compact_date_does_not_turn_the_calendar_into_steps() -> None:
    with pytest.raises(DataError, match="2 of 3 sampled values are dates written as %Y%m%d") as error:
        infer_format(["20240131", "20240201", "2024013"], where=WHERE)
    assert "'2024013'" in str(error.value)


@pytest.mark.parametrize(
    "samples",
    [
        ("2024-02-30",),
        ("2024-02-28", "2024-02-30"),
        ("31/02/2024",),
        ("2024-01-31", "31/01/2024"),
        ("2024-01-31", "5"),
        ("2024-01-31 24:00",),
        ("9999-12-31",),
        ("1.5",),
        ("1/2/2024",),
        (" 2024-01-31",),
        ("",),
        ("\u0661\u0662",),
        ("9" * 19,),
        ("not a time",),
    ],
)
def test_impossible_and_mixed_times_are_refused_and_shown(samples: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="no known time format reads all values") as error:
        infer_format(samples, where=WHERE)
    assert repr(samples[-1]) in str(error.value)


def test_a_year_beyond_nanoseconds_is_no_date() -> None:
    assert infer_format(["99990101"], where=WHERE) == TimeFormat(STEP)
    assert not parse_texts(pa.array(["99990101"]), TimeFormat("%Y%m%d"))[1].any()


def test_no_samples_ask_for_a_declaration() -> None:
    with pytest.raises(DataError, match="Declare time_format"):
        infer_format([], where=WHERE)


@pytest.mark.parametrize("name", [ISO, "%Y%m%d", "%d/%m/%Y", STEP])
def test_texts_that_do_not_fit_the_format_are_marked_one_by_one(name: str) -> None:
    good = {ISO: "2024-02-29", "%Y%m%d": "20240229", "%d/%m/%Y": "29/02/2024", STEP: "20240229"}[name]
    texts = pa.array([good, "2024-02-30", None, "", f"{good} ", "29/2/2024", good])
    times, valid = parse_texts(texts, TimeFormat(name))
    assert valid.tolist() == [True, False, False, False, False, False, True]
    assert times[~valid].tolist() == [0] * 5
    assert times[0] == times[-1] == (20240229 if name == STEP else pd.Timestamp("2024-02-29").value)


@pytest.mark.parametrize("name", [ISO, STEP, "%Y%m%d", "%d %B %Y", "%Y-%m-%d %I:%M %p", "%Y-%m"])
def test_a_declared_format_that_reads_back_what_it_writes_is_taken(name: str) -> None:
    assert declared_format(name, where="ingest.time_format") == TimeFormat(name)


@pytest.mark.parametrize(
    "name", ["", "ISO", "%", "%Q", "%d", "%H:%M", "%Y-%m-%d %Z", "%Y-%m-%dT%H:%M:%S%z", "yyyy-mm-dd"]
)
def test_a_declared_format_that_cannot_be_held_to_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"ingest\.time_format: not a time format that can be held to") as error:
        declared_format(name, where="ingest.time_format")
    assert repr(name) in str(error.value)


def test_typed_columns_need_no_format() -> None:
    day = pd.Timestamp("2024-01-31")
    for kind in (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("ns"), pa.date32(), pa.date64()):
        times, valid, calendar = from_typed(pa.array([day, None]).cast(pa.timestamp("s")).cast(kind), where=WHERE)
        assert times.tolist() == [day.value, 0]
        assert valid.tolist() == [True, False]
        assert calendar == "timestamp"


def test_a_typed_time_zone_is_turned_into_utc() -> None:
    local = pd.Series(pd.to_datetime(["2024-01-31 09:30"])).dt.tz_localize("Asia/Manila")
    times, _, _ = from_typed(pa.Array.from_pandas(local), where=WHERE)
    assert times.tolist() == [pd.Timestamp("2024-01-31 01:30").value]


def test_typed_integers_are_steps() -> None:
    times, valid, calendar = from_typed(pa.array([3, None, -1], pa.int16()), where=WHERE)
    assert (times.tolist(), valid.tolist(), calendar) == ([3, 0, -1], [True, False, True], "step")


def test_a_typed_time_outside_the_calendar_or_of_no_time_type_is_refused() -> None:
    far = pa.array(np.array(["3000-01-01"], "datetime64[s]"))
    with pytest.raises(DataError, match="outside 1677-2262"):
        from_typed(far, where=WHERE)
    with pytest.raises(DataError, match="not a time column"):
        from_typed(pa.array([1.5]), where=WHERE)

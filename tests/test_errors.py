import pytest

from seawall.errors import BudgetError, ConfigError, DataError, SeawallError, StageError, from_record, nearest


def test_the_text_says_where_what_found_allowed_and_what_to_do() -> None:
    error = ConfigError("train.batch_size", "too large", found="9999", allowed="at most 4096", do="Set it lower.")

    assert str(error) == "train.batch_size: too large, found 9999, allowed: at most 4096. Set it lower."


@pytest.mark.parametrize(("kind", "code"), [(ConfigError, 2), (BudgetError, 3), (DataError, 4), (StageError, 5)])
def test_the_exit_code_follows_from_what_the_user_can_do(kind: type[SeawallError], code: int) -> None:
    assert kind("a", "b").exit_code == code


def test_an_error_crosses_a_process_border_unchanged() -> None:
    error = DataError("file, line 3", "not a number", found="'x'", allowed="0 bad rows", do="Mend it.")

    again = from_record(error.record())

    assert type(again) is DataError
    assert str(again) == str(error)


def test_the_nearest_names_come_first_and_all_names_when_none_is_near() -> None:
    assert nearest("clsoe", ["open", "close", "volume"]) == "did you mean 'close'?"
    assert nearest("zzz", ["open", "close"]) == "known names: 'open', 'close'"

from seawall.pipeline.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_pace_tells_rows_and_megabytes_a_second_and_the_time_left() -> None:
    clock = Clock()
    pace = Pace(clock)
    beat: dict[str, float | str] = {"substep": "read", "done": 1_000, "total": 101_000, "source_bytes": 50_500_000}
    assert pace.text(beat) == ""
    clock.seconds = 10.0
    assert pace.text(beat | {"done": 21_000}) == "2,000 rows/s, 1 MB/s, 40 s left"


def test_a_new_substep_is_timed_from_its_own_start() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.text({"substep": "a", "done": 0, "total": 100, "source_bytes": 1e9})
    clock.seconds = 100.0
    pace.text({"substep": "b", "done": 0, "total": 100, "source_bytes": 1e9})
    clock.seconds = 105.0
    assert pace.text({"substep": "b", "done": 50, "total": 100, "source_bytes": 1e9}).startswith("10 rows/s, 100 MB/s")


def test_more_rows_than_estimated_tell_no_time_left_and_other_units_tell_nothing() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.text({"substep": "a", "done": 1, "total": 10, "source_bytes": 1e6})
    clock.seconds = 5.0
    assert "left" not in pace.text({"substep": "a", "done": 11, "total": 10, "source_bytes": 1e6})
    assert pace.text({"substep": "a", "done": 11, "total": 10}) == ""
    assert pace.text({}) == ""


def test_training_tells_loss_ic_rows_a_second_and_how_long_it_waited() -> None:
    clock = Clock()
    pace = Pace(clock)
    beat: dict[str, float | str] = {"substep": "epoch 1: train", "done": 10, "total": 110, "batch_rows": 256}
    beat |= {"loss": 0.5, "valid_ic": 0.0312, "epoch_seconds": 4.0, "loader_wait_seconds": 0.02}
    assert pace.text(beat) == "loss 0.50000, IC 0.0312"
    clock.seconds = 10.0
    told = "loss 0.50000, IC 0.0312, 512 rows/s, loader wait 0.5%, 40 s left"
    assert pace.text(beat | {"done": 30}) == told


def test_a_loss_and_an_ic_that_are_not_defined_are_not_told_as_numbers() -> None:
    clock = Clock()
    pace = Pace(clock)
    beat: dict[str, float | str] = {"substep": "epoch 0: train", "done": 0, "total": 4, "batch_rows": 2}
    pace.text(beat)
    clock.seconds = 4.0
    assert pace.text(beat | {"done": 2}) == "1 rows/s, 4.0 s left"

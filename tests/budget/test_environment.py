"""The environment a stage's process starts with."""

import os
import subprocess
import sys

import pytest

from seawall.budget.environment import GIVE_BACK_BATCHES, allocator_environment, giving_back


def test_allocators_give_memory_back_and_threads_are_as_planned() -> None:
    environment = allocator_environment(3)

    assert environment["MALLOC_TRIM_THRESHOLD_"] == "65536"
    assert {value for name, value in environment.items() if name.endswith("_THREADS")} == {"3"}


def test_arrow_takes_the_allocator_it_is_told_to() -> None:
    code = "import pyarrow; print(pyarrow.default_memory_pool().backend_name, hash('seawall'))"
    environment = {**os.environ, **allocator_environment()}

    answers = {subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) for _ in range(2)}

    assert len(answers) == 1
    assert answers.pop().startswith("system ")


def test_memory_is_given_back_before_the_first_batch_after_every_few_and_after_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times: list[str] = []
    monkeypatch.setattr("seawall.budget.environment.give_back_free_memory", lambda: times.append("back"))

    taken = [(batch, len(times)) for batch in giving_back(range(GIVE_BACK_BATCHES + 1))]

    assert taken == [*((batch, 1) for batch in range(GIVE_BACK_BATCHES)), (GIVE_BACK_BATCHES, 2)]
    assert len(times) == 3

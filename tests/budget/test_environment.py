"""The environment a stage's process starts with."""

import os
import subprocess
import sys

from seawall.budget.environment import allocator_environment


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

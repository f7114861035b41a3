"""The public list is true, every example runs, and the package can be used alone."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import seawall.metrics

MODULES = [info.name for info in pkgutil.iter_modules(seawall.metrics.__path__, "seawall.metrics.")]


def test_every_exported_name_exists_and_is_documented() -> None:
    for name in seawall.metrics.__all__:
        assert getattr(seawall.metrics, name).__doc__, name
    assert list(seawall.metrics.__all__) == sorted(seawall.metrics.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_there_is_an_example_for_every_exported_function() -> None:
    functions = [name for name in seawall.metrics.__all__ if name[0].islower()]

    assert functions
    for name in functions:
        assert ">>>" in (getattr(seawall.metrics, name).__doc__ or ""), name


def test_metrics_load_numpy_and_nothing_else_heavy() -> None:
    code = (
        "import sys, seawall.metrics; print([m for m in ('torch', 'scipy', 'pyarrow', 'pydantic') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"

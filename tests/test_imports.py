import json
import subprocess
import sys

import pytest

import seawall as sw

HEAVY = {"numpy", "pydantic", "pyarrow", "duckdb", "torch", "pandas", "scipy", "rich", "typer", "plotly", "ray"}


def in_fresh_python(code: str) -> dict[str, float | list[str]]:
    """Run code in a new interpreter and give what it prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded: dict[str, float | list[str]] = json.loads(done.stdout)
    return loaded


MEASURE = """
import json, sys, time, {module}
private = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")][0] / 1024
print(json.dumps({{"modules": sorted(m for m in sys.modules if "." not in m), "private_mib": private,
                  "cpu": time.process_time()}}))
"""


def test_importing_seawall_loads_nothing_heavy_and_costs_little() -> None:
    bare = in_fresh_python(MEASURE.format(module="os"))
    ours = [in_fresh_python(MEASURE.format(module="seawall")) for _ in range(5)]

    assert isinstance(ours[0]["modules"], list)
    assert not HEAVY & set(ours[0]["modules"])
    assert isinstance(bare["private_mib"], float)
    assert all(isinstance(o["private_mib"], float) and o["private_mib"] <= bare["private_mib"] + 20 for o in ours)


def test_importing_seawall_takes_at_most_three_times_a_bare_interpreter() -> None:
    bare = min(float(in_fresh_python(MEASURE.format(module="os"))["cpu"]) for _ in range(7))  # type: ignore[arg-type]
    ours = min(float(in_fresh_python(MEASURE.format(module="seawall"))["cpu"]) for _ in range(7))  # type: ignore[arg-type]

    assert ours <= 3 * bare


@pytest.mark.parametrize("module", ["seawall.pipeline.run", "seawall.pipeline.stages", "seawall.cli.main"])
def test_the_waiting_parent_imports_no_engine(module: str) -> None:
    loaded = in_fresh_python(MEASURE.format(module=module))

    assert isinstance(loaded["modules"], list)
    assert not {"torch", "duckdb", "pandas", "pyarrow", "scipy", "numpy", "ray"} & set(loaded["modules"])
    assert isinstance(loaded["private_mib"], float)
    assert loaded["private_mib"] <= 32


def test_every_public_name_can_be_loaded() -> None:
    for name in sw.__all__:
        assert getattr(sw, name) is not None, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        sw.serach  # noqa: B018


def test_packages_that_share_a_name_with_a_function_can_be_called_and_imported_from() -> None:
    code = """
import json, sys
import seawall.windows.api as api, seawall.ingest.config as config, seawall.windows
import seawall as sw
import inspect
from seawall import windows
first = callable(sw.windows) and callable(sw.ingest) and windows is sw.windows
first = bool(first and config.IngestConfig and api.make_windows)
first = first and "lookback" in inspect.signature(sw.windows).parameters
import seawall.ingest.run
print(json.dumps({"modules": [], "functions": float(first and callable(sw.ingest) and callable(sw.windows))}))
"""
    assert in_fresh_python(code)["functions"] == 1.0

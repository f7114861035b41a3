"""A process of a run has no pandas, what only asks where it lies is not disturbed, and its pages are ordinary ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.budget.trees import write_tree

SCRIPT = """
import importlib.util
from seawall.budget.beginning import leave_out_pandas
leave_out_pandas()
importlib.util.find_spec("pandas")
try:
    import pandas
except ModuleNotFoundError as error:
    print(error)
try:
    import pandas.core
except ModuleNotFoundError as error:
    print(error)
"""


def test_pandas_can_be_asked_for_and_not_imported() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "pandas is not used in stages\n" * 2


PAGES = """
import ctypes, sys
from pathlib import Path
from seawall.budget.beginning import use_ordinary_pages
use_ordinary_pages(Path(sys.argv[1]))
PR_GET_THP_DISABLE = 42
print(ctypes.CDLL(None).prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked about on Linux")
@pytest.mark.parametrize(
    ("setting", "is_changed"), [("[always] madvise never", True), ("always [madvise] never", False), (None, False)]
)
def test_huge_pages_are_refused_only_where_everybody_gets_them(
    tmp_path: Path, setting: str | None, is_changed: bool
) -> None:
    if setting is not None:
        write_tree(tmp_path, {"sys/kernel/mm/transparent_hugepage/enabled": setting + "\n"})

    done = subprocess.run([sys.executable, "-c", PAGES, tmp_path], capture_output=True, text=True, check=True)

    assert (done.stdout.strip() != "0") is is_changed

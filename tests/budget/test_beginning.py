"""A process of a run has no pandas, and what only asks where it lies is not disturbed."""

import subprocess
import sys

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

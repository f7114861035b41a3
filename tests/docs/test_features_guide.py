"""The guide to features says what the code does, and its example runs."""

import re
from pathlib import Path

import pytest

from seawall.ingest.feature_sets.catalogue import SETS
from seawall.pipeline.reference import feature_table
from seawall.stores.panel import Panel

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "features.md"


@pytest.mark.parametrize("name", sorted(SETS))
def test_the_tables_of_the_sets_are_what_the_catalogue_says(name: str) -> None:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert found[1] == feature_table(name), "write it again with seawall.pipeline.reference.feature_table"


def test_the_example_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), {})  # noqa: S102 - our own document
    panel = Panel(tmp_path / "bars.panel")
    assert panel.names("features")[-1] == "rank_mom"
    assert panel.shape.num_features == 24 + 157 + 1

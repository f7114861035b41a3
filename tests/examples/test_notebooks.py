"""The notebooks run from top to bottom in an empty folder, and hold no path of the machine they were made on."""

import json
from pathlib import Path
from typing import Any

import pytest

nbformat: Any = pytest.importorskip("nbformat", reason="no notebook library is installed")
nbclient: Any = pytest.importorskip("nbclient", reason="no notebook library is installed")
pytest.importorskip("ipykernel", reason="no notebook kernel is installed")

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
KERNEL_MIB = 80


def run(name: str, folder: Path) -> str:
    """Run a notebook; give all that it printed."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    done = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return "".join(out.get("text", "") for cell in done.cells for out in cell.get("outputs", []))


def test_both_are_there() -> None:
    assert NOTEBOOKS == ["incident_a", "walk_through"]


@pytest.mark.filterwarnings("ignore")
def test_the_incident_is_ended_with_less_memory_and_every_row_once(tmp_path: Path) -> None:
    said = run("incident_a", tmp_path)
    assert "300,000 predictions became 301,209 rows" in said, "the careless way multiplies rows"
    assert "300,000 rows, 100.0% with a return, 2,000 repeated keys left out" in said
    careless, ours = (
        float(part.split(" MiB")[0].replace(",", "")) for part in said.split("careless ")[1].split("streamed ")
    )
    assert careless > 1.5 * ours
    assert float(said.split("this kernel: ")[1].split(" MiB")[0]) < KERNEL_MIB


@pytest.mark.filterwarnings("ignore")
def test_the_walk_through_ends_in_a_report_and_leaves_the_kernel_small(tmp_path: Path) -> None:
    said = run("walk_through", tmp_path)
    assert "mean Rank IC" in said
    assert "NumPy loaded: False, torch loaded: False" in said
    assert float(said.split(" MiB private")[0].splitlines()[-1]) < KERNEL_MIB
    assert (tmp_path / "runs" / "bars" / "report.html").is_file()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_kept_outputs_are_all_there_and_name_no_place_of_a_machine(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert not any(place in text for place in ("/home/", "/root/", "/tmp/", "/work/", "/Users/", "site-packages"))
    cells = json.loads(text)["cells"]
    ran = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in ran] == list(range(1, len(ran) + 1))

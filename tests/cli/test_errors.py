"""Bad input on the command line: a clear message, the right exit code, no traceback, nothing lost."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = "symbol,date,close\nA,2020-01-01,1.0\nA,2020-01-02,2.0\nB,2020-01-01,3.0\n"


def seawall(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a fresh process."""
    command = [sys.executable, "-m", "seawall", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def ingest(source: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return seawall("ingest", source, "--output", output, "--entity", "symbol", "--time", "date", *more)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text)
        return path

    return write


Table = Callable[[str], Path]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a good table, with its prices."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "table.csv").write_text(GOOD)
    done = ingest(folder / "table.csv", folder / "out.panel", "--features", "close", "--prices", "close")
    assert done.returncode == 0, done.stderr
    return folder / "out.panel"


# tests/hostile has the others
CASES = [
    ("unknown column", GOOD.replace("symbol", "symbl"), 2, "unknown column, found 'symbol'. Did you mean 'symbl'?"),
    ("duplicate key", GOOD + "A,2020-01-02,9.0\n", 4, "the key (symbol, date) occurs twice, found ('A', 2020-01-02)"),
    ("all missing", "symbol,date,close,empty\nA,2020-01-01,1,\nA,2020-01-02,2,\n", 4, "every value is missing"),
    ("too few cells", GOOD + "B,2020-01-05\n", 4, "line 5: wrong number of cells, found '2 instead of 3"),
]


@pytest.mark.parametrize(("text", "code", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bad_table_is_refused_and_what_was_there_stays(
    good: Path, table: Table, tmp_path: Path, text: str, code: int, message: str
) -> None:
    output = Path(shutil.copytree(good, tmp_path / "out.panel"))
    before = {p: p.read_bytes() for p in output.rglob("*") if p.is_file()}

    extra = ("--features", "close,empty") if "empty" in text else ("--features", "close")
    done = ingest(table(text), output, *extra)

    shown = " ".join(done.stderr.split())
    assert done.returncode == code, shown
    assert message in shown
    assert "Traceback" not in shown
    assert {p: p.read_bytes() for p in output.rglob("*") if p.is_file()} == before
    assert {p.name for p in tmp_path.iterdir()} == {"table.csv", "out.panel"}


def test_a_missing_file_is_named_with_exit_code_4(tmp_path: Path) -> None:
    done = ingest(tmp_path / "none.csv", tmp_path / "x.panel")

    assert done.returncode == 4
    assert "file not found" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_is_refused_with_exit_code_2(table: Table, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    done = ingest(table(GOOD), tmp_path / "file" / "x.panel")

    assert done.returncode == 2
    assert "the folder cannot be written" in " ".join(done.stderr.split())
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_budget_too_small_is_refused_with_exit_code_3(table: Table, tmp_path: Path) -> None:
    done = ingest(table(GOOD), tmp_path / "x.panel", "--memory", "40MiB")

    assert done.returncode == 3
    assert "Declare --memory" in " ".join(done.stderr.split())
    assert not (tmp_path / "x.panel").exists()


@pytest.mark.parametrize("size", ["1GB", "lots", "0GiB"])
def test_a_size_without_a_binary_unit_is_refused(table: Table, tmp_path: Path, size: str) -> None:
    done = ingest(table(GOOD), tmp_path / "x.panel", "--memory", size)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_unknown_command_or_option_is_exit_code_2() -> None:
    assert seawall("serach").returncode == 2
    assert seawall("run", "x.yaml", "--memroy", "1GiB").returncode == 2


def test_a_panel_with_a_flipped_bit_is_told_by_verify(good: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(good, tmp_path / "out.panel"))
    assert seawall("verify", output).returncode == 0
    victim = next(output.rglob("prices.npy"))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)

    done = seawall("verify", output)

    assert done.returncode == 4
    assert "block 0 is damaged" in " ".join(done.stderr.split())


def test_doctor_and_inspect_speak_json(good: Path) -> None:
    doctor, inspect = seawall("doctor", "--json"), seawall("inspect", good, "--json")

    assert '"fences"' in doctor.stdout
    assert '"num_rows": 3' in inspect.stdout

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.report.fake_run import World, make_run


def _seawall(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "seawall", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def _finished(folder: Path, name: str, seed: int) -> Path:
    run = make_run(folder / name, World(run_name=name, num_folds=2, samples_per_unit=20, seed=seed))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record))
    return run


def test_runs_are_compared_on_a_page_and_as_json_within_the_plan(tmp_path: Path) -> None:
    runs = [str(_finished(tmp_path, name, seed)) for seed, name in enumerate("ab")]
    done = _seawall("report", *runs, "--json", "--memory", "512MiB", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["name"] for run in found["runs"]] == ["a", "b"]
    assert (tmp_path / "compare.html").stat().st_size == found["bytes"]
    memory = found["memory"]
    assert memory["measured_private_bytes"] <= memory["projected_private_bytes"]
    assert memory["projected_private_bytes"] <= 1.5 * memory["measured_private_bytes"] + 32 * 1024 * 1024


def test_the_table_of_runs_fits_eighty_columns_and_quiet_says_nothing(tmp_path: Path) -> None:
    runs = [str(_finished(tmp_path, name, seed)) for seed, name in enumerate(("short", "n" * 60))]
    done = _seawall("report", *runs, "--output", "x.html", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "runs side by side" in done.stdout
    table = [line for line in done.stdout.splitlines() if not line.startswith("report: ")]  # a path is not broken
    assert max(map(len, table)) <= 80
    quiet = _seawall("report", runs[0], "--output", "one.html", "--quiet", folder=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert (tmp_path / "one.html").is_file()


def test_what_is_no_run_is_refused_with_its_name(tmp_path: Path) -> None:
    done = _seawall("report", str(_finished(tmp_path, "a", 0)), "nowhere", folder=tmp_path)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "no such folder" in done.stderr
    assert not (tmp_path / "compare.html").exists()

"""Each example config runs from its table to a report inside 1 GiB, and the report says what the model beats."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from seawall.pipeline.config import load_config
from seawall.units import GIB, MIB, format_bytes

ROOT = Path(__file__).parents[2]
EXAMPLES = ("equities", "motion", "rivers")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_valid_config_with_baselines(name: str) -> None:
    train = load_config(ROOT / "examples" / f"{name}.yaml").train

    assert train is not None
    assert train.baselines


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_inside_one_gibibyte(name: str, tmp_path: Path) -> None:
    settings = yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text(encoding="utf-8"))
    source = ROOT / settings["ingest"]["sources"][0]
    if not source.is_file():
        pytest.skip(f"{source} is not there")
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings | {"output": str(tmp_path / "out")}, sort_keys=False))
    began = time.monotonic()
    command = [sys.executable, "-m", "seawall", "run", str(path), "--memory", "1GiB", "--quiet"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 0, done.stderr[-2000:]
    units = json.loads((tmp_path / "out/run.json").read_text())["units"]
    peak = max(unit["measured_private_bytes"] + unit["parent_private_bytes"] for unit in units.values())
    metrics = json.loads((tmp_path / "out/metrics/metrics.json").read_text())
    assert peak < GIB
    for unit_name, unit in units.items():
        claimed, measured = unit["projected_private_bytes"], unit["measured_private_bytes"]
        assert measured <= claimed <= 1.5 * measured + 32 * MIB, unit_name
    assert {one["name"] for one in metrics["beside"] if one["kind"] == "baseline"} >= {"baseline_mean"}
    assert "Baselines and seeds" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    if name == "rivers":
        assert metrics["overall"]["by_entity"]["nse"]["median"] > 0.4
    cpu = sum(unit["cpu_seconds"] for unit in units.values())
    print(f"{name}: {time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU, peak {format_bytes(peak)}")
    for line in told(metrics):
        print(line)


def told(metrics: dict[str, object]) -> list[str]:
    """Say in lines what the table of the report says."""
    found = json.loads(json.dumps(metrics))
    rows = [("model", found["overall"])] + [(one["name"], one) for one in found["beside"]]
    lines = []
    for name, block in rows:
        entities = block.get("by_entity")
        nse = f", median NSE {entities['nse']['median']:.3f}" if entities else ""
        mean = block["rank_ic"]["mean"]
        ic = "none" if mean is None else f"{mean:.4f}"
        lines.append(f"  {name}: Rank IC {ic}, MSE {block['pooled']['mse']:.5g}{nse}")
    return lines

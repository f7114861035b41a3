"""``python -m bench cluster``: fifteen folds on one node and on two, each held to a part of a core, and what Ray adds.

Needs root: the nodes are two network namespaces joined by a veth pair, each in a CPU control group of its own, so that
two of them can show their worth on a machine of two busy cores. The run's parent is in neither group. The model of
``seawall cluster scale`` is fitted to the run over one node, and held against the run over two.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from seawall.pipeline.cluster.scale import Fleet, Job, costs_of, forecast
from seawall.stores.atomic import file_checksum
from tests.cluster.hosts import PORT, Host, core_quota, two_hosts
from tests.pipeline.world import config, market, write_market

FOLDS = {"train": 70, "valid": 20, "test": 11, "partial_last": False}
"""Fifteen of them."""

CONNECT = """
import sys, time
from pathlib import Path
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.crew import RayCrew
for _ in range(3):
    started = time.monotonic()
    crew = RayCrew(ClusterConfig(address=sys.argv[1], token_file=Path(sys.argv[2])))
    crew.connect()
    connected = time.monotonic()
    crew.close()
    print(connected - started, time.monotonic() - connected)
"""


def main(arguments: Sequence[str]) -> None:
    """Time one node and two, print ratios, overheads and how well the model foretells them."""
    parser = argparse.ArgumentParser(prog="python -m bench cluster", description=__doc__)
    parser.add_argument("--cores", type=float, default=0.5, help="of each node")
    parser.add_argument("--fold-seconds", type=float, default=33.0, help="of one fold on such a node")
    parser.add_argument("--epochs", type=int, default=0, help="of a fold, in place of finding them by trial")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        pair = stack.enter_context(two_hosts(folder))
        for number, host in enumerate(pair.hosts):
            host.cores = stack.enter_context(core_quota(f"seawall-bench-{os.getpid()}-{number}", options.cores))
        parent = replace(pair.first, cores=None)
        epochs = options.epochs or calibrate(folder, options.cores * options.fold_seconds)
        if options.epochs:
            subprocess.run(command(settings(folder, "panel", 0)), check=True)
        print(f"{epochs} epochs a fold, for {options.fold_seconds:.0f} s of {options.cores} cores", flush=True)
        print(f"start of the head {timed(pair.first.start_node):5.1f} s", flush=True)
        for line in parent.run(
            [sys.executable, "-c", CONNECT, f"{pair.first.address}:{PORT}", parent.token]
        ).stdout.splitlines():
            connect, close = map(float, line.split())
            print(f"a run connects in {connect:.2f} s and leaves in {close:.2f} s", flush=True)
        one = measure(folder, "one", parent, epochs)
        print(
            f"start of the second node {timed(lambda: pair.second.start_node(pair.first.address)):5.1f} s", flush=True
        )
        two = measure(folder, "two", parent, epochs)
        same = checksums(folder / "one") == checksums(folder / "two")
        print(f"two nodes do the folds {one['train'] / two['train']:.2f} x as fast as one; same files: {same}")
        tell_model(folder, {"one": one, "two": two})


def timed(act: Any) -> float:  # noqa: ANN401 - anything that can be called
    """Give the seconds something takes."""
    started = time.monotonic()
    act()
    return time.monotonic() - started


def settings(folder: Path, name: str, epochs: int, token: Path | None = None) -> Path:
    """Write a run's config; without epochs that of a run which makes the panel and ends."""
    source = folder / "market.csv"
    if not source.exists():
        write_market(source, market())
    model = {"kind": "lstm_attention", "hidden_size": 32}
    values = config(source, folder / name, folds=FOLDS, max_epochs=epochs, patience=epochs, model=model)
    values.pop("backtest")
    values["panel"] = str(folder / "market.panel")
    if token is not None:
        values.pop("ingest")
        values["cluster"] = {"address": f"10.231.7.1:{PORT}", "token_file": str(token), "silent_seconds": 120}
    if not epochs:
        values = {key: values[key] for key in ("name", "output", "panel", "ingest")}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def command(path: Path) -> list[str]:
    """Give the command of a run."""
    return [sys.executable, "-m", "seawall", "run", str(path), "--memory", "2GiB", "--quiet"]


def calibrate(folder: Path, cpu_seconds: float) -> int:
    """Find how many epochs keep a core busy for so long, from two short local runs of one stage each."""
    took = {}
    for epochs in (5, 65):
        path = settings(folder, "local", epochs)
        subprocess.run(command(path), check=True)
        found = units(folder / "local", "train")
        took[epochs] = sorted(unit["cpu_seconds"] for unit in found)[len(found) // 2]
    each = (took[65] - took[5]) / 60
    return max(2, round((cpu_seconds - (took[5] - 5 * each)) / each))


def units(run: Path, stage: str) -> list[dict[str, Any]]:
    """Give the records of a stage's units."""
    loaded = json.loads((run / "run.json").read_text())["units"]
    return [unit for unit in loaded.values() if unit["stage"] == stage]


def measure(folder: Path, name: str, parent: Host, epochs: int) -> dict[str, float]:
    """Run, and print what its folds took: the stage by the clock, each unit by itself, and what lies between."""
    path = settings(folder, name, epochs, parent.token)
    started = time.monotonic()
    ended = parent.run(command(path), timeout=3000)
    whole = time.monotonic() - started
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    took = {"whole": whole}
    for stage in ("train", "predict"):
        found = units(folder / name, stage)
        seconds = [unit["wall_seconds"] for unit in found]
        took[stage] = stage_seconds(folder / name, stage)
        between = between_seconds(folder / name, found)
        print(
            f"{name} node(s), {stage}: {took[stage]:6.1f} s by the clock;"
            f" a fold {min(seconds):.1f}-{max(seconds):.1f} s, between folds {between:.2f} s"
            f" = {between * len(seconds) / sum(seconds):.1%}",
            flush=True,
        )
    return took


def events(run: Path) -> Iterator[tuple[str, str, datetime]]:
    """Give kind, unit and time of every event of a run."""
    for text in (run / "log.jsonl").read_text().splitlines():
        event = json.loads(text)
        yield event["event"], event.get("unit", ""), datetime.fromisoformat(event["time"])


def stage_seconds(run: Path, stage: str) -> float:
    """Give the seconds from the first order of a stage to its last unit's publication."""
    times = [time for _, unit, time in events(run) if unit.startswith(f"{stage}/")]
    return (max(times) - min(times)).total_seconds()


def between_seconds(run: Path, found: list[dict[str, Any]]) -> float:
    """Give the mean seconds from the end of a unit to the start of the next on the same node, publication included."""
    published = {unit: time.timestamp() for kind, unit, time in events(run) if kind == "finished"}
    gaps, count = 0.0, 0
    for address in {unit["node"]["address"] for unit in found}:
        own = [unit for unit in found if unit["node"]["address"] == address]
        ends = {published[f"{unit['stage']}/fold_{unit['fold']:02d}"]: unit["wall_seconds"] for unit in own}
        first = min(ends)
        gaps += max(ends) - first - sum(seconds for end, seconds in ends.items() if end != first)
        count += len(own) - 1
    return gaps / max(count, 1)


def checksums(run: Path) -> dict[str, str]:
    """Give the contents of models and predictions."""
    found = [path for place in ("models/*/*", "predictions/*") for path in sorted(run.glob(place))]
    return {str(path.relative_to(run)): file_checksum(path) for path in found if path.name != "history.json"}


def tell_model(folder: Path, took: dict[str, dict[str, float]]) -> None:
    """Hold the model, fitted to the run over one node, against both runs."""
    costs = costs_of(folder / "one", folder / "market.panel")
    print(json.dumps(asdict(costs), indent=1))
    job = Job(table_bytes=costs.table_bytes, num_folds=costs.num_folds, is_ingested=True)
    for name, number in (("one", 1), ("two", 2)):
        told = forecast([costs], job, Fleet(num_nodes=number))
        for part, seconds in (("train", 0.0), ("predict", 0.0), ("whole", told.total_seconds)):
            says, measured = told.seconds.get(part, seconds), took[name][part]
            off = says / measured - 1
            print(f"model, {number} node(s), {part}: {says:6.1f} s, measured {measured:6.1f} s ({off:+.1%})")

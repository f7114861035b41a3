"""The parameter search: how fast and how small the exact sweep is, beside a plain loop, in fresh processes."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from bench.harness import Timing, show
from seawall.search.bars import Bars
from seawall.search.config import CostsConfig, GridConfig, Levels, TrailConfig
from seawall.search.costs import Costs
from seawall.search.entry_columns import Entries
from seawall.search.evaluate import Evaluator, Part, Selection
from seawall.search.levels import ExitLevels
from seawall.search.opportunities import Opportunities
from seawall.search.reference import PlainBars, walk

COSTS = CostsConfig(
    taker_fee_bps=4, maker_fee_bps=2, entry_slippage_bps=1, stop_slippage_bps=3, market_slippage_bps=2
)  # fmt: skip
SCALPING = (4, 8, 12, 16, 24, 32, 48, 64, 80, 96)
SWING = (48, 96, 144, 192, 240, 300, 400, 500, 600, 672)
NUM_ENTITIES, NUM_BARS = 7, 30_000


def grid(holds: tuple[int, ...], *, small: bool = False) -> ExitLevels:
    """10 x 10 x 10 x 10 combinations, or 5 x 3 x 2 x 1 of the incident's job."""
    if small:
        levels = GridConfig(
            take_profit_bps=Levels(start=40, stop=400, num=5),
            stop_loss_bps=Levels(start=40, stop=400, num=3),
            trail=TrailConfig(distance_bps=(100,), include_off=True),
            holding_periods=(holds[4], holds[-1]),
        )
        return ExitLevels.of(levels)
    trail = TrailConfig(distance_bps=(80, 150, 300), activation_bps=(0, 50, 100), include_off=True)
    levels = Levels(start=30, stop=500, num=10)
    return ExitLevels.of(GridConfig(take_profit_bps=levels, stop_loss_bps=levels, trail=trail, holding_periods=holds))


def write_world(folder: Path, *, num_entries: dict[str, int]) -> None:
    """Write bars and entries of both types as plain arrays, to be mapped."""
    rng = np.random.default_rng(1)
    steps = rng.standard_t(4, (NUM_ENTITIES, NUM_BARS, 8)) * 0.0015
    path = 100 * np.exp(np.cumsum(steps.reshape(NUM_ENTITIES, -1), axis=1)).reshape(-1, 8)
    slots = np.concatenate([np.arange(NUM_BARS) + e * (NUM_BARS + 40_000) for e in range(NUM_ENTITIES)])
    columns = {"open": path[:, 0], "high": path.max(1), "low": path.min(1), "close": path[:, -1], "slot": slots}
    columns |= {"time": np.tile(np.arange(NUM_BARS), NUM_ENTITIES), "funding": np.zeros(len(path))}
    for name, column in columns.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(column))
    for name, number in num_entries.items():
        inside = np.sort(rng.integers(0, NUM_BARS - 700, number))
        rows = inside + NUM_BARS * rng.integers(0, NUM_ENTITIES, number)
        np.save(folder / f"{name}.rows.npy", rows)
        np.save(folder / f"{name}.times.npy", inside)
        np.save(folder / f"{name}.sides.npy", rng.choice(np.array([-1, 1], np.int8), number))


def load(folder: Path, name: str) -> tuple[Bars, Entries]:
    """Map bars and entries."""
    arrays = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("time", "open", "high", "low", "close", "slot")}
    offsets = np.arange(NUM_ENTITIES + 1) * NUM_BARS
    funding = np.load(folder / "funding.npy", mmap_mode="r")
    bars = Bars(**arrays, funding=funding, offsets=offsets, entities=tuple("ABCDEFG"), period=1)
    rows, times, sides = (np.load(folder / f"{name}.{c}.npy", mmap_mode="r") for c in ("rows", "times", "sides"))
    return bars, Entries(rows, times, sides, np.empty((len(rows), 0)))


def own_bytes(name: str) -> int:
    """Memory of this process by its name in /proc: RssAnon now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def child(folder: Path, jobs: list[tuple[str, bool]]) -> None:
    """Sweep in a fresh process; print CPU seconds, memory over the data, and what was evaluated."""
    worlds = [load(folder, name) for name, _ in jobs]
    before, peak, running = own_bytes("RssAnon"), 0, True

    def watch() -> None:
        nonlocal peak
        while running:
            peak = max(peak, own_bytes("RssAnon"))
            time.sleep(0.001)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    started, done = time.process_time(), 0
    for (bars, entries), (name, small) in zip(worlds, jobs, strict=True):
        levels = grid(SCALPING if name.startswith("scalping") else SWING, small=small)
        edges = np.linspace(0, NUM_BARS, 65).astype(np.int64)
        out = folder / f"sums.{name}.{os.getpid()}"
        out.mkdir()
        evaluator = Evaluator(
            bars, entries, Costs.of(COSTS), Opportunities(0.01, 0.0), int(levels.holding[-1]), out, "bench",
            checkpoint_seconds=1e9,
        )  # fmt: skip
        evaluator.evaluate(levels, Selection(), Part("all", 0, len(entries), edges))
        done += evaluator.num_evaluations
    cpu = time.process_time() - started
    running = False
    thread.join()
    print(json.dumps({"cpu": cpu, "over": peak - before, "rss": own_bytes("VmHWM"), "evaluations": done}))


def in_child(folder: Path, jobs: list[tuple[str, bool]]) -> dict[str, float]:
    """Run jobs in a fresh process."""
    code = f"from pathlib import Path; from bench.search import child; child(Path({str(folder)!r}), {jobs!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: dict[str, float] = json.loads(done.stdout)
    return loaded


def search() -> None:
    """Tell how long and in what memory both types are swept: the incident's job, 20,000 combinations, many entries."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = int(os.environ.get("SEARCH_ENTRIES", "100000"))
        write_world(folder, num_entries={"scalping": 1649, "swing": 1550, "scalping-large": large})
        cases = {
            "60 combinations x 3,199 entries": [("scalping", True), ("swing", True)],
            "20,000 combinations x 3,199 entries": [("scalping", False), ("swing", False)],
            f"10,000 combinations x {large:,} entries": [("scalping-large", False)],
        }
        print("\nsweep with sums by 64 blocks, one thread, fresh process")
        for title, jobs in cases.items():
            runs = [in_child(folder, jobs) for _ in range(1 if "x 3,199" not in title else 5)]
            best = min(runs, key=lambda run: run["cpu"])
            print(
                f"  {title:<42} {best['cpu']:8.3f} s CPU  {best['evaluations'] / best['cpu'] / 1e6:7.1f} M/s"
                f"  {best['over'] / 1e6:6.1f} MB over the data  peak {best['rss'] / 1e6:6.1f} MB"
            )
        _beside_the_loop(folder)


def _beside_the_loop(folder: Path) -> None:
    """Time the plain loop on 200 entries and 30 combinations, beside the tables on the same."""
    bars, entries = load(folder, "scalping")
    levels, costs = grid(SCALPING, small=True), Costs.of(COSTS)
    plain = PlainBars(
        *(np.asarray(getattr(bars, n)).tolist() for n in ("open", "high", "low", "close", "slot", "funding"))
    )
    few = Entries(entries.rows[:200], entries.times[:200], entries.sides[:200], entries.scores[:200])
    started = time.process_time()
    for row, side in zip(few.rows.tolist(), few.sides.tolist(), strict=True):
        for number in range(levels.num_combinations):
            walk(plain, row, side, levels.at(number), costs)
    loop = time.process_time() - started
    out = folder / "sums.loop"
    out.mkdir()
    evaluator = Evaluator(bars, few, costs, Opportunities(0.01, 0.0), 96, out, "loop", checkpoint_seconds=1e9)
    started = time.process_time()
    evaluator.evaluate(levels, Selection(), Part("all", 0, 200, np.array([0, NUM_BARS])))
    ours = time.process_time() - started
    show("200 entries x 30 combinations", [Timing("seawall tables", [ours]), Timing("plain Python loop", [loop])])

"""``python -m bench join``: eleven million predictions with a raw table of returns, ours and peers in turn.

The tables are those of the incident: fifteen files of predictions by walk-forward window, fifteen files of a raw table
in order of stocks, keys as text, 0.4 % of the keys twice. Ours runs in a cgroup of ``--budget``; the peers, which would
be killed there, in one of ``--peer-budget``: each figure says what it took. Before anything is timed, rows, order,
every bit of ``forward_return`` and the coverage by fold and month are held against pandas.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.ingest_large import Outcome, run, show
from bench.saved_models import again_from_saved_models
from seawall.units import MIB, parse_bytes
from tests.cgroups import memory_cgroup

NUM_NAMES, NUM_DATES, NUM_WINDOWS, FIRST_PREDICTED = 5_365, 2_925, 15, 300
NUM_PREDICTIONS = 11_553_790
SHARE_TWICE, SHARE_WITHOUT_RETURN = 0.004, 0.01


def main(arguments: Sequence[str]) -> None:
    """Generate the tables, run the methods in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench join", description=__doc__)
    parser.add_argument("--columns", type=int, default=1, help="number columns of the raw table")
    parser.add_argument("--budget", default="200MiB", help="limit of the cgroup for seawall, parent included")
    parser.add_argument("--peer-budget", default="12GiB", help="limit of the cgroup for the others")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="methods by comma")
    parser.add_argument("--saved-models", action="store_true", help="then train, and join again from the models alone")
    parser.add_argument("--folder", default="", help="where the tables and the results go; temporary if missing")
    options = parser.parse_args(arguments)
    wanted = options.only.split(",") if options.only else list(METHODS)
    with tempfile.TemporaryDirectory(dir=options.folder or None) as name:
        folder = Path(name)
        num_raw, num_predictions = write_tables(folder, options.columns)
        print(f"{num_predictions:,} predictions, {num_raw:,} raw rows x {options.columns} numbers")
        check(folder, parse_bytes(options.budget))
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        found: dict[str, list[Outcome]] = {key: [] for key in wanted}
        for _ in range(options.repeats):
            for key in wanted:
                if found[key] and found[key][-1].problem:
                    continue
                budget_bytes = parse_bytes(options.budget if key == "seawall" else options.peer_budget)
                make = partial(_command, key, budget_bytes)
                found[key].append(run(make, folder, folder / "result", budget_bytes))
                last = found[key][-1]
                print(
                    f"  {key:<26} {last.wall_seconds:7.1f} s  {last.cpu_seconds:7.1f} CPU s  {last.problem}", flush=True
                )
        show(found, size_bytes)
        if options.saved_models:
            again_from_saved_models(folder, NUM_WINDOWS, num_predictions, parse_bytes(options.budget))


def check(folder: Path, budget_bytes: int) -> None:
    """Join in a cgroup, then compare with pandas to the bit; raises where anything differs."""
    result = folder / "checked"
    with memory_cgroup(budget_bytes) as group:
        done = group.run([*_command("seawall", budget_bytes, folder, result), "--json"], timeout=3600)
    if done.returncode or done.oom_kills:
        raise SystemExit(f"the join failed: {done.stderr}")
    (folder / "checked.json").write_text(done.stdout)
    judge = [sys.executable, "-c", CHECK, str(folder), f"{result}.parquet", str(folder / "checked.json")]
    print(subprocess.run(judge, check=True, stdout=subprocess.PIPE, text=True).stdout, end="", flush=True)
    for path in folder.glob("checked*"):
        path.unlink()


def _command(key: str, budget_bytes: int, source: Path, result: Path) -> list[str]:
    if key != "seawall":
        return [sys.executable, "-c", METHODS[key], str(source), str(result)]
    keys = ["--entity", "order_book_id", "--time", "trade_date", "--duplicates", "last"]
    tables = ["--predictions", str(source / "pred"), "--returns", str(source / "raw")]
    limit = ["--memory", f"{budget_bytes // MIB}MiB", "--quiet"]
    return [sys.executable, "-m", "seawall", "join", *tables, "--output", f"{result}.parquet", *keys, *limit]


KEYS = ["trade_date", "order_book_id"]

CHECK = f"""
import sys, glob, json, numpy as np, pandas as pd, pyarrow.parquet as pq
source, table, record = sys.argv[1:]
names = {[*KEYS, "y_ret_10d"]}
raw = pd.concat([pd.read_parquet(p, columns=names) for p in sorted(glob.glob(source + "/raw/*"))])
scores = pd.concat([pd.read_parquet(p) for p in sorted(glob.glob(source + "/pred/*"))])
num_scores = len(scores)
right = scores.merge(raw.drop_duplicates({KEYS}, keep="last"), on={KEYS}, how="left")
right = right.sort_values({KEYS}, kind="stable", ignore_index=True)
del raw, scores
ours, told = pq.read_table(table), json.load(open(record))
found, wanted = ours["forward_return"].to_numpy(), right["y_ret_10d"].to_numpy()
known = ~np.isnan(wanted)
of_fold = [(int(f), len(v), int(v.sum())) for f, v in pd.Series(known).groupby(right["fold"])]
month = right["trade_date"].to_numpy().astype("datetime64[M]").astype(str)
of_month = [(str(m), len(v), int(v.sum())) for m, v in pd.Series(known).groupby(month)]
same = {{
    "rows": len(found) == len(wanted) == num_scores == told["num_rows"],
    "times": np.array_equal(ours["time"].cast("int64").to_numpy(), right["trade_date"].to_numpy("M8[ns]").astype("i8")),
    "entities": bool((ours["entity"].cast("string").to_numpy() == right["order_book_id"].to_numpy()).all()),
    "predictions": np.array_equal(ours["prediction"].to_numpy(), right["prediction"].to_numpy("f8")),
    "bits of forward_return": np.array_equal(found[known].view("i8"), wanted[known].view("i8")),
    "missing returns": ours["forward_return"].null_count == int((~known).sum()) and bool(np.isnan(found[~known]).all()),
    "coverage by fold": [(c["fold"], c["num_rows"], c["num_matched"]) for c in told["folds"]] == of_fold,
    "coverage by month": [(c["month"], c["num_rows"], c["num_matched"]) for c in told["months"]] == of_month,
}}
if not all(same.values()):
    sys.exit(f"not equal to pandas: {{same}}")
print(f"equal to pandas, {{len(found):,}} rows, {{int(known.sum()):,}} returns to the bit, "
      f"{{len(of_fold)}} folds, {{len(of_month)}} months: {{', '.join(same)}}")
"""

METHODS = {
    "seawall": "",
    "pandas as the notebook": f"""
import sys, glob, pandas as pd
source, result = sys.argv[1:]
raw = pd.concat([pd.read_parquet(p) for p in sorted(glob.glob(source + "/raw/*"))])
predictions = pd.concat([pd.read_parquet(p) for p in sorted(glob.glob(source + "/pred/*"))])
raw = raw.drop_duplicates({KEYS}, keep="last")
joined = predictions.merge(raw, on={KEYS}, how="left")
joined[{[*KEYS, "prediction", "y_ret_10d"]}].to_parquet(result + ".parquet", compression="zstd")
""",
    "pandas three columns": f"""
import sys, glob, pandas as pd
source, result = sys.argv[1:]
names = {[*KEYS, "y_ret_10d"]}
raw = pd.concat([pd.read_parquet(p, columns=names) for p in sorted(glob.glob(source + "/raw/*"))])
predictions = pd.concat([pd.read_parquet(p) for p in sorted(glob.glob(source + "/pred/*"))])
raw = raw.drop_duplicates({KEYS}, keep="last")
predictions.merge(raw, on={KEYS}, how="left").to_parquet(result + ".parquet", compression="zstd")
""",
    "duckdb 1 GB": """
import sys, duckdb
source, result = sys.argv[1:]
con = duckdb.connect(config={"memory_limit": "1GB", "threads": "2", "temp_directory": result + ".tmp",
                             "preserve_insertion_order": "false"})
con.execute(f\"\"\"COPY (SELECT p.*, r.y_ret_10d FROM '{source}/pred/*.parquet' p LEFT JOIN (
    SELECT trade_date, order_book_id, last(y_ret_10d) AS y_ret_10d FROM '{source}/raw/*.parquet' GROUP BY ALL) r
    USING (trade_date, order_book_id) ORDER BY trade_date, order_book_id)
    TO '{result}.parquet' (FORMAT parquet, COMPRESSION zstd)\"\"\")
""",
    "polars streaming": f"""
import sys, polars as pl
source, result = sys.argv[1:]
raw = pl.scan_parquet(source + "/raw/*.parquet").select({[*KEYS, "y_ret_10d"]}).unique({KEYS}, keep="last")
joined = pl.scan_parquet(source + "/pred/*.parquet").join(raw, on={KEYS}, how="left").sort({KEYS})
joined.sink_parquet(result + ".parquet", compression="zstd")
""",
}
"""Each as its users write it; DuckDB and Polars sort by time as ours does."""


def write_tables(folder: Path, num_columns: int) -> tuple[int, int]:
    """Write the tables of the incident; the number of raw rows and of predictions."""
    rng = np.random.default_rng(0)
    days = np.arange(np.datetime64("2010-01-01"), np.datetime64("2022-12-31"))
    days = days[np.is_busday(days)][:NUM_DATES].astype("datetime64[ms]")
    names = np.array([f"{number:06d}.{'XSHG' if number % 2 else 'XSHE'}" for number in range(NUM_NAMES)])
    starts = (np.sort(rng.integers(0, NUM_DATES - FIRST_PREDICTED, NUM_NAMES)) * 0.52).astype(np.int64)
    for part in ("raw", "pred"):
        (folder / part).mkdir()
    num_raw, times, entities = 0, [], []
    num_surplus = int((NUM_DATES - np.maximum(starts, FIRST_PREDICTED)).sum()) - NUM_PREDICTIONS
    for number, block in enumerate(np.array_split(np.arange(NUM_NAMES), NUM_WINDOWS)):
        time = np.concatenate([np.arange(starts[entity], NUM_DATES) for entity in block])
        entity = np.repeat(block, NUM_DATES - starts[block])
        # Days without trade, so many that the predictions are as many as they were.
        num_suspended = (number + 1) * num_surplus // NUM_WINDOWS - number * num_surplus // NUM_WINDOWS
        suspended = rng.choice(np.flatnonzero(time >= FIRST_PREDICTED), num_suspended, replace=False)
        time, entity = np.delete(time, suspended), np.delete(entity, suspended)
        times.append(time[time >= FIRST_PREDICTED])
        entities.append(entity[time >= FIRST_PREDICTED])
        twice = np.where(rng.random(len(time)) < SHARE_TWICE, 2, 1)
        time, entity = np.repeat(time, twice), np.repeat(entity, twice)
        values = rng.standard_normal(len(time)) * 0.05
        columns = {"trade_date": pa.array(days[time]), "order_book_id": pa.array(names[entity])}
        columns["y_ret_10d"] = pa.array(values, mask=rng.random(len(time)) < SHARE_WITHOUT_RETURN)
        columns |= {f"f{column}": pa.array(rng.standard_normal(len(time))) for column in range(1, num_columns)}
        path = folder / "raw" / f"part_{number:02d}.parquet"
        pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=200_000)
        num_raw += len(time)
    time, entity = np.concatenate(times), np.concatenate(entities)
    edges = np.linspace(FIRST_PREDICTED, NUM_DATES, NUM_WINDOWS + 1).astype(int)
    for window in range(NUM_WINDOWS):
        within = (time >= edges[window]) & (time < edges[window + 1])
        table = pa.table(
            {
                "trade_date": pa.array(days[time[within]]),
                "order_book_id": pa.array(names[entity[within]]),
                "prediction": pa.array(rng.standard_normal(int(within.sum())).astype(np.float32)),
                "fold": pa.array(np.full(int(within.sum()), window, np.int32)),
            }
        )
        pq.write_table(table, folder / "pred" / f"window_{window:02d}.parquet", compression="zstd")
    return num_raw, len(time)

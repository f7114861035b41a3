"""Memory of predicting against rows: ours, and Lightning's predict loop that returns nothing, where it is installed."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import seawall as sw
from bench.panels import synthetic_panel
from seawall.stores.panel import Panel
from seawall.train.folds_file import fold_layout, write_folds
from seawall.units import MIB
from seawall.windows.folds import Fold

ROWS = (1_000_000, 10_000_000)
NUM_ENTITIES = 1_000
BATCH = 4096
SETTINGS = {"max_epochs": 1, "batch_size": 256, "device": "cpu", "predict_batch_size": BATCH}
MODEL = {"kind": "lstm", "hidden_size": 4}

WATCHED = """
import json, sys, threading, time
peak, running = 0, True
def held():
    with open("/proc/self/status") as file:
        return sum(int(line.split()[1]) << 10 for line in file if line.startswith(("RssAnon", "RssShmem")))
def watch():
    global peak
    while running:
        peak = max(peak, held())
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
"""

OURS = (
    WATCHED
    + """
from pathlib import Path
from seawall.train.config import TrainConfig
from seawall.train.predict import predict_fold
panel, model, config = sys.argv[1:]
floor = held()
predict_fold(Path(panel), Path(panel).with_name("folds.json"), 0, TrainConfig.model_validate_json(config),
             Path(model), Path(panel).with_name("out"))
running = False
print(json.dumps({"peak": peak, "cpu": time.process_time()}))
"""
)

LIGHTNING = (
    WATCHED
    + """
import logging, warnings
warnings.simplefilter("ignore")
logging.disable()
import torch
import pytorch_lightning as pl
class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return int(sys.argv[1])
    def __getitems__(self, places):
        return torch.zeros(len(places), 2)
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def predict_step(self, batch, number):
        self.layer(batch)
loader = torch.utils.data.DataLoader(Rows(), batch_size=int(sys.argv[2]), collate_fn=lambda batch: batch)
trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
                     enable_model_summary=False)
trainer.predict(Net(), loader, return_predictions=False)
running = False
print(json.dumps({"peak": peak, "cpu": time.process_time()}))
"""
)


def predict() -> None:
    """Tell the private peak of a process that predicts so many rows, and what a row more adds to it."""
    found: dict[str, list[dict[str, float]]] = {"seawall": []}
    if importlib.util.find_spec("pytorch_lightning") is None:
        print("pytorch_lightning is not installed here: left out")
    else:
        found["Lightning, return_predictions=False"] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x = np.random.default_rng(0).standard_normal((2_000, 2, 2)).astype(np.float32)
        fitted = sw.fit(MODEL, (x, x[:, -1, 0]), settings=SETTINGS, output=folder / "model")
        for num_rows in ROWS:
            panel = synthetic_panel(
                folder / "x.panel",
                num_entities=NUM_ENTITIES,
                num_rows=num_rows // NUM_ENTITIES,
                num_features=2,
                num_targets=1,
            )
            _write_fold(panel, folder / "folds.json")
            config = fitted.config.model_copy(update={"target": "y0", "features": ("f0", "f1")})
            _name_as(folder / "model", config.features or (), "y0")
            found["seawall"].append(_child(OURS, str(panel.path), str(folder / "model"), config.model_dump_json()))
            if len(found) > 1:
                found["Lightning, return_predictions=False"].append(_child(LIGHTNING, str(num_rows), str(BATCH)))
            shutil.rmtree(folder / "x.panel")
            shutil.rmtree(folder / "out")
    print(f"\npredict: private peak of the process (anonymous and shared), batches of {BATCH:,}")
    for who, (few, many) in found.items():
        more = (many["peak"] - few["peak"]) / (ROWS[1] - ROWS[0])
        peaks = ", ".join(f"{n:,} rows {one['peak'] / MIB:.1f} MiB" for n, one in zip(ROWS, (few, many), strict=True))
        print(f"  {who:36} {peaks}: {more:+.2f} B a row, {many['cpu']:.1f} s CPU")


def _write_fold(panel: Panel, path: Path) -> None:
    whole = Fold(0, (0, 0), (0, 0), (0, panel.shape.num_dates))
    write_folds(path, [fold_layout(panel, whole)], panel.shape.num_dates)


def _name_as(model: Path, features: tuple[str, ...], target: str) -> None:
    """Give a model of arrays the names of the panel's columns."""
    scaler = json.loads((model / "scaler.json").read_text())
    for one, name in zip(scaler["features"], features, strict=True):
        one["name"] = name
    scaler["target"]["name"] = target
    (model / "scaler.json").write_text(json.dumps(scaler))
    record = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(record | {"features": list(features), "target": target}))


def _child(script: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told

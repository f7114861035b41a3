"""A panel store in thirty lines of NumPy and JSON, without seawall; of one segment, as seawall compact makes it."""

import json
import sys
from pathlib import Path

import numpy as np


def read_panel(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Map every array of a store, and give the column names of each group."""
    manifest = json.loads((Path(path) / "panel.json").read_text(encoding="utf-8"))
    if manifest["format"] != "seawall-panel/1" or len(manifest["segments"]) != 1:
        raise SystemExit("not a store of one segment: run seawall compact")
    folder = Path(path) / manifest["segments"][0]["name"]
    arrays = {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))}
    columns = {
        group: [c["name"] for c in manifest["columns"] if c["group"] == group] for group in ("features", "prices")
    }
    return arrays, columns


def lookback(arrays: dict[str, np.ndarray], row: int, periods: int) -> np.ndarray:
    """Give the float32 [periods, F] window that ends at a row: one slice, for rows of an entity lie together."""
    entity = np.searchsorted(arrays["offsets"], row, side="right") - 1
    if row - periods + 1 < arrays["offsets"][entity]:
        raise ValueError("the entity has fewer rows")
    return arrays["features"][row - periods + 1 : row + 1]


if __name__ == "__main__":
    arrays, columns = read_panel(sys.argv[1])
    first = arrays["by_time"][: arrays["time_offsets"][1]]  # all entities of the first date
    print(columns, arrays["features"].shape, arrays["features"][first])

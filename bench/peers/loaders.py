"""Feed windows with another library, each the way its documents say is best; run by the python of the peers.

``python bench/peers/loaders.py FEATURES.npy NUM_ENTITIES PEER`` says ``{}`` when it is ready, then, for each line it
reads, windows a second by wall and by CPU as JSON. The array is [entities x rows, features], every entity with equally
many rows. Lookback 60, batch 512, shuffled.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

LOOKBACK, BATCH, SECONDS, MATERIALISED = 60, 512, 3.0, 40_000


def starts_of(source: np.ndarray, num_entities: int) -> np.ndarray:
    """List the first row of each legal window."""
    rows = len(source) // num_entities
    return (np.arange(num_entities)[:, None] * rows + np.arange(rows - LOOKBACK + 1)).reshape(-1)


def qlib(source: np.ndarray, num_entities: int, folder: str) -> Iterator[int]:
    """TSDataSampler with a list of indices a batch: faster than one index a sample through a DataLoader."""
    import pandas as pd
    from qlib.data.dataset import TSDataSampler

    del folder
    rows = len(source) // num_entities
    days = pd.date_range("2015-01-01", periods=rows)
    index = pd.MultiIndex.from_product(
        [days, [f"E{e:04d}" for e in range(num_entities)]], names=["datetime", "instrument"]
    )
    by_date = np.ascontiguousarray(source.reshape(num_entities, rows, -1).transpose(1, 0, 2)).reshape(len(source), -1)
    sampler = TSDataSampler(pd.DataFrame(by_date, index=index), days[0], days[-1], step_len=LOOKBACK)
    order = np.random.default_rng(0).permutation(len(sampler))
    for start in range(0, len(order), BATCH):
        yield len(sampler[order[start : start + BATCH].tolist()])


def datasets(source: np.ndarray, num_entities: int, folder: str) -> Iterator[int]:
    """Hugging Face: rows in Arrow files, a window is a slice of the map-style dataset in Arrow format."""
    import pyarrow as pa
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    flat = pa.FixedSizeListArray.from_arrays(pa.array(source.reshape(-1)), source.shape[1])
    Dataset(pa.table({"x": flat})).save_to_disk(folder)
    stored = Dataset.load_from_disk(folder).with_format("arrow")
    order = np.random.default_rng(0).permutation(starts_of(source, num_entities))
    out = np.empty((BATCH, LOOKBACK, source.shape[1]), np.float32)
    for start in range(0, len(order), BATCH):
        for place, row in enumerate(order[start : start + BATCH].tolist()):
            column = stored[row : row + LOOKBACK]["x"].combine_chunks()
            out[place] = column.flatten().to_numpy().reshape(LOOKBACK, -1)
        yield BATCH


def litdata(source: np.ndarray, num_entities: int, folder: str) -> Iterator[int]:
    """LitData: windows materialised (60 times the disk), streamed in chunks, shuffled, no workers."""
    import torch
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming.writer import BinaryWriter

    order = starts_of(source, num_entities)[:MATERIALISED]
    writer = BinaryWriter(folder, chunk_bytes="64MB")
    for number, row in enumerate(order.tolist()):
        writer[number] = {"x": torch.from_numpy(np.array(source[row : row + LOOKBACK]))}
    writer.done()
    writer.merge()
    while True:
        stored = StreamingDataset(folder, shuffle=True)
        for batch in StreamingDataLoader(stored, batch_size=BATCH, num_workers=0):
            yield len(batch["x"])


def grain(source: np.ndarray, num_entities: int, folder: str) -> Iterator[int]:
    """Grain: a random-access source of windows over the mapped array, globally shuffled, batched, read by threads."""
    import grain.python as pygrain

    del folder
    starts = starts_of(source, num_entities)

    class Source:
        def __len__(self) -> int:
            return len(starts)

        def __getitem__(self, number: int) -> np.ndarray:
            return source[starts[number] : starts[number] + LOOKBACK]

    windows = pygrain.MapDataset.source(Source()).seed(0).shuffle().batch(BATCH)
    for batch in windows.to_iter_dataset(pygrain.ReadOptions(num_threads=2, prefetch_buffer_size=4)):
        yield len(batch)


def tensorstore(source: np.ndarray, num_entities: int, folder: str) -> Iterator[int]:
    """TensorStore: Zarr v3, a batch is one indexed read, a cache that holds all of it."""
    import tensorstore as ts

    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": folder},
        "metadata": {
            "shape": list(source.shape),
            "data_type": "float32",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2000, source.shape[1]]}},
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        },
        "recheck_cached_data": False,
    }
    context = ts.Context({"cache_pool": {"total_bytes_limit": 2 * source.nbytes}})
    stored = ts.open(spec, create=True, context=context).result()
    stored.write(np.array(source)).result()
    stored.read().result()
    order = np.random.default_rng(0).permutation(starts_of(source, num_entities))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH, None] + np.arange(LOOKBACK)
        yield len(stored[rows].read().result())


def lance(source: np.ndarray, num_entities: int, folder: str) -> Iterator[int]:
    """Lance: a batch is one take of all rows of its windows."""
    import lance as pylance
    import pyarrow as pa

    flat = pa.FixedSizeListArray.from_arrays(pa.array(source.reshape(-1)), source.shape[1])
    stored = pylance.write_dataset(pa.table({"x": flat}), f"{folder}/x.lance")
    order = np.random.default_rng(0).permutation(starts_of(source, num_entities))
    for start in range(0, len(order), BATCH):
        rows = (order[start : start + BATCH, None] + np.arange(LOOKBACK)).reshape(-1)
        column = stored.take(rows.tolist())["x"].combine_chunks()
        column.flatten().to_numpy().reshape(-1, LOOKBACK, source.shape[1])
        yield BATCH


PEERS: dict[str, Callable[[np.ndarray, int, str], Iterator[int]]] = {
    "qlib": qlib,
    "datasets": datasets,
    "litdata": litdata,
    "grain": grain,
    "tensorstore": tensorstore,
    "lance": lance,
}


def main() -> None:
    """Make one batch, then feed for some seconds each time a line comes."""
    path, num_entities, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    source = np.load(path, mmap_mode="r").view(np.ndarray)
    np.add.reduce(source, axis=0)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "store").mkdir()
        batches = PEERS[name](source, num_entities, str(Path(folder) / "store"))
        next(batches)
        print("{}", flush=True)
        for _ in sys.stdin:
            print(json.dumps(timed(batches)), flush=True)
    os._exit(0)  # some leave threads behind that would wait


def timed(batches: Iterator[int]) -> dict[str, float]:
    """Take batches for some seconds."""
    count, started, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < SECONDS:
        count += next(batches)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"windows_per_second": count / wall, "windows_per_cpu_second": count / cpu}


if __name__ == "__main__":
    main()

"""Hand the reports of training to trackers people already look at: TensorBoard, and MLflow by its file store.

Everything stays in the run folder, under ``trackers/``; no server is spoken to. TensorBoard's own writer is imported
where it is asked for. MLflow's library would bring pandas and 125 MiB into training, so the files of its store are
written here, and a test reads them with the library.
"""

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seawall.budget.claims import Claim
from seawall.errors import ConfigError
from seawall.stores.atomic import write_text
from seawall.units import MIB

TRACKER_BYTES = {"tensorboard": 24 * MIB, "mlflow": 0}
"""What a tracker holds beside training (16 MiB measured: protobuf, its message classes, a thread and its queue)."""

STEPS_PER_EPOCH = 1_000_000
"""A report within an epoch stands at epoch x this + its step, so that all are in order, also after a resume."""

EXPERIMENT_ID = "1"

Told = Mapping[str, float | None]


def tracker_claims(names: Sequence[str]) -> tuple[Claim, ...]:
    """Count what the trackers hold in the process that trains."""
    size = sum(TRACKER_BYTES[name] for name in names)
    return (Claim("trackers", size, "the writer of TensorBoard and its libraries"),) if size else ()


@contextmanager
def trackers(names: Sequence[str], run: Path, unit: str) -> Iterator[Callable[[Told], None]]:
    """Open the trackers of one fold; the function given takes each report as it is made.

    Raises
    ------
    ConfigError
        Where a tracker's library is not installed; nothing has been trained then.
    """
    with ExitStack() as stack:
        writers = []
        if "tensorboard" in names:
            writers.append(stack.enter_context(_tensorboard(run / "trackers" / "tensorboard" / unit.replace("/", "_"))))
        if "mlflow" in names:
            writers.append(stack.enter_context(_mlflow(run / "trackers" / "mlflow", run.name, unit)))

        def tell(report: Told) -> None:
            values = {name: value for name, value in report.items() if value is not None and name not in PLACE}
            for write in writers:
                write(values, _place(report))

        yield tell


PLACE = ("epoch", "step")


def _place(report: Told) -> int:
    """Place a report in time: at the end of its epoch, or within it at a step."""
    epoch, step = int(report.get("epoch") or 0), report.get("step")
    return epoch * STEPS_PER_EPOCH + int(step or 0) if step is not None else (epoch + 1) * STEPS_PER_EPOCH


Placed = Callable[[Mapping[str, float], int], None]


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Placed]:
    if find_spec("tensorboard") is None:
        do = "Run: pip install 'seawall[trackers]', or take it out of train.trackers."
        raise ConfigError("train.trackers", "TensorBoard is not installed", do=do)
    summaries: Any = import_module("tensorboard.compat.proto.summary_pb2")
    events: Any = import_module("tensorboard.compat.proto.event_pb2")
    files: Any = import_module("tensorboard.summary.writer.event_file_writer")
    writer = files.EventFileWriter(str(folder))

    def write(values: Mapping[str, float], place: int) -> None:
        shown = [summaries.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        writer.add_event(events.Event(wall_time=time.time(), step=place, summary=summaries.Summary(value=shown)))
        writer.flush()

    try:
        yield write
    finally:
        writer.close()


@contextmanager
def _mlflow(store: Path, experiment: str, unit: str) -> Iterator[Placed]:
    run_id = hashlib.md5(f"{experiment}/{unit}".encode(), usedforsecurity=False).hexdigest()
    folder, started = store / EXPERIMENT_ID / run_id, _now()
    for below in ("metrics", "params", "tags", "artifacts"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    of_store = {"experiment_id": EXPERIMENT_ID, "lifecycle_stage": "active"}
    place = (store / EXPERIMENT_ID).absolute().as_uri()
    _write_meta(store / EXPERIMENT_ID, {**of_store, "artifact_location": place, "name": experiment})
    of_run = {
        **of_store,
        "artifact_uri": f"{place}/{run_id}/artifacts",
        "entry_point_name": "",
        "run_id": run_id,
        "run_name": unit,
        "source_name": "",
        "source_type": 4,
        "source_version": "",
        "start_time": started,
        "tags": [],
        "user_id": "",
    }
    _write_meta(folder, {**of_run, "end_time": None, "status": 1})

    def write(values: Mapping[str, float], place: int) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                with (folder / "metrics" / re.sub(r"[^\w-]", "_", name)).open("a", encoding="utf-8") as file:
                    file.write(f"{_now()} {value!r} {place}\n")

    try:
        yield write
    except BaseException:
        _write_meta(folder, {**of_run, "end_time": _now(), "status": 4})
        raise
    _write_meta(folder, {**of_run, "end_time": _now(), "status": 3})


def _write_meta(folder: Path, values: Mapping[str, Any]) -> None:
    yaml: Any = import_module("yaml")
    write_text(folder / "meta.yaml", yaml.safe_dump(dict(values)))


def _now() -> int:
    return int(time.time() * 1000)

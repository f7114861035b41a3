"""What ``sw.fit`` is given, seen by itself: a panel, tables, arrays, or batches of anybody's loader."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.errors import ConfigError, DataError, nearest
from seawall.pipeline.cache import open_panel
from seawall.pipeline.frames import frame_batches, is_frame

if TYPE_CHECKING:
    import pyarrow as pa

    from seawall.arrays import AnyArray
    from seawall.stores.panel import Panel
    from seawall.train.samples_store import SampleArrays

ALLOWED = "a panel, table files, a frame, (x, y), or batches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of the data is wanted."""

    targets: tuple[str, ...]
    features: tuple[str, ...] | None
    ingest: Mapping[str, Any] | None
    memory: str | int | None


def panel_of(data: object, asked: Asked) -> "Panel | None":
    """Open a panel, or ingest tables of entities and times into the cache; None for samples without either."""
    from seawall.stores.panel import Panel

    is_path = isinstance(data, str | Path) or (
        isinstance(data, Sequence) and bool(data) and all(isinstance(part, str | Path) for part in data)
    )
    if isinstance(data, Panel) or is_path or asked.ingest is not None:
        return open_panel(data, asked.ingest, memory=asked.memory)
    return None


def samples_of(data: object, y: object, asked: Asked, scratch: Path) -> "tuple[SampleArrays, list[str], list[str]]":
    """Give samples as arrays that can be cut, with names of features and targets; what is not arrays goes to disk.

    Memory is one batch of the source, or 65,536 rows of a frame, beside what the caller holds.

    Raises
    ------
    ConfigError
        For anything else, or a frame without its target.
    DataError
        Where shapes do not go together.
    """
    from seawall.train.samples_store import SampleArrays

    if y is None and isinstance(data, tuple) and len(data) == 2 and all(_is_array(part) for part in data):
        data, y = data
    if y is not None:
        arrays = SampleArrays(*_shaped(data, y))
        features, targets = None, asked.targets
    elif is_frame(data):
        batches = frame_batches(data)
        first = next(batches)
        features, targets = _columns(first.schema, asked), asked.targets
        arrays = _spooled(_of_frame(chain([first], batches), features, targets), scratch)
    elif isinstance(data, Iterable):
        arrays = _spooled(_of_batches(data), scratch)
        features, targets = None, asked.targets
    else:
        raise ConfigError("data", "not something to learn from", found=type(data).__name__, allowed=ALLOWED)
    width, num_targets = arrays.x.shape[2], arrays.y.shape[1]
    names = list(asked.features or features or (f"x{number}" for number in range(width)))
    named = list(targets or (["y"] if num_targets == 1 else [f"y{number}" for number in range(num_targets)]))
    for what, given, number in (("features", names, width), ("target", named, num_targets)):
        if len(given) != number:
            raise ConfigError(what, "as many names as columns are needed", found=str(len(given)), allowed=str(number))
    return arrays, names, named


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "__array__")


def array_of(value: Any) -> "AnyArray":  # noqa: ANN401 - an array of any library
    """Take an array or a tensor as it lies, without a copy where that is possible."""
    import numpy as np

    if not _is_array(value):
        return np.asarray(value, np.float32)
    detached = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(detached)


def _shaped(x: object, y: object) -> "tuple[AnyArray, AnyArray]":
    """Give x as [N, L, F] and y as [N, K]."""
    x_NLF, y_NK = array_of(x), array_of(y)
    if x_NLF.ndim == 2:
        x_NLF = x_NLF[:, None, :]
    if y_NK.ndim == 1:
        y_NK = y_NK[:, None]
    if x_NLF.ndim != 3 or y_NK.ndim != 2 or len(x_NLF) != len(y_NK):
        found = f"x {list(x_NLF.shape)}, y {list(y_NK.shape)}"
        do = "Targets of every step need a panel: sw.ingest." if y_NK.ndim == 3 else ""
        allowed = "x [N, L, F] or [N, F], y [N] or [N, targets]"
        raise DataError("data", "shapes that do not go together", found=found, allowed=allowed, do=do)
    return x_NLF, y_NK


def _of_batches(batches: Iterable[Any]) -> "Iterator[tuple[AnyArray, AnyArray]]":
    """Take batches as (x, y), as mappings of them, or as objects with both."""
    for batch in batches:
        if isinstance(batch, Mapping) and {"x", "y"} <= set(batch):
            yield _shaped(batch["x"], batch["y"])
        elif isinstance(batch, Sequence) and len(batch) == 2:
            yield _shaped(*batch)
        elif hasattr(batch, "x") and hasattr(batch, "y"):
            yield _shaped(batch.x, batch.y)
        else:
            allowed = "(x, y), or a mapping with x and y"
            raise ConfigError("data", "a batch that has no x and y", found=type(batch).__name__, allowed=allowed)


def _columns(schema: "pa.Schema", asked: Asked) -> list[str]:
    """Name the features of a frame: those asked for, else every number column that is no target."""
    import pyarrow as pa

    numbers = [field.name for field in schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
    if not asked.targets:
        raise ConfigError("target", "of a frame the target must be named", do=f"Columns: {', '.join(schema.names)}.")
    for name in (*asked.targets, *(asked.features or ())):
        if name not in numbers:
            raise ConfigError("data", "no such number column", found=repr(name), do=nearest(name, numbers))
    return list(asked.features or (name for name in numbers if name not in asked.targets))


def _of_frame(
    batches: "Iterable[pa.RecordBatch]", features: Sequence[str], targets: Sequence[str]
) -> "Iterator[tuple[AnyArray, AnyArray]]":
    import numpy as np

    for batch in batches:
        x, y = (
            np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in names]).astype(np.float32)
            for names in (features, targets)
        )
        yield x[:, None, :], y


def _spooled(pieces: "Iterator[tuple[AnyArray, AnyArray]]", scratch: Path) -> "SampleArrays":
    """Write pieces one after the other and map them: an iterator can be read once, training reads many times."""
    import numpy as np

    from seawall.train.samples_store import SampleArrays

    paths, shapes, num_samples = (scratch / "x.f4", scratch / "y.f4"), None, 0
    scratch.mkdir(parents=True, exist_ok=True)
    with paths[0].open("wb") as x_file, paths[1].open("wb") as y_file:
        for x, y in pieces:
            if shapes not in (None, (x.shape[1:], y.shape[1:])):
                found, allowed = f"x {list(x.shape)}, y {list(y.shape)}", f"x [B, {shapes}]"
                raise DataError("data", "a batch of another shape than those before", found=found, allowed=allowed)
            shapes = (x.shape[1:], y.shape[1:])
            x_file.write(np.ascontiguousarray(x, np.float32).data)
            y_file.write(np.ascontiguousarray(y, np.float32).data)
            num_samples += len(x)
    if shapes is None or not num_samples:
        raise DataError("data", "there is no sample", do="Check what the iterator gives; it is read once.")
    mapped = (
        np.memmap(path, np.float32, "r", shape=(num_samples, *shape)) for path, shape in zip(paths, shapes, strict=True)
    )
    return SampleArrays(*mapped)

"""A finished (or half-finished) run seen from Python: everything stays on disk until it is asked for."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.errors import FormatError
from seawall.pipeline.manifest import read_run_record

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Predictions:
    """The prediction files of a run, read only when asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def paths(self) -> list[Path]:
        """Parquet files in order of time; any Parquet reader takes them."""
        return sorted(self.folder.glob("fold_*.parquet"), key=lambda path: (len(path.name), path.name))

    def scan(self, columns: Sequence[str] | None = None, *, batch_rows: int = 65_536) -> "Iterator[pa.RecordBatch]":
        """Read predictions in batches, in order of time within each file; memory is one batch, whatever their number.

        Parameters
        ----------
        columns
            Columns to read; all when missing.
        batch_rows
            Rows at most in a batch.

        Raises
        ------
        FormatError
            Where there are no predictions.
        """
        import pyarrow.parquet as pq

        for path in self._found():
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=65_536) as file:
                named = None if columns is None else list(columns)
                yield from file.iter_batches(batch_rows, columns=named, use_threads=False)

    def _found(self) -> list[Path]:
        if not self.paths:
            raise FormatError(str(self.folder), "no predictions", do="Run the predict stage first.")
        return self.paths

    def to_arrow(self) -> "pa.Table":
        """Load all predictions; memory grows with their number (about 32 bytes a row)."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.read_table(path) for path in self._found()])

    def to_pandas(self) -> "pd.DataFrame":
        """Load all predictions as a pandas frame; memory grows with their number."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame


class Run:
    """A run folder.

    Parameters
    ----------
    folder
        The run's output folder.

    Raises
    ------
    FormatError
        Where it holds no run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record = read_run_record(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, units={len(self.record['units'])})"

    @property
    def predictions(self) -> Predictions:
        """Predictions of all folds, lazily."""
        return Predictions(self.folder / "predictions")

    def metrics(self) -> dict[str, Any]:
        """Read metrics.json: pooled errors, IC and Rank IC, overall and per fold."""
        return self._json("metrics/metrics.json", "evaluate")

    def statistics(self, strategy: str) -> dict[str, Any]:
        """Read the backtest statistics of one strategy."""
        return self._json(f"backtest/{strategy}/statistics.json", "backtest")

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    def memory(self) -> dict[str, dict[str, int]]:
        """Compare projected with measured private bytes of each unit."""
        names = ("projected_private_bytes", "measured_private_bytes", "declared_bytes")
        return {unit: {name: record[name] for name in names} for unit, record in self.record["units"].items()}

    def _json(self, name: str, stage: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FormatError(str(path), "cannot be read", found=str(error), do=f"Run the stage {stage}.") from error
        return loaded

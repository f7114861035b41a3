"""Neighbouring rows of a panel, looked at without being read."""

from typing import Protocol

import numpy as np

from seawall.arrays import AnyArray, Bool, Float32, Float64, Int32, Int64
from seawall.errors import ConfigError, nearest
from seawall.stores.segments import GROUPS


class _Rows(Protocol):
    """What a view needs of a panel."""

    @property
    def path(self) -> object: ...

    def names(self, group: str) -> list[str]: ...

    def read(self, array: str, start: int, stop: int) -> AnyArray: ...

    def times_as_datetime(self) -> AnyArray: ...


class RowView:
    """Rows ``start`` .. ``stop`` - 1 of a panel. Making one costs nothing, whatever its length.

    Its arrays are mapped: views where one segment holds all rows, else copies of these rows. ``view["close"]`` is the
    column of that name, from whichever group has it. To index arrays yourself, take :attr:`slice`.
    """

    __slots__ = ("_panel", "start", "stop")

    def __init__(self, panel: _Rows, start: int, stop: int) -> None:
        self._panel, self.start, self.stop = panel, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __repr__(self) -> str:
        return f"RowView({str(self._panel.path)!r}, rows {self.start:,} .. {self.stop - 1:,})"

    def __getitem__(self, name: str) -> AnyArray:
        """Give a column by name.

        Raises
        ------
        ConfigError
            For an unknown name, naming the nearest known ones.
        """
        known: list[str] = []
        for group in GROUPS:
            names = self._panel.names(group)
            if name in names:
                found = self.read(group)
                return found if found.ndim == 1 else found[:, names.index(name)]
            known += names
        raise ConfigError(str(self._panel.path), "unknown column", found=repr(name), do=nearest(name, known))

    def read(self, array: str) -> AnyArray:
        """Give these rows of a row array of the store."""
        return self._panel.read(array, self.start, self.stop)

    @property
    def slice(self) -> slice:
        """The rows as a slice of any row array of the panel."""
        return slice(self.start, self.stop)

    @property
    def features(self) -> Float32:
        """float32 [n, F], NaN where missing."""
        return self.read("features")

    @property
    def targets(self) -> Float32:
        """float32 [n, K], NaN where undefined. They look ahead: known only at ``target_end``."""
        return self.read("targets")

    @property
    def target_end(self) -> Int32:
        """int32 [n, K], calendar index at which each target is known, -1 where it never is."""
        return self.read("target_end")

    @property
    def prices(self) -> Float64:
        """float64 [n, P], unadjusted."""
        return self.read("prices")

    @property
    def adjustment(self) -> Float64:
        """float64 [n]; adjusted price = price / adjustment."""
        return self.read("adjustment")

    @property
    def universe(self) -> Bool:
        """Bool [n], True where the row may be trained on, predicted and traded."""
        return self.read("universe")

    @property
    def time_index(self) -> Int32:
        """int32 [n], index into the calendar."""
        return self.read("time_index")

    @property
    def times(self) -> AnyArray:
        """``datetime64[ns]`` [n], or integers where the calendar is steps."""
        index: Int64 = np.asarray(self.time_index, np.int64)
        return self._panel.times_as_datetime()[index]

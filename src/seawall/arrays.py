"""Array aliases by element kind, and the legend of axis suffixes.

Where several arrays meet, a name carries its axes as capitals: N rows of the panel, B batch, E entity, T time,
L lookback, H horizon, F feature, K target.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
Int32: TypeAlias = npt.NDArray[np.int32]
Bool: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]

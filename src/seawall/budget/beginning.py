"""What a process of a run does first: tie its life to the process that started it, and keep out what no claim names."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PR_SET_PDEATHSIG = 1


class _WithoutPandas(MetaPathFinder, Loader):
    """Keep pandas out of the process: pyarrow would import it, 30 MiB that no claim names.

    It is found, for torch's compiler asks where it lies; only its import fails.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == "pandas" else None

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError("pandas is not used in stages", name=module.__name__)


def leave_out_pandas() -> None:
    """Make every later import of pandas in this process fail."""
    sys.meta_path.insert(0, _WithoutPandas())


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process if its parent is lost; Linux only, elsewhere it runs to its end.

    Raises
    ------
    SystemExit
        Where the process ``parent`` is lost already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was lost before the kernel was asked; whoever adopts this process need not be 1
        raise SystemExit(1)

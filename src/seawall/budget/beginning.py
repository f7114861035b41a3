"""What a process of a run does first: tie its life to the process that started it, and keep out what no claim names."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

PR_SET_PDEATHSIG = 1
PR_SET_THP_DISABLE = 41
PR_THP_DISABLE_EXCEPT_ADVISED = 2
"""Linux 6.18 and later: who asks for huge pages, as NumPy does for arrays of 4 MiB and more, still gets them."""


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


def use_ordinary_pages(root: Path = Path("/")) -> None:
    """Ask the kernel for ordinary pages where it gives everybody huge ones (transparent huge pages, ``always``).

    A huge page is charged whole, 2 MiB, for the first byte of it that is touched: under that setting a stage held
    49.5 MiB that had planned 43.2 and holds 39 with ordinary pages.
    """
    try:
        setting = (root / "sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return
    if "[always]" in setting:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        if prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0):
            prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)


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

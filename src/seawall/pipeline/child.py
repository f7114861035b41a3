"""The child: one unit of work in a fresh process, behind the fence. Its end is the only full release of memory."""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType

from seawall.budget.fence import enter
from seawall.budget.heartbeat import Heartbeat
from seawall.errors import ConfigError, Interrupted, SeawallError, StageError
from seawall.stores.atomic import write_json

PR_SET_PDEATHSIG = 1

EXTRAS = {"torch": "train", "safetensors": "train", "plotly": "report"}
"""Which extra of the package brings a library."""


class _WithoutPandas(MetaPathFinder):
    """Keep pandas out of the child: pyarrow would import it, 30 MiB that no claim names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used in stages", name=name)
        return None


def main() -> int:
    """Run the unit described in the request file named on the command line; write the result file."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    _die_with_parent(request["parent"])
    enter(request["fence"])
    sys.meta_path.insert(0, _WithoutPandas())
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    result_path = Path(request["result"])
    started = time.process_time()
    try:
        from seawall.pipeline.work import do_unit

        result = do_unit(request, Heartbeat(Path(request["heartbeat"])))
    except SeawallError as error:
        return _fail(result_path, error)
    except ModuleNotFoundError as error:
        return _fail(result_path, _missing(error, request["unit"]))
    except OSError as error:
        return _fail(result_path, _unreadable(error, request["unit"]))
    except MemoryError as error:
        what = "an allocation was refused by the memory fence"
        return _fail(result_path, StageError(request["unit"], what, found=str(error) or "no size"), memory=True)
    write_json(result_path, {"ok": True, **result, "cpu_seconds": time.process_time() - started})
    return 0


def _fail(result_path: Path, error: SeawallError, *, memory: bool = False) -> int:
    write_json(result_path, {"ok": False, "error": error.record(), "memory": memory})
    return error.exit_code


def _unreadable(error: OSError, unit: str) -> StageError:
    """Name the file and the reason: a full disk, a permission."""
    found = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    do = "What was finished is kept. Mend that and run the same command again."
    return StageError(unit, "a file cannot be read or written", found=found, do=do)


def _missing(error: ModuleNotFoundError, unit: str) -> SeawallError:
    """Name the extra that brings a missing library."""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    install = f"Install it: pip install 'seawall[{extra}]'." if extra else "Install seawall again: pip install seawall."
    return ConfigError(unit, "a library this stage needs is not installed", found=f"no {error.name}", do=install)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted("stage", "stopped on request")


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process if the parent is lost; Linux only, elsewhere the stage runs to its end."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was lost before the kernel was asked; whoever adopts this process need not be 1
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main())

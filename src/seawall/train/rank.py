"""One rank: a process that the leader of a gang has started, and that ends with it."""

import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.budget.beginning import die_with_parent, leave_out_pandas
from seawall.budget.causes import cause_of_exception
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError, SeawallError
from seawall.train.config import TrainConfig
from seawall.train.micro import MicroBatches

if TYPE_CHECKING:
    from seawall.train.calls import Tell
    from seawall.train.ranks import Ranks

BEAT_SECONDS = 0.2


class Words:
    """What this rank says to the leader, a line of JSON each."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._last_substep, self._last_seconds = "", 0.0

    def say(self, kind: str, value: object) -> None:
        """Say one thing."""
        line, start = json.dumps({kind: value}).encode() + b"\n", 0
        with suppress(OSError):  # the leader is gone, and the kernel is about to end this process too
            while start < len(line):
                start += os.write(self._descriptor, line[start:])

    def beat(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        """Report progress, as often as a heartbeat does."""
        now = time.monotonic()
        if substep != self._last_substep or now - self._last_seconds >= BEAT_SECONDS or done == total:
            self._last_substep, self._last_seconds = substep, now
            self.say("beat", [substep, done, total, numbers])

    def tell(self, report: Mapping[str, float | None]) -> None:
        """Hand on a report on valid."""
        self.say("told", dict(report))


def main() -> int:
    """Do this rank's part of the request named on the command line."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    die_with_parent(request["parent"])
    leave_out_pandas()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader decides what Ctrl-C means
    words = Words(request["report"])
    try:
        result = _act(request, words)
    except SeawallError as error:
        words.say("error", error.record())
        return error.exit_code
    except BaseException as error:
        text = (str(error).strip().splitlines() or ["no text"])[0][:300]
        words.say("failure", {"cause": cause_of_exception(error), "text": f"{type(error).__name__}: {text}"})
        raise
    if request["rank"] == 0:
        words.say("result", result)
    return 0


def _act(request: dict[str, Any], words: Words) -> dict[str, Any]:
    # Here and not on top: what fails to import is told to the leader.
    import torch

    from seawall.train.determinism import resolve_device
    from seawall.train.ranks import file_store, joined

    settings, rank, num_ranks = request["settings"], request["rank"], request["num_ranks"]
    config = TrainConfig.model_validate(settings["config"])
    device = resolve_device(config.device)
    if device.type == "cuda" and torch.cuda.device_count() < num_ranks:
        found = f"{torch.cuda.device_count()} GPUs"
        raise ConfigError("train.ranks", f"{num_ranks} ranks need a GPU each", found=found, do="Use device: cpu.")
    tells: tuple[Beat, Tell | None] = (words.beat, words.tell) if rank == 0 else (silent, None)
    with joined(rank, num_ranks, file_store(Path(request["store"]), num_ranks), device=device.type) as ranks:
        return do_part(request["act"], settings, config, ranks, tells)


def do_part(
    act: str, settings: dict[str, Any], config: TrainConfig, ranks: "Ranks", tells: "tuple[Beat, Tell | None]"
) -> dict[str, Any]:
    """Do one rank's part of training or predicting a fold, together with the others."""
    beat, tell = tells
    panel, folds, model = (Path(settings[name]) for name in ("panel", "folds", "model"))
    split = MicroBatches(settings["parts"], settings["gpu_budget_bytes"])
    if act == "train":
        from seawall.stores.panel import Panel
        from seawall.train.fit import fit
        from seawall.train.folds_file import read_fold

        fold, means = read_fold(folds, settings["fold"]), (settings["random_access"], split)
        return fit(Panel(panel), fold, config, model, means=means, beat=beat, tell=tell, ranks=ranks)
    from seawall.train.predict import predict_fold

    output, random_access = Path(settings["output"]), settings["random_access"]
    choices: dict[str, Any] = {"random_access": random_access, "split": split, "beat": beat, "ranks": ranks}
    return predict_fold(panel, folds, settings["fold"], config, model, output, **choices)


if __name__ == "__main__":
    raise SystemExit(main())

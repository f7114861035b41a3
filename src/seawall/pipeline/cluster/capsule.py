"""The folder in which one unit is done on a node: who works there, and how its files are published.

A unit writes nothing into the run folder itself. Each start of it takes the folder of the one before over by giving it
the next number: a start that was only thought lost finds its folder gone, and can neither finish nor disturb. What a
finished unit has made is moved to its place by the run's parent alone, once, and only after its word that it is done.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.errors import StageError
from seawall.pipeline.cluster.config import CAPSULES
from seawall.pipeline.outputs import output_files
from seawall.pipeline.stages import FOLD_STAGES, Unit
from seawall.stores.atomic import file_checksum, flush, write_json
from seawall.train.meeting import MEETING
from seawall.train.members import member_folder

MARK = "done.json"
"""What a finished unit writes last: its record. Files are published only where it is there."""

NODE = ".node.json"
"""Which node a start works on."""

MOST_STARTS = 10_000


def capsules(run: Path) -> Path:
    """Give the folder of all capsules of a run."""
    return run / CAPSULES


@dataclass(frozen=True, slots=True)
class Capsule:
    """The places of one unit: ``.cluster/train.fold_03.N`` for its start N."""

    run: Path
    unit: Unit

    @property
    def _stem(self) -> str:
        return self.unit.name.replace("/", ".")

    def _starts(self) -> list[tuple[int, Path]]:
        found = capsules(self.run).glob(f"{self._stem}.*")
        numbered = [(path.name.removeprefix(f"{self._stem}."), path) for path in found]
        return sorted((int(number), path) for number, path in numbered if number.isdigit())

    @property
    def newest(self) -> Path | None:
        """The folder of the latest start."""
        starts = self._starts()
        return starts[-1][1] if starts else None

    def prepare(self) -> Path:
        """Make the folder before any start, with what an unfinished unit left in the run folder moved into it.

        A checkpoint of the same unit, made on whatever machine, is so continued.
        """
        newest = self.newest
        if newest is None:
            newest = capsules(self.run) / f"{self._stem}.0"
            newest.mkdir(parents=True)
        for source in _begun(self.unit, self.run):
            target = newest / source.relative_to(self.run)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
        if self.unit.stage in FOLD_STAGES:
            shutil.copyfile(self.run / "folds.json", newest / "folds.json")
        return newest

    def take_over(self, node: dict[str, Any]) -> Path:
        """Begin a start: give the folder the next number, which shuts out every earlier start, and sign it.

        Raises
        ------
        StageError
            Where the run has been cleaned away meanwhile.
        """
        for _ in range(MOST_STARTS):
            starts = self._starts()
            if not starts:
                break
            number, newest = starts[-1]
            own = newest.with_name(f"{self._stem}.{number + 1}")
            with suppress(OSError):  # another start has been faster: it is the one to shut out
                newest.rename(own)
                for name in (NODE, MARK, MEETING):
                    (own / name).unlink(missing_ok=True)
                write_json(own / NODE, node | {"start": number + 1})
                return own
        what = "its folder is gone: the run was ended or cleaned meanwhile"
        raise StageError(self.unit.name, what, do="Run the same command again.")

    def node(self) -> dict[str, Any]:
        """Say which node works on the unit, and since which start; empty before it began."""
        newest = self.newest
        return _read(newest / NODE) if newest is not None else {}

    def finished(self, key: str) -> dict[str, Any] | None:
        """Give the record of the finished unit, or None where it is not finished with this key."""
        newest = self.newest
        mark = _read(newest / MARK) if newest is not None else {}
        return mark["record"] if mark.get("key") == key and isinstance(mark.get("record"), dict) else None

    def publish(self, record: dict[str, Any], panel: Path) -> None:
        """Move the files of a finished unit to their places in the run folder; again after a kill in it, to the same.

        Raises
        ------
        StageError
            Where a file is neither in the capsule nor in its place with the recorded content.
        """
        newest = self.newest
        kept = {self.run / output["path"] for output in record["outputs"]}
        for stale in output_files(self.unit, self.run, panel):
            if stale not in kept:
                stale.unlink(missing_ok=True)
        for output in record["outputs"]:
            target = self.run / output["path"]
            made = newest / output["path"] if newest is not None else target
            target.parent.mkdir(parents=True, exist_ok=True)
            if made.is_file():
                made.replace(target)
            elif not (target.is_file() and file_checksum(target) == output["xxh3_64"]):
                what = "a file of the finished unit is gone"
                raise StageError(self.unit.name, what, found=str(made), do="Run the same command again.")
        for folder in {path.parent for path in kept}:
            flush(folder)
        if newest is not None:
            _move_trackers(newest, self.run)

    def remove(self) -> None:
        """Forget the capsule."""
        for _, path in self._starts():
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            capsules(self.run).rmdir()


def mark_done(capsule: Path, key: str, record: dict[str, Any]) -> None:
    """Give the word that a unit is done: the last thing a start writes."""
    write_json(capsule / MARK, {"key": key, "record": record})


def give_back(run: Path, units: Sequence[Unit]) -> None:
    """Move what unfinished units have begun in capsules to where this machine's own processes look for it."""
    for unit in units:
        capsule = Capsule(run, unit)
        newest = capsule.newest
        if newest is None:
            continue
        for source in _begun(unit, newest):
            target = run / source.relative_to(newest)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                source.replace(target)
        capsule.remove()


def _begun(unit: Unit, folder: Path) -> Iterator[Path]:
    """List what an unfinished unit may have written: the files of a model, or the slots of predictions."""
    if unit.stage == "train":
        model = member_folder(folder / "models", unit.fold or 0, unit.member)
        yield from sorted(path for path in model.glob("*") if path.is_file())
    elif unit.stage == "predict":
        yield from sorted((folder / "predictions").glob(f"fold_{unit.fold:02d}.*slots"))


def _move_trackers(capsule: Path, run: Path) -> None:
    """Move the files of experiment trackers, which are no outputs but are kept."""
    for source in sorted((capsule / "trackers").rglob("*")):
        if source.is_file():
            target = run / source.relative_to(capsule)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}

"""The files a finished unit has written, with their checksums; and files of folds that are no more."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seawall.pipeline.manifest import shown_path
from seawall.pipeline.stages import Unit
from seawall.search.sharding import shard_folder
from seawall.stores.atomic import file_checksum
from seawall.stores.shape import read_manifest
from seawall.train.config import TrainConfig
from seawall.train.members import MEMBERS, member_folder, trained_members


def output_files(unit: Unit, folder: Path, panel: Path) -> list[Path]:
    """List the files a finished unit has written."""
    if unit.stage == "ingest":
        return _files(panel.rglob("*"))
    if unit.stage == "folds":
        return [folder / "folds.json"]
    if unit.stage == "train":
        return _files(member_folder(folder / "models", unit.fold or 0, unit.member).glob("*"))
    if unit.stage == "predict":
        places = [folder / "predictions" / f"fold_{unit.fold:02d}{ending}" for ending in (".json", ".parquet")]
        return places + _files((folder / "predictions" / "in_sample").glob(f"fold_{unit.fold:02d}.parquet"))
    if unit.stage == "evaluate":
        return _files((folder / "metrics").glob("*"))
    if unit.stage == "join":
        return [folder / "backtest" / "coverage.json", *_files((folder / "backtest").glob("table_*.parquet"))]
    if unit.stage == "backtest":
        return _files((folder / "backtest").glob("*/*"))
    if unit.stage == "search":
        return _files((folder / "search").glob("*")) + _files((folder / "search").glob("*/*"))
    if unit.stage == "sweep":
        return _files(shard_folder(folder / "search", unit.fold or 0).glob("*"))
    return [folder / "report.html"]


def _files(paths: Iterable[Path]) -> list[Path]:
    """Leave out hidden names: what a kill left of a file being written is nobody's output."""
    return sorted(path for path in paths if path.is_file() and not path.name.startswith("."))


def remove_other_folds(stage: str, num_folds: int, folder: Path) -> None:
    """Remove files of folds that no longer exist, recorded or not: later stages read every fold they find."""
    parent = {"train": "models", "predict": "predictions"}.get(stage)
    if parent is None:
        return
    for path in (folder / parent).glob("fold_*"):
        number = path.name.removeprefix("fold_").partition(".")[0]
        if not number.isdigit() or int(number) < num_folds:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_other_members(train: TrainConfig, folder: Path) -> None:
    """Remove files of models a fold no longer has: predictions are made with every model that is found."""
    wanted = trained_members(train)
    for fold in (folder / "models").glob("fold_*"):
        for path in fold.iterdir() if fold.is_dir() else ():
            if path.is_dir() and path.name.startswith(MEMBERS) and path.name not in wanted:
                shutil.rmtree(path)
            elif path.is_file() and "" not in wanted:
                path.unlink()


def output_records(unit: Unit, folder: Path, panel: Path) -> list[dict[str, Any]]:
    """List the files of a finished unit with size and checksum, by path from the run folder where they lie in it."""
    records = []
    files = read_manifest(panel)["files"] if unit.stage == "ingest" else {}
    known = {panel / name: str(record["xxh3_64"]) for name, record in files.items()}  # summed a moment ago
    for path in output_files(unit, folder, panel):
        size_bytes, checksum = path.stat().st_size, known.get(path) or file_checksum(path)
        records.append({"path": shown_path(path, folder), "bytes": size_bytes, "xxh3_64": checksum})
    return records

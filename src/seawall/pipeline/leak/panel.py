"""Every check that reads a panel store and what a run says of its folds, and needs no model."""

from pathlib import Path

from seawall.budget.heartbeat import Beat, silent
from seawall.pipeline.leak.borders import check_borders, check_target_ends, read_folds, walks_forward
from seawall.pipeline.leak.duplicates import check_duplicates
from seawall.pipeline.leak.preparation import check_preparation
from seawall.pipeline.leak.suspects import check_suspects
from seawall.pipeline.leak.targets import check_targets
from seawall.pipeline.leak.verdict import Check
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig


def check_panel(path: Path, folder: Path, config: TrainConfig, *, max_hashes: int, beat: Beat = silent) -> list[Check]:
    """Check targets, borders, features and windows of a panel; ``folder`` is the run's, with or without folds."""
    panel, folds_path = Panel(path), folder / "folds.json"
    is_cut = folds_path.is_file() and walks_forward(folds_path)
    folds = [fold for _, fold in read_folds(folds_path)] if is_cut else []
    beat("targets")
    targets = [check_target_ends(panel), check_targets(panel), check_borders(panel, folder, config)]
    features = [check_preparation(panel, config, beat), check_suspects(panel, config, beat)]
    beat("windows")
    return [*targets, *features, check_duplicates(panel, folds, config, max_hashes=max_hashes)]

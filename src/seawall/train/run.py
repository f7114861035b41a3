"""The folds and fit stages: cut the calendar once, then train one model per fold, each in files of its own."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.train.config import FoldsConfig, TrainConfig
from seawall.train.folds_file import fold_layout, fold_record, read_fold, write_folds
from seawall.train.gang import GangWork, lead
from seawall.train.meeting import Meeting, train_together
from seawall.train.micro import MicroBatches
from seawall.train.saved_folds import saved_folds
from seawall.train.segments import predicted_samples, purge_of, refuse_empty, train_samples, valid_samples
from seawall.windows.combinatorial import Combinatorial, make_combinatorial_folds
from seawall.windows.folds import Dated, Fold, Rolling, make_dated_folds, make_folds

if TYPE_CHECKING:
    from seawall.train.calls import Tell

WHOLE = MicroBatches()
"""Every batch at once."""


def make_folds_record(
    panel: Path,
    config: TrainConfig,
    output: Path,
    *,
    models: tuple[dict[str, Any], ...] = (),
    beat: Beat = silent,
) -> dict[str, Any]:
    """Cut the panel's calendar into folds, count the samples of each segment, and write folds.json.

    Given the records of finished ``models``, the folds are theirs, see :func:`seawall.train.saved_folds.saved_folds`.

    Returns
    -------
    dict
        Number of folds; over all of them, rows purged, rows without a target, and rows to predict.

    Raises
    ------
    ConfigError
        Where no fold fits into the calendar.
    DataError
        Where a segment has no sample.
    """
    opened = Panel(panel)
    folds = saved_or_cut(opened, config, models)
    records: list[dict[str, Any]] = []
    totals: Counter[str] = Counter()
    for fold in folds:
        beat("count samples", fold.index, len(folds))
        record, counts = _counted(opened, fold, config)  # its samples are gone before those of the next are chosen
        records.append(record)
        totals.update(counts)
    write_folds(output, records, opened.shape.num_dates)
    return {"num_folds": len(folds), **totals}


def _counted(panel: Panel, fold: Fold, config: TrainConfig) -> tuple[dict[str, Any], dict[str, int]]:
    samples = {
        "train": train_samples(panel, fold, config),
        "valid": valid_samples(panel, fold, config),
        "test": predicted_samples(panel, fold, config),
    }
    refuse_empty(fold, samples, config)
    counts = {
        "num_purged": sum(chosen.num_purged for chosen in samples.values()),
        "num_missing": sum(chosen.num_missing for chosen in samples.values()),
        "num_predicted": samples["test"].num_samples,
    }
    return fold_record(panel, fold, samples, purge_of(panel, config)), counts


def lay_out_folds(panel: Path, config: TrainConfig) -> dict[str, Any]:
    """Cut the panel's calendar into folds without counting samples: plain records as in folds.json, with no purge.

    Raises
    ------
    ConfigError
        Where no fold fits into the calendar.
    """
    opened = Panel(panel)
    return {
        "num_dates": opened.shape.num_dates,
        "folds": [fold_layout(opened, fold) for fold in cut_folds(opened, config.folds)],
    }


def fit_fold(  # noqa: PLR0913 - the files of a fold, then one keyword each
    panel: Path,
    folds: Path,
    fold: int,
    config: TrainConfig,
    output: Path,
    *,
    random_access: bool = False,
    split: MicroBatches = WHOLE,
    beat: Beat = silent,
    tell: "Tell | None" = None,
    meeting: Meeting | None = None,
) -> dict[str, Any]:
    """Train the model of one fold and write it to ``output``; a checkpoint left there is continued.

    On a CPU the written model is the same, to the last bit, however often training was stopped and continued. Only
    train rows decide scaling and weights, only valid rows decide when to stop; nothing later is read.

    Parameters
    ----------
    output
        ``models/fold_NN``; made if missing.
    random_access
        Whether the features do not fit in the memory at hand; changes speed, never results.
    split
        Parts of a batch, where a whole one does not fit; changes the last bits, and is recorded.
    tell
        Called with each report on valid: at the end of an epoch, and within one every ``report_minutes``.
    meeting
        Where this process is one of several ranks that others have started; None: this process starts them itself.

    Returns
    -------
    dict
        Epochs, the best one, its scores, and counts of samples.

    Raises
    ------
    DataError
        Where a segment has no sample, or a column no value in the train rows.
    StageError
        Where the loss stops being finite, naming epoch and step.
    """
    if config.ranks > 1:
        settings = _settings(panel, folds, fold, config, output) | _means(random_access, split)
        if meeting is not None:
            return train_together(meeting, config, settings, beat, tell)
        return lead(_gang("train", settings, config, output / ".ranks"), beat, tell)
    # Here and not on top: torch is 130 MiB that the folds stage does without.
    from seawall.train.fit import fit

    return fit(Panel(panel), read_fold(folds, fold), config, output, means=(random_access, split), beat=beat, tell=tell)


def saved_or_cut(panel: Panel, config: TrainConfig, models: tuple[dict[str, Any], ...]) -> list[Fold]:
    """Give the folds of finished models by their records; without models, those the config cuts."""
    if not models:
        return cut_folds(panel, config.folds)
    try:
        cut = cut_folds(panel, config.folds)
    except ConfigError:  # a calendar may be another than the one the config was made for
        cut = []
    return saved_folds(panel, models, cut)


def predict_fold_by_ranks(  # noqa: PLR0913 - as predict_fold, which it stands for
    panel: Path,
    folds: Path,
    fold: int,
    config: TrainConfig,
    model_folder: Path,
    output: Path,
    *,
    random_access: bool = False,
    split: MicroBatches = WHOLE,
    beat: Beat = silent,
) -> dict[str, Any]:
    """Do what :func:`seawall.train.predict.predict_fold` does, in as many processes as the config says."""
    if config.ranks == 1:
        from seawall.train.predict import predict_fold

        means: dict[str, Any] = {"random_access": random_access, "split": split, "beat": beat}
        return predict_fold(panel, folds, fold, config, model_folder, output, **means)
    settings = _settings(panel, folds, fold, config, model_folder) | _means(random_access, split)
    settings["output"] = str(output)
    return lead(_gang("predict", settings, config, output / f".ranks_{fold:02d}"), beat)


def _settings(panel: Path, folds: Path, fold: int, config: TrainConfig, model: Path) -> dict[str, Any]:
    paths = {"panel": str(panel), "folds": str(folds), "model": str(model)}
    return {**paths, "fold": fold, "config": config.model_dump(mode="json")}


def _means(random_access: int, split: MicroBatches) -> dict[str, Any]:
    return {"random_access": bool(random_access), "parts": split.parts, "gpu_budget_bytes": split.gpu_budget_bytes}


def _gang(act: str, settings: dict[str, Any], config: TrainConfig, folder: Path) -> GangWork:
    where = f"{act} fold {settings['fold']}"
    return GangWork(act=act, num_ranks=config.ranks, settings=settings, folder=folder, where=where)


def cut_folds(panel: Panel, folds: FoldsConfig) -> list[Fold]:
    """Cut the calendar of a panel as the config says.

    Raises
    ------
    ConfigError
        Where no fold fits into it.
    """
    if folds.num_groups is not None and folds.num_test_groups is not None:
        choice = Combinatorial(
            num_groups=folds.num_groups,
            num_test_groups=folds.num_test_groups,
            valid=folds.valid,
            embargo_periods=folds.embargo_periods,
        )
        return make_combinatorial_folds(panel.calendar, panel.calendar_kind, choice)
    if folds.train is None or folds.valid is None or folds.test is None:
        dated = [Dated(train=fold.train, valid_to=fold.valid_to, test_to=fold.test_to) for fold in folds.dates]
        return make_dated_folds(panel.calendar, panel.calendar_kind, dated)
    rolling = Rolling(
        train=folds.train,
        valid=folds.valid,
        test=folds.test,
        step=folds.step,
        expanding=folds.expanding,
        embargo_periods=folds.embargo_periods,
        partial_last=folds.partial_last,
        gap=folds.gap,
    )
    return make_folds(panel.calendar, panel.calendar_kind, rolling)

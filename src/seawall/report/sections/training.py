"""How the models learned."""

import numpy as np

from seawall.report import captions, colours
from seawall.report.charts import training_chart
from seawall.report.markup import Section, element, figure, missing, note, section, swatches, table
from seawall.report.records import RunRecords, Training
from seawall.report.words import decimal, duration, significant, whole

MAX_CHARTS = 24
"""Folds drawn one by one: more would be a wall of pictures. The table has all."""

HEADER = ("fold", "stopped by", "epochs", "epoch kept", "train loss", "valid loss", "valid IC", "parameters", "time")

LEGEND = (
    ("train loss", colours.SEGMENTS["train"]),
    ("valid loss and valid IC", colours.SEGMENTS["valid"]),
    ("epoch kept", colours.QUIET),
)


def training_section(run: RunRecords) -> Section:
    """Show losses and valid IC by epoch, fold by fold."""
    if not run.trainings:
        parts = [missing("No model has been trained yet.")]
        return section("training", "Training", captions.TRAINING_LEAD, parts)
    own = [training for training in run.trainings if not training.is_baseline]
    drawn = own[:MAX_CHARTS]
    explained = captions.TRAINING
    if len(drawn) < len(own):
        explained += f" The first {len(drawn)} models are drawn; the table has all {len(run.trainings)}."
    if run.trainings[0].epochs and run.trainings[0].epochs[0].count("epoch") == 0:
        explained += " Epochs are numbered from 0."
    charts = [figure(training_chart(training), f"Fold {_name(training)}", "") for training in drawn]
    rows = [_row(training) for training in run.trainings]
    parts = [
        swatches(LEGEND),
        element("div", charts, style="small-charts"),
        note(explained),
        table(HEADER, rows, num_left=2),
    ]
    return section("training", "Training", captions.TRAINING_LEAD, parts)


def _name(training: Training) -> str:
    member = training.member.removeprefix("baseline_").replace("seed_", "seed ")
    return f"{training.fold}, {member}" if member else str(training.fold)


def _row(training: Training) -> tuple[str, ...]:
    seconds = training.curve("seconds")
    known = None if np.isnan(seconds).all() else float(np.nansum(seconds))
    return (
        _name(training),
        training.stopped or "–",
        whole(len(training.epochs)),
        "–" if training.best_epoch is None else str(training.best_epoch),
        significant(training.best.number("train_loss")),
        significant(training.best.number("valid_loss")),
        decimal(training.best.number("valid_ic")),
        whole(training.model.number("num_parameters")),
        duration(known),
    )

"""The daily loop: score the dates that came after the last test, by the newest model that may, and say what to hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from seawall.arrays import Float32, Float64, Int64
from seawall.backtest.book import rebalance_dates
from seawall.backtest.groups import Groups
from seawall.backtest.strategies import AnyStrategy, TopKDropout, group_of, volatility_of
from seawall.backtest.weights import Target, target_weights
from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError, DataError, ResumeError
from seawall.pipeline.config import RunConfig
from seawall.pipeline.saved import SavedModels
from seawall.stores.atomic import replacing, text_key, write_json
from seawall.stores.panel import Panel
from seawall.stores.predictions import time_type
from seawall.train.artefacts import FittedModel, read_model
from seawall.train.config import TrainConfig
from seawall.train.determinism import repeatable, resolve_device
from seawall.train.ensemble import SeedMean, SeedSpread
from seawall.train.fit import fit_key
from seawall.train.inference import predict_scaled, scaled_gather, to_target_unit
from seawall.train.members import judged_members, of_member
from seawall.train.run import saved_or_cut
from seawall.train.saved_folds import moment
from seawall.windows.folds import Fold
from seawall.windows.samples import date_major_rows, select_samples

TARGETS_FORMAT = "seawall-targets/1"


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest model, and the dates it is to score."""

    record: dict[str, Any]
    fitted: tuple[FittedModel, ...]
    """Of several seeds all of them, in order."""
    first: int
    """Calendar index of the first date the run predicted: rebalancing counts from it."""
    learnt_until: int
    """Calendar index of the first date it learnt nothing of."""
    dates: range

    @property
    def key(self) -> str:
        """Stand for the model, or for all seeds."""
        keys = [one.key for one in self.fitted]
        return keys[0] if len(keys) == 1 else text_key(*keys)


def score_latest(config: RunConfig, models: Path, strategy: str, max_age: int | None, beat: Beat) -> dict[str, Any]:
    """Write ``targets/STRATEGY/TIME.parquet`` and its JSON for each date after the last test; finished dates are kept.

    A date is scored from its own rows and earlier ones, in batches of its own, so that nothing later moves a bit of it.
    Of several seeds the score is their mean, and ``score_std`` their spread. Memory is one batch, the rows of one date,
    and the weights of all seeds.

    Returns
    -------
    dict
        ``dates`` written, ``num_kept``, ``age_dates`` of the model on the last date, ``warnings``.

    Raises
    ------
    ResumeError
        Where the panel's past is not the one the model learnt from, or the model is older than ``max_age`` dates.
    """
    panel, train = Panel(config.panel_path), SavedModels.read(models).train
    chosen = _strategy(config, strategy)
    newest = _newest(panel, models, train)
    age, warnings = _check_age(newest, train, panel, max_age)
    output = config.output / "targets" / strategy
    output.mkdir(parents=True, exist_ok=True)
    decides = rebalance_dates(chosen, panel, range(newest.first, panel.shape.num_dates))
    scorer = _Scorer(panel, train, newest.fitted, config.join.target or train.target)
    written, num_kept = [], 0
    for number, date in enumerate(newest.dates):
        beat("score dates", number, len(newest.dates))
        path = output / f"{_name(panel, date)}.parquet"
        if path.with_suffix(".json").exists():
            num_kept += 1
            continue
        rows, scores, spread = scorer.scores(date)
        decision = _weights(chosen, panel, date, rows, scores) if decides[date - newest.first] else None
        record = {
            "format": TARGETS_FORMAT,
            "time": _name(panel, date),
            "target": scorer.target,
            "fold": newest.record["fold"],
            "model_key": newest.key,
            "age_dates": date - newest.learnt_until,
            "strategy": chosen.model_dump(mode="json"),
            "decides": decision is not None,
            "num_names": len(rows),
        }
        _write(path, panel, rows, (scores, spread), decision)
        write_json(path.with_suffix(".json"), record)
        written.append(record["time"])
    return {"dates": written, "num_kept": num_kept, "age_dates": age, "warnings": warnings, "output": str(output)}


def _strategy(config: RunConfig, name: str) -> AnyStrategy:
    found = {strategy.name: strategy for strategy in config.backtest.strategies} if config.backtest else {}
    if name not in found:
        raise ConfigError("--strategy", "no such strategy in the backtest section", allowed=", ".join(found) or "none")
    chosen = found[name]
    if isinstance(chosen, TopKDropout) or volatility_of(chosen) is not None:
        what = "its weights depend on what is held, or on volatility, which a run of the backtest alone keeps"
        raise ConfigError(f"--strategy {name}", what, do="Name a strategy whose weights follow from scores alone.")
    return chosen


def _newest(panel: Panel, models: Path, train: TrainConfig) -> _Newest:
    saved = SavedModels.read(models)
    folder = models / f"fold_{len(saved.records) - 1:02d}"
    record = saved.records[-1]
    if train.folds.kind == "combinatorial" or "segments" not in record:
        what = "combinatorial models learnt from what came later" if train.folds.num_groups else "it says no dates"
        raise ConfigError(str(folder), what, do="Train models that walk forward with this release.")
    folds = saved_or_cut(panel, train, saved.records)
    fitted = tuple(read_model(folder / member) for member in judged_members(train))
    for member, one in zip(judged_members(train), fitted, strict=True):
        _check_learnt_here(folder / member, one.record, panel, folds[-1], of_member(train, member))
    last = moment(panel, record["segments"]["test"]["last_time"])
    start = int(np.searchsorted(panel.calendar, last, side="right"))
    dates = range(start, panel.shape.num_dates)
    return _Newest(record, fitted, folds[0].test[0], folds[-1].test[0], dates)


def _check_learnt_here(folder: Path, record: dict[str, Any], panel: Panel, fold: Fold, train: TrainConfig) -> None:
    if "imported" in record:
        return
    device, library = torch.device(record["device"]), record["torch"]
    if fit_key(panel, fold, train, device, library=library) != record["key"]:
        what = "the panel's features, or its past, are not those the model learnt from"
        do = "Run the config again: it trains what has changed, and nothing else."
        raise ResumeError(str(folder), what, do=do)


def _check_age(newest: _Newest, train: TrainConfig, panel: Panel, max_age: int | None) -> tuple[int, list[str]]:
    age = panel.shape.num_dates - 1 - newest.learnt_until
    if max_age is not None and age > max_age:
        what, do = "the newest model is too old", "Run the config again, which trains the next fold, or allow more."
        raise ResumeError("--max-age", what, found=f"{age} dates", allowed=f"{max_age} dates", do=do)
    segment = newest.record["segments"]["test"]
    tested = int(segment["stop"]) - int(segment["start"])
    if max_age is None and age >= tested:
        return age, [
            f"the model is {age} dates old and was tested over {tested}; run the config to train the next fold"
        ]
    return age, []


@dataclass(slots=True)
class _Scorer:
    panel: Panel
    train: TrainConfig
    fitted: tuple[FittedModel, ...]
    target: str

    def scores(self, date: int) -> tuple[Int64, Float32, Float32 | None]:
        """Give the samples of one date, their scores, and of several seeds the spread."""
        train = self.train
        samples = select_samples(self.panel, (date, date + 1), train.lookback_periods)
        rows = date_major_rows(self.panel, samples, (date, date + 1))
        if not len(rows):
            what = f"no name has {train.lookback_periods} rows of lookback in the universe"
            raise DataError(_name(self.panel, date), what, do="Append whole days.")
        seeds = [self._predicted(one, rows) for one in self.fitted]
        every, column = slice(0, len(rows)), train.target_names.index(self.target)
        if len(seeds) == 1:
            return rows, seeds[0][:, column], None
        return rows, SeedMean(seeds)[every][:, column], SeedSpread(seeds)[every][:, column]

    def _predicted(self, fitted: FittedModel, rows: Int64) -> Float32:
        train, targets, beside = self.train, self.train.target_names, fitted.inputs.beside(self.panel)
        gather = scaled_gather(self.panel, train.lookback_periods, fitted.scaler, targets, beside=beside)
        device, size = resolve_device(train.device), train.predict_batch_size
        with repeatable(device, threads=train.threads, seed=train.seed):
            module = fitted.module.to(device)
            starts = range(0, len(rows), size)
            scaled = [predict_scaled(module, gather, rows[at : at + size], device).cpu().numpy() for at in starts]
        return to_target_unit(np.concatenate(scaled), fitted.scaler)


def _weights(strategy: AnyStrategy, panel: Panel, date: int, rows: Int64, scores: Float32) -> Float64 | None:
    entities, group = panel.entity_of(rows), group_of(strategy)
    groups = Groups(panel, group).of(rows, entities) if group is not None else None
    decision = target_weights(strategy, date, entities, scores, None, groups)
    if not isinstance(decision, Target):
        return None
    weights = np.zeros(len(rows))
    weights[np.searchsorted(entities, decision.entities)] = decision.weights  # rows of a date are in order of entities
    return weights


def _write(
    path: Path, panel: Panel, rows: Int64, scored: tuple[Float32, Float32 | None], weights: Float64 | None
) -> None:
    names, (scores, spread) = panel.entities, scored
    table = pa.table(
        {
            "time": pa.array(panel.calendar[panel.time_index[rows]]).cast(time_type(panel)),
            "entity": pa.array([names[entity] for entity in panel.entity_of(rows).tolist()], pa.string()),
            "score": pa.array(scores),
            **({} if spread is None else {"score_std": pa.array(spread)}),
            "weight": pa.array(weights, pa.float64()) if weights is not None else pa.nulls(len(rows), pa.float64()),
        }
    )
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def _name(panel: Panel, date: int) -> str:
    """Name a date as a file may be called: whole days by the day."""
    value = int(panel.calendar[date])
    if panel.calendar_kind != "timestamp":
        return str(value)
    return str(np.datetime_as_string(np.datetime64(value, "ns"), unit="auto")).replace(":", "")

"""The search: bars and entries into mapped files, then four phases for one signal type after another.

Nothing of a single trade is kept: every result is a sum over entries, added chunk by chunk in one fixed order. A kill
at any moment costs the work since the last checkpoint, and the continued run ends with the same bytes.
"""

import json
import resource
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Float64
from seawall.budget.heartbeat import Beat, silent
from seawall.search import sampling
from seawall.search.config import STAGE_VERSION, SearchConfig, TypeConfig
from seawall.search.costs import BPS, Costs
from seawall.search.entry_columns import Entries, open_entries
from seawall.search.evaluate import BAND_COMBINATIONS, Evaluator, Part, Selection
from seawall.search.levels import OFF, Exit, ExitLevels
from seawall.search.memory import notes
from seawall.search.ohlc import open_bars
from seawall.search.opportunities import Opportunities
from seawall.search.phases import Search, accounts, find, refit, replays, sample_statement, validate
from seawall.search.prepare import Inputs, open_detail, prepare
from seawall.search.records import TypeRecord, best_parameters, type_record, write_grid
from seawall.search.sharding import FOLDER, Sharding, SweepWanted
from seawall.search.sources import files_of
from seawall.search.spans import Spans, cut
from seawall.stores.atomic import text_key, write_json, write_text
from seawall.tables.sources import fingerprint


def search(
    config: SearchConfig, output: Path, inputs: Inputs, *, band_combinations: int = BAND_COMBINATIONS,
    beat: Beat = silent, shards: Mapping[str, int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Search exits, score weights and thresholds for every signal type, and judge what was found.

    Writes ``output/summary.json``, ``output/best_parameters.yaml`` and ``output/<type>/grid.npy``. Only entries that
    end before the hold-out decide; the hold-out is looked at once, after the choice. Memory: one chunk of tables,
    a band of sums, the totals of the grid; bars and entries are mapped files, so neither makes it grow.

    Parameters
    ----------
    band_combinations
        Combinations summed together. Changes no result.
    shards
        Where others may sum parts of large sweeps: ``most`` of them, of ``least_evaluations`` each. Changes no result.

    Returns
    -------
    dict
        The summary without curves and grids; or ``sweep`` alone, the parts that others are to sum before the same call
        goes on.

    Raises
    ------
    ConfigError, DataError
        For tables and settings that cannot be right, before any sweep.
    """
    key = _key(config, inputs)
    work = output / ".work" / key
    _drop_others(output / ".work", key)
    counts = prepare(config, inputs, work, beat)
    records: dict[str, TypeRecord] = {}
    try:
        for name in config.types:
            sharding = None if shards is None else Sharding(output, work, name, **shards)
            records[name] = _type(name, config, key, work, output, (band_combinations, sharding), beat)
    except SweepWanted as wanted:
        return {"sweep": wanted.order}
    _drop_other_types(output, list(config.types))
    told = notes(config, {name: own["kept"] for name, own in counts["entries"].items()})
    summary = {
        "types": {name: record.values for name, record in records.items()},
        "bars": counts["bars"],
        "costs": config.costs.model_dump(mode="json"),
        "notes": told,
    }
    write_json(output / "summary.json", summary)
    write_text(output / "best_parameters.yaml", best_parameters(config, records))
    for scratch in (".work", FOLDER):
        shutil.rmtree(output / scratch, ignore_errors=True)
    return {
        "bars": counts["bars"],
        "types": {name: record.short() for name, record in records.items()},
        "cost": {name: record.cost for name, record in records.items()},
        "notes": told,
    }


def _type(
    name: str, config: SearchConfig, key: str, work: Path, output: Path,
    means: tuple[int, Sharding | None], beat: Beat,
) -> TypeRecord:  # fmt: skip
    """Do the four phases of one type and write its files; ``means`` change no result."""
    started = time.process_time()
    type_config, bars, entries = config.types[name], open_bars(work), open_entries(work / name)
    spans = cut(entries, bars, config.validation, type_config.grid.holds[-1])
    evaluator = Evaluator(
        bars, entries, Costs.of(config.costs),
        Opportunities(type_config.opportunity_bps * BPS, type_config.capture_share),
        type_config.grid.holds[-1], work / f"{name}.sums", text_key(key, name),
        band_combinations=means[0], checkpoint_seconds=config.checkpoint_seconds, beat=_Prefixed(name, beat),
        detail=open_detail(work, bars), sharding=means[1],
    )  # fmt: skip
    evaluator.folder.mkdir(exist_ok=True)
    drawn = _draw(config, evaluator, spans)
    searched = Search(
        config, type_config, _deciding(evaluator, type_config, drawn), evaluator, _part(spans, drawn), spans
    )
    found = find(searched)
    checked = validate(searched, found)
    exact = accounts(searched, found.choice)
    live = refit(searched, found)
    books = replays(searched, found)
    statement = sample_statement(searched, found, drawn)
    if found.grid is not None and found.plateau is not None:
        write_grid(output / name, found.grid, found.plateau)
    counts = json.loads((work / "prepared.json").read_text(encoding="utf-8"))["entries"][name]
    record = type_record(searched, found, checked, exact, live, books, statement, counts)
    cost = {
        "cpu_seconds": time.process_time() - started,
        "evaluations": sum({id(own): own.num_evaluations for own in (searched.evaluator, evaluator)}.values()),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return TypeRecord(record, cost)


@dataclass(frozen=True, slots=True)
class _Prefixed:
    """Reports progress under the name of a type."""

    name: str
    beat: Beat

    def __call__(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        """Report progress."""
        self.beat(f"{self.name}: {substep}", done, total, **numbers)


def _draw(config: SearchConfig, evaluator: Evaluator, spans: Spans) -> sampling.Sample | None:
    """Draw a sample of the entries before the hold-out; its size measure is what hindsight could have earned."""
    if config.sample is None or config.sample.size >= spans.search.stop:
        return None
    size, strata = _ideals(evaluator, spans.search), None
    design: sampling.Design = "simple"
    if config.sample.design == "auto":
        design = sampling.choose_design(config.sample.size, size)
    elif config.sample.design == "stratified":
        design, strata = "stratified", evaluator.bars.entity_of(np.asarray(evaluator.entries.rows[: spans.search.stop]))
    drawn = sampling.draw(
        spans.search.stop, config.sample.size, design, config.validation.seed, strata=strata, size=size
    )
    order = np.argsort(drawn.places, kind="stable")
    return sampling.Sample(drawn.design, drawn.places[order], drawn.stratum[order], drawn.sizes, drawn.size_is_known)


def _ideals(evaluator: Evaluator, part: Part) -> Float64:
    ideals = np.zeros(part.stop)
    nothing = ExitLevels.single(Exit(OFF, OFF, 0.0, OFF, evaluator.longest))
    for _, places, _, tables in evaluator.chunks(part, Selection(), nothing):
        ideals[places] = tables.ideal
    return ideals


def _deciding(evaluator: Evaluator, type_config: TypeConfig, drawn: sampling.Sample | None) -> Evaluator:
    """Give an evaluator of the entries that decide: all of them, a sample, or with hindsight opportunities alone.

    Each entry of a sample stands for as many as its stratum says.
    """
    hindsight = type_config.tune_on == "opportunities"
    if drawn is None and not hindsight:
        return evaluator
    folder = evaluator.folder.with_name(f"{evaluator.folder.name}.deciding")
    folder.mkdir(exist_ok=True)
    key = text_key(evaluator.key, "sample" if drawn else "all", type_config.tune_on)
    deciding = replace(evaluator, folder=folder, key=key, only_opportunities=hindsight, num_evaluations=0)
    if drawn is None:
        return deciding
    every, places = evaluator.entries, drawn.places
    entries = Entries(every.rows[places], every.times[places], every.sides[places], every.scores[places])
    weights = (drawn.sizes / np.bincount(drawn.stratum, minlength=len(drawn.sizes)))[drawn.stratum]
    return replace(deciding, entries=entries, weights=weights)


def _part(spans: Spans, drawn: sampling.Sample | None) -> Part:
    return spans.search if drawn is None else replace(spans.search, stop=len(drawn.places))


def _key(config: SearchConfig, inputs: Inputs) -> str:
    """Identify what is searched: scratch files of anything else are not taken for these."""
    asked = config.model_dump(mode="json", exclude={"checkpoint_seconds"})
    sources = [own for own in (config.source, config.entries_source, config.detail_bars) if own is not None]
    prints = [json.dumps(fingerprint(file).record()) for source in sources for file in files_of(source)]
    for folder in (inputs.predictions, inputs.panel):
        names = ("fold_*.json", "fold_*.parquet") if folder == inputs.predictions else ("panel.json",)
        found = sorted(path for name in names for path in folder.glob(name)) if folder else []
        prints += [json.dumps(fingerprint(path).record()) for path in found]
    return text_key(str(STAGE_VERSION), json.dumps(asked), *prints)


def _drop_others(work: Path, key: str) -> None:
    for other in work.glob("*"):
        if other.name != key:
            shutil.rmtree(other, ignore_errors=True)


def _drop_other_types(output: Path, names: list[str]) -> None:
    """Remove the folders of types that an earlier config had: the report would show them."""
    for grid in output.glob("*/grid.npy"):
        if grid.parent.name not in names:
            shutil.rmtree(grid.parent)

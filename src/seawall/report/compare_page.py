"""The page that shows several runs side by side."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from seawall.budget.heartbeat import Beat, silent
from seawall.report import colours
from seawall.report.compare import Comparison, RunSummary, compare, read_all
from seawall.report.drawing import Chart, axis, finished, plain, thinned_line
from seawall.report.facts import best_strategy
from seawall.report.markup import Html, Section, element, figure, missing, note, section, table
from seawall.report.page import write_html
from seawall.report.records import RunRecords
from seawall.report.series import running_sum
from seawall.report.words import UNDEFINED, decimal, duration, percent, probability, size, when, whole
from seawall.stores.atomic import replacing

POINTS_OF_ALL = 12_000
"""Points of all lines of a chart together: keeps the page small however many runs there are."""

BESIDE = (
    "The last three rows pair the daily Rank IC of a run with that of the first on the dates both have, so that what"
    " moved both cancels. Read the p value: of two runs the one with the higher mean is often not the better one."
)
OTHER_DATA = "The panels are not the same: differences in the numbers may come from the data alone."

Row = tuple[str, Callable[[RunSummary], str]]


def write_comparison(folders: Sequence[Path], output: Path, *, beat: Beat = silent) -> dict[str, Any]:
    """Write runs side by side as one self-contained HTML file.

    Memory grows with the dates of the test segments and the number of runs.

    Returns
    -------
    dict
        The comparison's record, ``path`` and ``bytes``.

    Raises
    ------
    FormatError
        Where a folder is not a run, or a record in it cannot be read; ``output`` is then as it was.
    """
    runs = read_all(folders, beat=beat)
    found = compare(runs, folders)
    names = [run.name for run in found.runs]
    with replacing(output) as temporary:
        write_html(temporary, " · ".join(names), "seawall runs side by side", _sections(found, runs), beat)
    return {**found.record(), "path": str(output), "bytes": output.stat().st_size}


def _sections(found: Comparison, runs: Sequence[RunRecords]) -> list[Section]:
    names = [run.name for run in found.runs]
    lines = [
        (name, run.daily.times, running_sum(run.daily.rank_ic))
        for name, run in zip(names, runs, strict=True)
        if run.daily
    ]
    best = [(name, best_strategy(run)) for name, run in zip(names, runs, strict=True)]
    curves = [
        (name, one.equity.times, one.equity.equity) for name, one in best if one is not None and one.equity is not None
    ]
    predicted = [_table(found, "Rank IC", IC_ROWS), note(BESIDE)]
    if lines:
        predicted.insert(0, figure(_chart("ic-running", lines, "sum so far"), "Rank IC added up", ""))
    earned = [_table(found, "best strategy", MONEY_ROWS)]
    if curves:
        earned.insert(0, figure(_chart("equity", curves, "equity (start = 1)"), "Equity after costs", ""))
    return [
        section("summary", "Summary", "The runs, and what came of each.", [_table(found, "", SUMMARY_ROWS)]),
        section("configuration", "Configuration", "Only what differs.", [_differences(found)]),
        section("prediction", "Prediction", "Does a higher prediction go with a better outcome?", predicted),
        section("money", "After costs", "The strategy of each run that earned most.", earned),
        section("data", "Data", "What each run was made from.", _data(found)),
        section("memory", "Memory", "Declared, projected and measured.", [_table(found, "memory", MEMORY_ROWS)]),
    ]


def _chart(name: str, lines: Sequence[tuple[str, Any, Any]], title: str) -> Chart:
    most = max(100, POINTS_OF_ALL // max(len(lines), 1))
    drawn = [
        thinned_line(times, values, most).update(
            name=plain(label),
            line={"color": colours.strategy_colour(number), "width": 1.8},
            hovertemplate="%{y:.3f}",
            connectgaps=True,
        )
        for number, (label, times, values) in enumerate(lines)
    ]
    return finished(name, 380, go.Figure(drawn), {"xaxis": axis(), "yaxis": axis(title), "showlegend": True})


def _table(found: Comparison, corner: str, rows: Sequence[Row]) -> Html:
    written = [(name, *(write(run) for run in found.runs)) for name, write in rows]
    return table((corner or "run", *(run.name for run in found.runs)), written)


def _differences(found: Comparison) -> Html:
    if not found.config:
        return missing("The configurations are the same, key by key.")
    rows = [(key, *values) for key, values in found.config.items()]
    return table(("key", *(run.name for run in found.runs)), rows, num_left=len(found.runs) + 1)


def _data(found: Comparison) -> list[Html]:
    keys = {run.data["content_key"] for run in found.runs}
    return [_table(found, "data", DATA_ROWS), *([element("p", OTHER_DATA, style="missing")] if len(keys) > 1 else [])]


def _text(value: object) -> str:
    return UNDEFINED if value is None else str(value)


def _ic(key: str, write: Callable[[float | None], str]) -> Callable[[RunSummary], str]:
    return lambda run: write(run.rank_ic.get(key))


def _money(key: str, write: Callable[[float | None], str]) -> Callable[[RunSummary], str]:
    return lambda run: write(run.money.get(key))


def _beside(key: str, write: Callable[[float | None], str]) -> Callable[[RunSummary], str]:
    return lambda run: write(getattr(run.beside_first, key)) if run.beside_first is not None else "–"


def _band(run: RunSummary) -> str:
    return f"{decimal(run.rank_ic.get('mean_low'))} to {decimal(run.rank_ic.get('mean_high'))}"


SUMMARY_ROWS: tuple[Row, ...] = (
    ("folder", lambda run: run.folder),
    ("model", lambda run: run.model),
    ("finished", lambda run: _text(run.finished)[:16].replace("T", " ")),
    ("mean Rank IC", _ic("mean", decimal)),
    ("p by t_hac", _ic("p_hac", probability)),
    ("best return a year, after costs", _money("annual_return", percent)),
    ("its Sharpe ratio", _money("sharpe", lambda value: decimal(value, 2))),
    ("peak memory", lambda run: size(run.memory["measured_bytes"])),
    ("time", lambda run: duration(run.memory["wall_seconds"])),
)

IC_ROWS: tuple[Row, ...] = (
    ("mean", _ic("mean", decimal)),
    ("95 % band", _band),
    ("ICIR", _ic("icir", lambda value: decimal(value, 3))),
    ("t_hac", _ic("t_hac", lambda value: decimal(value, 2))),
    ("p by t_hac", _ic("p_hac", probability)),
    ("test dates", _ic("num_dates", whole)),
    ("mean IC", lambda run: decimal(run.ic.get("mean"))),
    ("dates in common with the first", _beside("num_dates", whole)),
    ("Rank IC less the first’s, mean", _beside("mean", decimal)),
    ("p of that difference, by t_hac", _beside("p_hac", probability)),
)

MONEY_ROWS: tuple[Row, ...] = (
    ("strategy", lambda run: _text(run.strategy)),
    ("return a year", _money("annual_return", percent)),
    ("volatility a year", _money("annual_volatility", percent)),
    ("Sharpe ratio", _money("sharpe", lambda value: decimal(value, 2))),
    ("worst drawdown", _money("max_drawdown", percent)),
    ("turnover a year, × equity", _money("annual_turnover", lambda value: decimal(value, 1))),
    ("costs a year, of equity", _money("cost_a_year", lambda value: percent(value, 2))),
    ("total return", _money("total_return", percent)),
    ("hit rate", _money("hit_rate", percent)),
    ("trades", _money("num_trades", whole)),
)

DATA_ROWS: tuple[Row, ...] = (
    ("panel", lambda run: _text(run.data["panel"])),
    ("content key", lambda run: _text(run.data["content_key"])),
    ("rows", lambda run: whole(run.data["num_rows"])),
    ("entities", lambda run: whole(run.data["num_entities"])),
    ("dates", lambda run: whole(run.data["num_dates"])),
    ("features", lambda run: whole(run.data["num_features"])),
    ("target", lambda run: _text(run.data["target"])),
    ("first date", lambda run: when(run.data["first_time"])),
    ("last date", lambda run: when(run.data["last_time"])),
    ("folds", lambda run: whole(run.data["num_folds"])),
)

MEMORY_ROWS: tuple[Row, ...] = (
    ("declared", lambda run: size(run.memory["declared_bytes"])),
    ("highest projected", lambda run: size(run.memory["projected_bytes"])),
    ("highest measured, parent included", lambda run: size(run.memory["measured_bytes"])),
    ("in", lambda run: _text(run.memory["highest_unit"])),
    ("went over the budget", lambda run: "yes" if run.memory["went_over"] else "no"),
    ("wall", lambda run: duration(run.memory["wall_seconds"])),
    ("CPU", lambda run: duration(run.memory["cpu_seconds"])),
)

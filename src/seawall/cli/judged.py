"""The page of evaluate: every number with its test, what overlaps, what is undefined, and by which rules."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Numbers = Mapping[str, Any]

_MEAN = ("mean", "low", "high", "std", "ICIR", "> 0", "t_hac", "p_hac", "dates")
_RULES = (  # said wherever numbers are, as they decide them
    "Ties share average ranks. A date with fewer than {min_names} names, or without variance, is undefined, left out"
    " and counted. Periods the target looks ahead: {horizon_periods}; neighbouring dates share {overlap} of them. t_hac"
    " and its p know that (Student t of the degrees of freedom shown); the plain t does not. low, high: 95 % band"
    " of the mean by circular block bootstrap. top IC, bottom IC: within the highest and lowest fifth by prediction."
    " spread: mean target of the highest of {num_quantiles} groups less that of the lowest."
)


def show_judged(summary: Numbers) -> None:
    """Print what was judged of outside predictions."""
    console = Console(highlight=False)
    span = f"{summary['first_time']} to {summary['last_time']}"
    console.print(
        f"{escape(summary['prediction'])} against {escape(summary['target'])}:"
        f" {summary['num_predictions']:,} predictions, {span}; {summary['num_without_target']:,} without a target",
        soft_wrap=True,
    )
    show_record(summary, console)


def show_run(folder: Path) -> None:
    """Print what evaluate has written of a run, target by target."""
    console = Console(highlight=False)
    record = json.loads((folder / "metrics" / "metrics.json").read_text(encoding="utf-8"))
    for one in (record, *record.get("other_targets", [])):
        console.print(f"predictions against {escape(one['target'])}", style="bold", soft_wrap=True)
        show_record(one, console)


def show_record(record: Numbers, console: Console) -> None:
    """Print one target's record of metrics.json (FORMAT.md section 5)."""
    overall = record["overall"]
    counts = overall["ic"]
    names = (
        ("Rank IC", "rank_ic"),
        ("IC", "ic"),
        ("top IC", "top_ic"),
        ("bottom IC", "bottom_ic"),
    )
    rows = [(label, overall[key]) for label, key in names] + [("spread", overall["spread"])]
    console.print(_table(f"{counts['num_dates']:,} dates, {counts['num_undefined']:,} of them undefined", _MEAN, rows))
    console.print(_tests([("Rank IC", overall["rank_ic"]), ("IC", overall["ic"])]))
    console.print(_lines(overall), soft_wrap=True)
    for title, rows in _more(record):
        if rows:
            console.print(_table(title, _MEAN, rows))
    if sides := [side for fold in record["folds"] if "in_sample" in fold for side in _sides(fold)]:
        console.print(_table("Rank IC in sample (all of train) and out of it (test)", _MEAN, sides))
    overlap = record["horizon_periods"] - 1
    console.print(_RULES.format(**{**record, "overlap": overlap if overlap else "none"}), style="dim")
    for warning in record["warnings"]:
        console.print(f"[yellow]check[/] {escape(warning)}", soft_wrap=True)


def _more(record: Numbers) -> list[tuple[str, list[tuple[str, Numbers]]]]:
    overall = record["overall"]
    horizons = [(_counted(block["horizon_periods"], "period"), block) for block in overall.get("horizons", [])]
    lags = [(_counted(block["lag"], "date"), block) for block in overall["decay"]]
    groups = [(str(block["group"]), block["rank_ic"]) for block in overall.get("groups", [])]
    folds = [(f"fold {block['fold']}", block["rank_ic"]) for block in record["folds"]]
    return [
        ("IC with what is earned over the next", horizons),
        ("IC of predictions made before, with the target of now", lags),
        ("Rank IC by group of names", groups),
        ("Rank IC by fold", folds if len(folds) > 1 else []),
    ]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _sides(fold: Numbers) -> list[tuple[str, Numbers]]:
    """Set train beside test, the same number by the same rules."""
    place = fold["fold"]
    return [(f"fold {place} train", fold["in_sample"]["rank_ic"]), (f"fold {place} test", fold["rank_ic"])]


def _table(title: str, header: Sequence[str], rows: Sequence[tuple[str, Numbers]]) -> Table:
    table = Table(title=escape(title), title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold", min_width=min(_LABEL_WIDTH, max(len(label) for label, _ in rows)))
    for name in header:
        table.add_column(name, justify="right", no_wrap=True)
    for label, of in rows:
        num_defined = of["num_dates"] - of["num_undefined"]
        values = (
            *(number(of[key]) for key in ("mean", "mean_low", "mean_high", "std")),
            number(of["icir"], 3),
            number(of["share_positive"], 2),
            number(of["t_hac"], 2),
            p_value(of["p_hac"]),
        )
        table.add_row(escape(label), *(value.replace("undefined", "undef.") for value in values), f"{num_defined:,}")
    return table


def _tests(rows: Sequence[tuple[str, Numbers]]) -> Table:
    """Every t of the mean side by side: where they disagree, targets overlap or scores persist."""
    table = Table(
        title="every t of the mean (and its p); apart: dates that do not overlap",
        title_justify="left",
        box=None,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("")
    for name in ("plain", "t_hac", "freedom", "Newey-West", "apart", "its dates"):
        table.add_column(name, justify="right")
    for label, of in rows:
        t = {kind: f"{number(of[f't_{kind}'], 2)} ({p_value(of[f'p_{kind}'])})" for kind in _TESTS}
        counts = (f"{of['dof_hac']:,}", f"{of['num_non_overlapping']:,}")
        table.add_row(label, t["plain"], t["hac"], counts[0], t["newey_west"], t["non_overlapping"], counts[1])
    return table


_LABEL_WIDTH = 14
"""Longer names are folded, so that every number is seen in a terminal of 80 columns."""

_TESTS = ("plain", "hac", "newey_west", "non_overlapping")


def _lines(overall: Numbers) -> str:
    pooled = overall["pooled"]
    errors = ", ".join(f"{name} {number(pooled[name])}" for name in ("mse", "mae", "r2", "pearson"))
    groups = ", ".join(number(value, 5) for value in overall["quantiles"])
    order = ", ".join(
        f"{label} {number(overall[key], 3)}"
        for label, key in (
            ("monotonicity", "monotonicity"),
            ("autocorrelation of ranks", "autocorrelation"),
            ("turnover of the top group", "turnover"),
            ("coverage", "coverage"),
        )
    )
    parts = ", ".join(f"{year['year']} {number(year['rank_ic'])}" for year in overall["years"])
    years = f"\nRank IC by year: {parts}{_months(overall['months'])}" if parts else ""
    return (
        f"mean target by prediction, lowest group first: {groups}\n{order}\n"
        f"pooled over {pooled['n']:,} rows, dates and names alike: {errors}{years}"
    )


def _months(months: Sequence[Numbers]) -> str:
    """Say how even the months are: a mean can rest on a few of them."""
    known = sorted((month for month in months if month["rank_ic"] is not None), key=lambda month: month["rank_ic"])
    if len(known) < 2:
        return ""
    positive = sum(month["rank_ic"] > 0 for month in known)
    lowest, highest = (f"{month['month']} {number(month['rank_ic'])}" for month in (known[0], known[-1]))
    return f"\nRank IC by month: above 0 in {positive} of {len(known)}, lowest {lowest}, highest {highest}"


def number(value: float | None, digits: int = 4) -> str:
    """Write a number; what is undefined stays a word."""
    return "undefined" if value is None else f"{value:.{digits}f}"


def p_value(value: float | None) -> str:
    """Write a p value; a small one is not nothing."""
    return "<0.001" if value is not None and value < 0.001 else number(value, 3)

"""Whether the predictions put names in the right order: IC by month, added up, and in numbers."""

from collections.abc import Sequence

import numpy as np

from seawall.report import captions
from seawall.report.charts import decay_chart, ic_by_month_chart, ic_running_chart
from seawall.report.fields import Fields
from seawall.report.markup import Section, details, figure, missing, note, section, table
from seawall.report.records import Block, Daily, RunRecords
from seawall.report.trust import band, sign_in_words
from seawall.report.words import UNDEFINED, decimal, percent, probability, significant, whole

IC_HEADER = (
    "", "mean", "95 % band", "ICIR", "share > 0", "t plain", "t_hac", "p (t_hac)", "≠ 0 at 5 %", "dates", "undefined",
)  # fmt: skip
TESTS_HEADER = ("", "plain", "HAC", "Newey–West", "non-overlapping", "p HAC", "p Newey–West", "p non-overlapping")
POOLED_HEADER = ("", "predictions", "RMSE", "MAE", "R²", "bias", "Pearson", "pooled t")


def prediction_section(run: RunRecords) -> Section:
    """Show IC over time and in numbers."""
    parts: list[str] = []
    if run.daily is not None and len(run.daily.times):
        parts += _charts(run.daily)
    if run.overall is None:
        parts.append(missing("The predictions have not been evaluated yet."))
    else:
        parts += _tables([run.overall, *run.paths, *run.blocks])
    return section("prediction", "Prediction", captions.PREDICTION_LEAD, parts)


def _charts(daily: Daily) -> list[str]:
    has_months = np.issubdtype(daily.times.dtype, np.datetime64)
    title, caption = (
        ("Rank IC by month", captions.IC_MONTHS) if has_months else ("Rank IC over time", captions.IC_BLOCKS)
    )
    return [
        figure(ic_by_month_chart(daily), title, caption),
        figure(ic_running_chart(daily), "IC added up", captions.IC_RUNNING),
    ]


def _tables(blocks: Sequence[Block]) -> list[str]:
    overall = blocks[0]
    pooled = [(_name(block), *_pooled_row(block.pooled)) for block in blocks]
    tests = [("Rank IC", *_tests_row(overall.rank_ic)), ("IC", *_tests_row(overall.ic))]
    return [
        table(IC_HEADER, [_ic_row(_name(block), block.rank_ic) for block in blocks], caption="Rank IC"),
        table(IC_HEADER, [_ic_row(_name(block), block.ic) for block in blocks], caption="IC"),
        note(captions.IC_TABLE),
        *_tails(overall),
        *_decay(overall),
        *_in_sample(blocks[1:]),
        *_horizons(overall),
        *_groups(overall),
        *_years(overall),
        details("Every t of the mean", [table(TESTS_HEADER, tests)]),
        details("Errors over all predictions", [table(POOLED_HEADER, pooled), note(captions.POOLED)]),
    ]


def _tails(overall: Block) -> list[str]:
    """Show spread and tails of all dates, then what one number says of them."""
    names = (
        ("spread of the target, highest less lowest group", "spread"),
        ("IC in the top fifth", "top_ic"),
        ("IC in the bottom fifth", "bottom_ic"),
    )
    rows = [_ic_row(name, overall.more.part(key)) for name, key in names if overall.more.part(key)]
    whole_numbers = [
        ("monotonicity of the groups", decimal(overall.more.number("monotonicity"), 2)),
        ("autocorrelation of ranks, one date to the next", decimal(overall.more.number("autocorrelation"), 3)),
        ("turnover of the top group, a date", percent(overall.more.number("turnover"))),
        ("predictions with an outcome", percent(overall.more.number("coverage"), 2)),
    ]
    known = [row for row in whole_numbers if row[1] != UNDEFINED]
    parts: list[str] = [table(IC_HEADER, rows, caption="Spread and tails"), note(captions.IC_MORE)] if rows else []
    return parts + ([table(("of the order", "mean"), known), note(captions.IC_WHOLE)] if known else [])


def _decay(overall: Block) -> list[str]:
    lags = overall.more.parts("decay")
    if not lags:
        return []
    rows = [_ic_row(f"{lag.count('lag')} dates", lag) for lag in lags]
    chart = figure(decay_chart(lags), "Decay of the IC", captions.IC_DECAY)
    return [chart, details("Decay in numbers", [table(IC_HEADER, rows)])]


def _in_sample(blocks: Sequence[Block]) -> list[str]:
    """Set each model's train segment beside its test segment."""
    rows: list[tuple[str, ...]] = []
    for block in blocks:
        learnt = block.more.part("in_sample")
        if learnt and block.fold is not None:
            rows.append(_ic_row(f"{_name(block)}, train", learnt.part("rank_ic")))
            rows.append(_ic_row(f"{_name(block)}, test", block.rank_ic))
    shown: list[str] = [
        table(IC_HEADER, rows, caption="Rank IC in sample and out of sample"),
        note(captions.IC_IN_SAMPLE),
    ]
    return shown if rows else []


def _horizons(overall: Block) -> list[str]:
    rows = [_ic_row(f"{of.count('horizon_periods')} periods", of) for of in overall.more.parts("horizons")]
    shown = [table(IC_HEADER, rows, caption="IC with what is earned over the next")]
    return [*shown, note(captions.IC_HORIZONS)] if rows else []


def _groups(overall: Block) -> list[str]:
    groups = overall.more.parts("groups")
    if not groups:
        return []
    of = groups[0].text("of") or "group"
    rows = [_ic_row(group.text("group") or "", group.part("rank_ic")) for group in groups]
    return [table(IC_HEADER, rows, caption=f"Rank IC by {of}")]


def _years(overall: Block) -> list[str]:
    rows = [
        (
            year.text("year") or "",
            decimal(year.number("rank_ic")),
            decimal(year.number("ic")),
            whole(year.number("num_dates")),
        )
        for year in overall.more.parts("years")
    ]
    return [table(("year", "mean Rank IC", "mean IC", "dates"), rows, caption="By year")] if rows else []


def _tests_row(ic: Fields) -> tuple[str, ...]:
    kinds = ("plain", "hac", "newey_west", "non_overlapping")
    t = [decimal(ic.number(f"t_{kind}"), 2) for kind in kinds]
    return (*t, *(probability(ic.number(f"p_{kind}")) for kind in kinds[1:]))


def _name(block: Block) -> str:
    if block.path is not None:
        return f"path {block.path}"
    return "all folds" if block.fold is None else f"fold {block.fold}"


def _ic_row(name: str, ic: Fields) -> tuple[str, ...]:
    return (
        name,
        decimal(ic.number("mean")),
        band(ic),
        decimal(ic.number("icir"), 3),
        percent(ic.number("share_positive")),
        decimal(ic.number("t_plain"), 2),
        decimal(ic.number("t_hac"), 2),
        probability(ic.number("p_hac")),
        sign_in_words(ic),
        whole(ic.number("num_dates")),
        whole(ic.number("num_undefined")),
    )


def _pooled_row(pooled: Fields) -> tuple[str, ...]:
    numbers = [significant(pooled.number(key)) for key in ("rmse", "mae", "r2", "bias", "pearson")]
    return (whole(pooled.number("n")), *numbers, decimal(pooled.number("pooled_t"), 2))

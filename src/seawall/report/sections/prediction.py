"""Whether the predictions put names in the right order: IC by month, added up, and in numbers."""

from collections.abc import Sequence

import numpy as np

from seawall.report import captions
from seawall.report.charts import ic_by_month_chart, ic_running_chart
from seawall.report.facts import verdict
from seawall.report.fields import Fields
from seawall.report.markup import Html, details, figure, missing, note, section, table
from seawall.report.records import Block, Daily, RunRecords
from seawall.report.words import decimal, percent, probability, significant, whole

IC_HEADER = ("", "mean", "ICIR", "share > 0", "t plain", "t_hac", "p (t_hac)", "dates", "undefined", "in words")
POOLED_HEADER = ("", "predictions", "RMSE", "MAE", "R²", "bias", "Pearson", "pooled t")


def prediction_section(run: RunRecords) -> Html:
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
    pooled = [(_name(block), *_pooled_row(block.pooled)) for block in blocks]
    return [
        table(IC_HEADER, [_ic_row(block, block.rank_ic) for block in blocks], caption="Rank IC"),
        table(IC_HEADER, [_ic_row(block, block.ic) for block in blocks], caption="IC"),
        note(captions.IC_TABLE),
        details("Errors over all predictions", [table(POOLED_HEADER, pooled), note(captions.POOLED)]),
    ]


def _name(block: Block) -> str:
    if block.path is not None:
        return f"path {block.path}"
    return "all folds" if block.fold is None else f"fold {block.fold}"


def _ic_row(block: Block, ic: Fields) -> tuple[str, ...]:
    return (
        _name(block),
        decimal(ic.number("mean")),
        decimal(ic.number("icir"), 3),
        percent(ic.number("share_positive")),
        decimal(ic.number("t_plain"), 2),
        decimal(ic.number("t_hac"), 2),
        probability(ic.number("p_hac")),
        whole(ic.number("num_dates")),
        whole(ic.number("num_undefined")),
        verdict(ic),
    )


def _pooled_row(pooled: Fields) -> tuple[str, ...]:
    numbers = [significant(pooled.number(key)) for key in ("rmse", "mae", "r2", "bias", "pearson")]
    return (whole(pooled.number("n")), *numbers, decimal(pooled.number("pooled_t"), 2))

"""The sections of the page on results: each builds its markup from records and says so plainly where a record is missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seawall.report import colours
from seawall.report.charts import (
    equity_chart,
    folds_chart,
    ic_by_month_chart,
    ic_running_chart,
    quantile_chart,
    training_chart,
)
from seawall.report.fields import Fields
from seawall.report.markup import Html, card, details, element, figure, missing, note, section, swatches, table
from seawall.report.records import Block, RunRecords, Segment, Strategy, Training
from seawall.report.words import (
    Finding,
    best_strategy,
    cost_drag,
    decimal,
    duration,
    findings,
    peak_unit,
    percent,
    probability,
    significant,
    size,
    verdict,
    warnings,
    when,
    whole,
)

MAX_TRAINING_CHARTS = 24
"""Folds drawn one by one: more would be a wall of pictures. The table names all."""


def summary_section(run: RunRecords) -> Html:
    """Answer the four questions a reader has, show the key numbers, and list the warnings."""
    found = warnings(run)
    parts = [element("div", [_finding(finding) for finding in findings(run)], style="findings"), _cards(run)]
    if found:
        items = [element("li", text) for text in found]
        parts.append(element("div", [element("h3", "Before you believe it"), element("ul", items)], style="warnings"))
    else:
        parts.append(note("No stage gave a warning."))
    return element("section", [element("h2", "Summary"), *parts], name="summary")


def _finding(finding: Finding) -> Html:
    details_of = [element("p", text) for text in finding.details]
    return element(
        "div",
        [element("h3", finding.question), element("p", finding.answer, style="answer"), *details_of],
        style="finding",
    )


def _cards(run: RunRecords) -> Html:
    cards = []
    if run.overall is not None:
        rank_ic = run.overall.rank_ic
        below = f"t_hac {decimal(rank_ic.number('t_hac'), 2)}, p {probability(rank_ic.number('p_hac'))}"
        cards.append(card("Mean Rank IC", decimal(rank_ic.number("mean")), below))
    if best := best_strategy(run):
        numbers = best.statistics
        cards.append(card("Best return a year, after costs", percent(numbers.number("annual_return")), best.name))
        cards.append(
            card(
                "Its Sharpe ratio",
                decimal(numbers.number("sharpe"), 2),
                f"volatility {percent(numbers.number('annual_volatility'))}",
            )
        )
        cards.append(card("Its worst drawdown", percent(numbers.number("max_drawdown")), _drawdown_span(numbers)))
    if (peak := peak_unit(run)) and run.declared_bytes:
        used = peak.measured_total_bytes or 0.0
        cards.append(
            card("Peak memory", size(used), f"of {size(run.declared_bytes)} declared", share=used / run.declared_bytes)
        )
    if run.units:
        wall, cpu = (sum(getattr(unit, key) or 0.0 for unit in run.units) for key in ("wall_seconds", "cpu_seconds"))
        cards.append(card("Time of all units", duration(wall), f"{duration(cpu)} of CPU"))
    return element("div", cards, style="cards")


def _drawdown_span(numbers: Fields) -> str:
    start, end = numbers.text("max_drawdown_start"), numbers.text("max_drawdown_end")
    return f"{when(start)} to {when(end)}" if start and end else ""


def money_section(run: RunRecords) -> Html:
    """Show equity and drawdown of every strategy, its statistics, and the rules and costs it was run with."""
    lead = "What each strategy would have done to one unit of money, with every cost taken off."
    if not run.strategies:
        return section("money", "After costs", lead, [missing("There is no backtest in this run yet.")])
    parts = []
    if any(strategy.equity is not None for strategy in run.strategies):
        caption = (
            "Equity starts at 1.0 on the first decision; orders are filled after the delay below, never at the price they were decided on. "
            "Click “before costs” in the legend to see the same trades without costs: the distance between the lines is what trading took. "
            "Drawdown is the distance below the highest equity so far."
        )
        parts.append(figure(equity_chart(run.strategies), "Equity and drawdown", caption))
    parts += [_statistics_table(run.strategies), _rules_table(run.strategies)]
    return section("money", "After costs", lead, parts)


def _statistics_table(strategies: Sequence[Strategy]) -> Html:
    header = (
        *("strategy", "return / year", "volatility", "Sharpe", "max drawdown", "from – to", "turnover / year"),
        *("costs / year", "total return", "hit rate", "trades", "not filled"),
    )
    rows = [
        (
            strategy.name,
            percent(numbers.number("annual_return")),
            percent(numbers.number("annual_volatility")),
            decimal(numbers.number("sharpe"), 2),
            percent(numbers.number("max_drawdown")),
            _drawdown_span(numbers) or "–",
            f"{decimal(numbers.number('annual_turnover'), 1)} ×",
            percent(cost_drag(strategy), 2),
            percent(numbers.number("total_return")),
            percent(numbers.number("hit_rate")),
            whole(numbers.number("num_trades")),
            whole(numbers.number("num_rejected")),
        )
        for strategy in strategies
        for numbers in (strategy.statistics,)
    ]
    explained = (
        "Sharpe is mean over standard deviation of period returns, annualised, with no riskless rate. Turnover counts buys plus sells "
        "over equity. Costs a year are the mean difference of returns before and after costs, times the periods of a year. "
        "Hit rate is the share of periods with a gain among those that moved."
    )
    return Html(table(header, rows) + note(explained))


def _rules_table(strategies: Sequence[Strategy]) -> Html:
    configs = [_flat(strategy.statistics.part("config").values) for strategy in strategies]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    for strategy, config in zip(strategies, configs, strict=True):
        for key in ("periods_per_year", "compounding"):
            if key not in config and (value := strategy.statistics.values.get(key)) is not None:
                config[key] = str(value)
                keys = list(dict.fromkeys([*keys, key]))
    if not keys:
        return missing("The rules and costs of the strategies were not recorded.")
    rows = [(key, *(config.get(key, "–") for config in configs)) for key in keys]
    return table(("rules and costs", *(strategy.name for strategy in strategies)), rows)


def _flat(values: object, prefix: str = "") -> dict[str, str]:
    if not isinstance(values, dict):
        return {prefix: "–" if values is None else str(values)}
    found: dict[str, str] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def prediction_section(run: RunRecords) -> Html:
    """Show IC over time and in numbers."""
    lead = "Does a higher prediction go with a better outcome, among the names of one date?"
    parts: list[str] = []
    if run.daily is not None and len(run.daily.times):
        parts += [
            figure(
                ic_by_month_chart(run.daily),
                "Rank IC by month",
                "Rank IC is the correlation, on one date, between the order of the predictions and the order of what followed: 1 is a perfect "
                "order, 0 is chance. Each cell is the mean over the test dates of a month. Blue is good, orange is wrong, pale is chance; "
                "skill shows as blue spread over the years, luck as a few dark cells.",
            ),
            figure(
                ic_running_chart(run.daily),
                "IC added up",
                "Daily values summed from the first test date. A steady climb means the model works most of the time; a flat line means it does not. "
                "IC uses the sizes of predictions and outcomes, Rank IC only their order, so Rank IC is not moved by a few extreme names.",
            ),
        ]
    if run.overall is None:
        parts.append(missing("The predictions have not been evaluated yet."))
    else:
        parts += _ic_tables(run.overall, run.blocks)
    return section("prediction", "Prediction", lead, parts)


def _ic_tables(overall: Block, blocks: Sequence[Block]) -> list[str]:
    everything = [overall, *blocks]
    header = ("", "mean", "ICIR", "share > 0", "t plain", "t_hac", "p (t_hac)", "dates", "undefined", "in words")
    tables = [
        table(header, [_ic_row(block, ic) for block, ic in zip(everything, series, strict=True)], caption=name)
        for name, series in (("Rank IC", [b.rank_ic for b in everything]), ("IC", [b.ic for b in everything]))
    ]
    explained = (
        "ICIR is the mean divided by the standard deviation over dates. Targets of neighbouring dates overlap when they look several periods ahead, "
        "so the dates are not independent and the plain t claims too much; t_hac allows for the overlap and is the one to read. "
        "A date with too few names or without variance is undefined: counted, and left out."
    )
    pooled_header = ("", "predictions", "RMSE", "MAE", "R²", "bias", "Pearson", "pooled t")
    pooled = [(_fold_name(block), *_pooled_row(block.pooled)) for block in everything]
    pooled_note = "All predictions thrown together. The pooled t treats every prediction as independent, which names of one date are not."
    return [
        *tables,
        note(explained),
        details("Errors over all predictions", [table(pooled_header, pooled), note(pooled_note)]),
    ]


def _fold_name(block: Block) -> str:
    return "all folds" if block.fold is None else f"fold {block.fold}"


def _ic_row(block: Block, ic: Fields) -> tuple[str, ...]:
    return (
        _fold_name(block),
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


def quantile_section(run: RunRecords) -> Html:
    """Show what followed low and high predictions."""
    lead = "Each date's names are sorted by prediction into equal groups; what happened to each group afterwards?"
    overall = run.overall
    if overall is None or not overall.quantiles:
        return section("quantiles", "Quantiles", lead, [missing("Quantile returns have not been computed yet.")])
    target = run.panel.target(run.metrics.text("target")) if run.panel else Fields({})
    is_return = target.text("kind") == "forward_return"
    caption = (
        "Mean target of each group, averaged over dates, before costs: Q1 holds the lowest predictions and the last group the highest. A useful model "
        "climbs from left to right. Grey dots are single folds: where they scatter as widely as the bars differ, the order is not reliable."
    )
    chart = quantile_chart(overall, run.blocks, is_return=is_return)
    return section("quantiles", "Quantiles", lead, [figure(chart, "Outcome by quantile of prediction", caption)])


def folds_section(run: RunRecords) -> Html:
    """Show the segments of each fold in time and how many samples each has."""
    lead = "The model is trained again and again on the past and tested on what came next; no test date is ever trained on before."
    if not run.folds:
        return section("folds", "Folds", lead, [missing("The folds have not been laid out yet.")])
    caption = (
        "One row per fold. Train fits the weights, valid chooses when to stop, test is only predicted. A sample whose target reaches into the next "
        "segment is purged, so no segment knows the next one’s outcome."
    )
    header = ("fold", "segment", "first date", "last date", "dates", "samples", "purged")
    rows = [(str(fold.fold), *_segment_row(segment)) for fold in run.folds for segment in fold.segments]
    return section(
        "folds",
        "Folds",
        lead,
        [figure(folds_chart(run.folds), "Folds in time", caption), table(header, rows, num_left=2)],
    )


def _segment_row(segment: Segment) -> tuple[str, ...]:
    counts = (segment.num_dates, segment.num_samples, segment.num_purged)
    return (segment.kind, when(segment.first_time), when(segment.last_time), *(whole(count) for count in counts))


def training_section(run: RunRecords) -> Html:
    """Show losses and valid IC by epoch, fold by fold."""
    lead = "How each fold’s model learned, epoch by epoch."
    if not run.trainings:
        return section("training", "Training", lead, [missing("No model has been trained yet.")])
    legend = swatches(
        [
            ("train loss", colours.SEGMENTS["train"]),
            ("valid loss and valid IC", colours.SEGMENTS["valid"]),
            ("epoch kept", colours.QUIET),
        ]
    )
    drawn = run.trainings[:MAX_TRAINING_CHARTS]
    charts = [figure(training_chart(training), f"Fold {training.fold}", "") for training in drawn]
    explained = (
        "Train loss falling while valid loss rises means the model is learning the past by heart; the epoch with the best valid result is kept "
        "(dashed line). The lower panel is the IC on the valid segment."
    )
    if len(drawn) < len(run.trainings):
        explained += f" The first {len(drawn)} folds are drawn; the table has all {len(run.trainings)}."
    header = (
        "fold",
        "stopped by",
        "epochs",
        "epoch kept",
        "train loss",
        "valid loss",
        "valid IC",
        "parameters",
        "time",
    )
    rows = [_training_row(training) for training in run.trainings]
    return section(
        "training",
        "Training",
        lead,
        [legend, element("div", charts, style="small-charts"), note(explained), table(header, rows, num_left=2)],
    )


def _training_row(training: Training) -> tuple[str, ...]:
    seconds = training.curve("seconds")
    known: Any = float(np.nansum(seconds)) if len(seconds) and not np.isnan(seconds).all() else None
    return (
        str(training.fold),
        training.stopped or "–",
        whole(len(training.epochs)),
        "–" if training.best_epoch is None else str(training.best_epoch),
        significant(training.best.number("train_loss")),
        significant(training.best.number("valid_loss")),
        decimal(training.best.number("valid_ic")),
        whole(training.model.number("num_parameters")),
        duration(known),
    )

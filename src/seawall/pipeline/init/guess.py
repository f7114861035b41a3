"""From what a look at the tables found to the keys of a config, each with its reason."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from seawall.errors import DataError
from seawall.pipeline.init.calendar import Clock, clock_of, folds_of, horizon_of, lookback_of
from seawall.pipeline.init.columns import Columns, quoted, recipe_of, sort_columns, unused
from seawall.pipeline.init.names import HIGH_NAMES, LOW_NAMES, OPEN_NAMES
from seawall.pipeline.init.text import Guess

MOST_REPEATED_SHARE = 0.01
"""Repeated keys beyond this share mean that the keys are wrong, not the rows."""

MANY_ROWS = 200_000
SMALL_ROWS = 50_000

Found = Mapping[str, Any]
"""What :func:`seawall.pipeline.init.look.look_at_sources` gives."""


def guesses_of(found: Found, *, memory: str) -> list[Guess]:
    """Guess every key of a config.

    Raises
    ------
    DataError
        Where what was found must not be guessed over: repeated keys, too few dates, no feature.
    """
    survey, keys = found["survey"], found["keys"]
    _check_repeated(survey, keys)
    clock = clock_of(survey, int(found["estimated_rows"]))
    is_wide = "wide" in keys["layout"]
    columns = sort_columns(
        found["numbers"], survey, (keys["entity"], keys["time"]), price=found["price"], is_wide=is_wide
    )
    name = run_name(str(found["stem"]))
    top = [
        Guess("name", name, "Shown in the report; named after the file."),
        Guess("output", f"runs/{name}", "Run folder: panel, models, predictions and report.html are written into it."),
        Guess(
            "memory",
            {"budget": memory},
            "Every stage is planned to stay under this, and refused before any work if it cannot: seawall plan shows"
            " each claim.",
            "more makes nothing more exact; leave it out to take what the machine has.",
        ),
    ]
    ingest, target = _ingest(found, columns, clock)
    return [*top, *ingest, *_train(found, columns, clock, target), *_after(columns, clock, survey)]


def run_name(stem: str) -> str:
    """Make a run's name from a file's."""
    return re.sub(r"[^\w.-]+", "_", stem).strip("._")[:60] or "run"


def _check_repeated(survey: Mapping[str, Any], keys: Mapping[str, Any]) -> None:
    repeated, rows = int(survey["num_repeated"]), max(1, int(survey["num_rows"]))
    if repeated > MOST_REPEATED_SHARE * rows:
        others = ", ".join((*keys["other_entities"], *keys["other_times"])) or "none seen"
        raise DataError(
            f"keys {keys['entity']!r} and {keys['time']!r}",
            "they do not tell the rows apart",
            found=f"{repeated:,} of {rows:,} rows whose key occurred before",
            do=f"Name the right columns with --entity and --time. Other candidates: {others}.",
        )


def _ingest(found: Found, columns: Columns, clock: Clock) -> tuple[list[Guess], str]:
    survey = found["survey"]
    guesses = [_sources(found), *_keys(found), *_how_written(found)]
    if columns.prices:
        guesses.append(
            Guess(
                "ingest.prices",
                list(columns.prices),
                "Named like prices and above zero: kept in full precision, for returns and trades.",
                "drop those that are no prices, or take their names out here and they become plain columns.",
            )
        )
    recipe = recipe_of(columns, found["numbers"])
    kind, target, value, why, otherwise = _target(columns, clock)
    read = [*columns.sizes, *columns.plain, *(columns.targets[:1] if kind == "own" else ())]
    if read:
        guesses.append(Guess("ingest.values", read, _values_why(columns)))
    guesses += _adjustment(columns, survey)
    if recipe.drop_rows:
        zeros = max(int(survey["columns"][name]["num_not_positive"]) for name in columns.prices)
        why_drop = (
            f"A price of zero is no price ({zeros:,} rows read have one); each rule sees one row, and is counted."
        )
        guesses.append(Guess("ingest.drop_rows", recipe.drop_rows, why_drop))
    if recipe.derived:
        guesses.append(Guess("ingest.derived", recipe.derived, "Helpers that features build on; not stored."))
    if not recipe.features:
        raise DataError("features", "no column is left to learn from", do="Bring a column of numbers that varies.")
    guesses.append(_features(recipe.features, columns))
    guesses.append(Guess("ingest.targets", {target: value}, why, otherwise))
    return guesses, target


def _sources(found: Found) -> Guess:
    survey = found["survey"]
    rows = f"{survey['num_rows']:,} rows" if survey["is_complete"] else f"about {found['estimated_rows']:,} rows"
    files = f"{found['num_files']:,} files, " if found["num_files"] > 1 else ""
    dates = f"{survey['num_dates']:,} dates" if survey["is_complete"] else "dates"
    why = f"{files}{rows}, {survey['num_entities']:,} entities seen, {dates} from {survey['first_time']}"
    return Guess("ingest.sources", list(found["sources"]), f"{why} to {survey['last_time']}.")


def _keys(found: Found) -> list[Guess]:
    keys, static = found["keys"], found["static"]
    listed = ", ".join(keys["other_entities"])
    times = ", ".join(keys["other_times"])
    guesses = [
        Guess("ingest.entity", keys["entity"], f"What a row is about: {keys['why_entity']}.", listed and f"{listed}."),
        Guess("ingest.time", keys["time"], f"When: {keys['why_time']}.", times and f"{times}."),
    ]
    if keys["time_format"] is not None:
        guesses.append(Guess("ingest.time_format", keys["time_format"], "As told."))
    if static is not None:
        how = "the table given has no times; its panel was found beside it" if static["was_found"] else "as given"
        why = f"One row for each {static['entity']}, no times: attributes of the entities ({how})."
        guesses.append(Guess("ingest.static", {"source": static["source"], "entity": static["entity"]}, why))
    return guesses


def _how_written(found: Found) -> list[Guess]:
    survey, guesses = found["survey"], []
    if found["layout"]:
        guesses.append(_layout(found["layout"]))
    if survey["num_repeated"]:
        why = f"Rows that repeat the key of an earlier one: {survey['num_repeated']:,}; the last one counts."
        guesses.append(Guess("ingest.duplicates", "last", why, "first; or error, to be told of each."))
    if survey["num_bad"]:
        why = f"Rows that do not parse, left out and counted: {survey['num_bad']:,} ({'; '.join(survey['bad'][:2])})."
        most = survey["num_bad"] if survey["is_complete"] else max(100, 10 * int(survey["num_bad"]))
        guesses.append(Guess("ingest.max_bad_rows", most, why, "0 once the file is mended."))
    return guesses


def _layout(layout: Mapping[str, Any]) -> Guess:
    if "wide" in layout:
        why = "The columns are entities; wide names what their cells hold."
        otherwise = "where the columns are features of one entity, entity_from_file: '{entity}' in place of wide."
        return Guess("ingest.layout", dict(layout), why, otherwise)
    reasons = []
    if "entity_from_file" in layout:
        reasons.append("One file for each entity, named after the file.")
    if layout.keys() - {"entity_from_file"}:
        reasons.append("Decimal and thousands marks as most numbers are written.")
    return Guess("ingest.layout", dict(layout), " ".join(reasons))


def _values_why(columns: Columns) -> str:
    why = "Number columns that features and target are made from."
    if columns.left_out:
        listed = "; ".join(f"{name} ({reason})" for name, reason in list(columns.left_out.items())[:8])
        why += f" Left out: {listed}."
    if len(columns.targets) > 1:
        why += f" Not used, because their names say that they lie ahead: {', '.join(columns.targets[1:])}."
    return why


def _adjustment(columns: Columns, survey: Mapping[str, Any]) -> list[Guess]:
    jumps = int(survey["num_jumps"])
    if not columns.adjusts or not jumps:
        return []
    names = {"open": OPEN_NAMES, "high": HIGH_NAMES, "low": LOW_NAMES}
    roles = {role: columns.role(known) for role, known in names.items()} | {"close": columns.raw_close}
    value = {"detect": True, "min_ratio": 2.0} | {role: name for role, name in roles.items() if name != role}
    if columns.close != columns.raw_close:
        return []  # an adjusted close is there, and returns are taken from it
    why = (
        f"The price more than doubles or halves {jumps:,} times between neighbouring rows, as at splits. A whole bar on"
        " another scale becomes an adjustment factor, counted and listed; a real move stays."
    )
    return [Guess("ingest.adjustment", value, why, "take it out where prices are adjusted already.")]


def _features(features: dict[str, str], columns: Columns) -> Guess:
    if columns.close is None:
        why = "Every number column as it is at that row, the past of what is predicted among them."
    else:
        why = (
            "Returns, volatility and place in the range of the price, sizes beside their own last 20 rows, other"
            " columns as they are."
        )
    why += " SQL over the rows of one entity; what looks ahead is refused."
    return Guess("ingest.features", features, why, "feature_sets: [bars_basic] or [alpha158] for bars with a volume.")


def _target(columns: Columns, clock: Clock) -> tuple[str, str, dict[str, Any], str, str]:
    """Give kind, name, definition, reason and what else it could be."""
    if columns.targets:
        own = columns.targets[0]
        digits = re.findall(r"\d+", own)
        horizon = int(digits[-1]) if digits and 0 < int(digits[-1]) <= 260 else 1
        how = "from the number in its name" if digits else "a GUESS: nothing in its name says it"
        why = (
            f"{own} lies ahead, says its name. It is known {horizon} rows later ({how}): too short a horizon leaks the"
            " future into training, so check it."
        )
        value: dict[str, Any] = {"column": {"name": own, "horizon_periods": horizon}}
        return "own", own, value, why, "a forward_return of a price column."
    horizon, reason = horizon_of(clock)
    if columns.close is not None:
        name = f"fwd_ret_{horizon}"
        value = {"forward_return": {"column": columns.close, "horizon_periods": horizon, "delay_periods": 1}}
        why = (
            f"Return of {columns.close} over {horizon} rows ({reason}), from the row after the decision: what is"
            " decided on one row can be traded on the next at the earliest."
        )
        return "return", name, value, why, "another horizon, log: true, or market_neutral: true."
    column = columns.plain[-1] if columns.plain else ""
    if not column:
        raise DataError("target", "no column to predict", do="Bring a column of numbers that varies.")
    name = unused(f"next_{column}", list(columns.plain))
    value = {"expression": {"sql": f"lead({quoted(column)}, 1) OVER entity", "horizon_periods": 1}}
    why = f"No price is seen, so the value of {column}, the last number column, in the next row of its entity."
    return "ahead", name, value, why, f"any other column: {', '.join(columns.plain[:4])}."


def _train(found: Found, columns: Columns, clock: Clock, target: str) -> list[Guess]:
    rows = int(found["estimated_rows"])
    lookback, lookback_why = lookback_of(clock, int(found["survey"]["shortest_rows"]))
    lengths, folds_why = folds_of(clock)
    epochs = 4 if rows > MANY_ROWS else 8
    guesses = [
        Guess("train.target", target, "What is predicted."),
        Guess("train.lookback_periods", lookback, f"Rows a sample sees: {lookback_why}."),
        Guess(
            "train.folds", lengths, folds_why, "expanding: true keeps all history; lengths such as 3Y, 6M, 90d, 250."
        ),
        Guess(
            "train.model",
            {"kind": "lstm_attention", "hidden_size": 32},
            "Small and quick: tells within minutes whether there is anything to learn.",
            "hidden_size 64 where it is seen to underfit; docs/config.md lists the models.",
        ),
        Guess(
            "train.max_epochs",
            epochs,
            f"A first look: {'few passes over many rows' if rows > MANY_ROWS else 'passes over few rows are cheap'}.",
            "20, once the folds and the target are what you want.",
        ),
        Guess("train.patience", 2, "Passes without a better valid score before it stops."),
    ]
    if rows < SMALL_ROWS:
        guesses.append(Guess("train.batch_size", 64, f"About {rows:,} rows: larger batches would give too few steps."))
    return guesses


def _after(columns: Columns, clock: Clock, survey: Mapping[str, Any]) -> list[Guess]:
    names = int(survey["median_names"])
    fewest = min(10, max(3, names // 2))
    why = f"A date has {names} entities as a rule; fewer than this give no correlation across them that means a thing."
    if names < 3:
        why = "Too few entities to compare them on a date: the IC stays undefined, the errors are what to read."
    guesses = [
        Guess("evaluate.min_names", fewest, why),
        Guess("evaluate.num_quantiles", 5 if names >= 20 else 2, "Groups of entities by prediction."),
    ]
    if columns.close is None or names < 3:
        return guesses
    return guesses + _backtest(columns, clock, names)


def _backtest(columns: Columns, clock: Clock, names: int) -> list[Guess]:
    horizon = horizon_of(clock)[0]
    held = max(1, names // 5)
    per_year = {"day": 252.0, "week": 52.0, "month": 12.0}.get(clock.unit)
    counted = round(clock.num_dates / max(clock.span / (86_400 * 365.25), 1e-9), 1) if clock.kind != "step" else 252.0
    periods = per_year if per_year is not None and abs(per_year / counted - 1) < 0.1 else counted
    free = "an assumption, not your market's: write what you pay."
    close = columns.close
    strategy = {"name": f"top_{held}", "kind": "top_k", "k": held, "rebalance_periods": horizon}
    return [
        Guess("backtest.delay_periods", 1, "Decided on one date, traded on the next."),
        Guess("backtest.trade_price", close, "Orders are filled at this price.", "the open, if you trade there."),
        Guess("backtest.mark_price", close, "Positions are valued at it."),
        Guess("backtest.cost_bps", 10, f"Commission and fees per side, 1/10,000: {free}"),
        Guess("backtest.slippage_bps", 5, f"Half the spread, 1/10,000: {free}"),
        Guess("backtest.minimum_fee", 0, f"Least fee of an order: {free}"),
        Guess("backtest.periods_per_year", periods, "Dates of the calendar in a year, to annualise."),
        Guess(
            "backtest.strategies",
            [strategy],
            f"The best fifth by prediction ({held} of about {names}), renewed every {horizon} dates as the target is.",
            "quantile_long_short, which needs borrow_bps_per_year.",
        ),
    ]


def placed(guesses: Sequence[Guess], place: str) -> Guess | None:
    """Find the guess of a place."""
    return next((guess for guess in guesses if guess.place == place), None)

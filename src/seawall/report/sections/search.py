"""The parameter search: whether to believe it first, then what it is."""

from collections.abc import Callable, Iterator

import numpy as np

from seawall.report.charts_search import heat_chart, replay_chart
from seawall.report.fields import Fields
from seawall.report.markup import Html, Section, card, details, element, figure, note, section, table
from seawall.report.records import RunRecords
from seawall.report.words import decimal, duration, percent, probability, significant, size, whole

LEAD = (
    "Every combination was evaluated exactly on every entry before the hold-out; whatever was tried counts as a trial"
    " of the tests below."
)
GATE = (
    "The gate asks three things: is the best of everything tried more than luck (White's reality check), did choosing"
    " on the past earn in what came next, and how often does the winner of one half of time lose in the other. SPA, PBO"
    " and the deflated Sharpe ratio stand beside it: each of them alone misjudges some noise or some edge."
)
AGAINST_ZERO = (
    "These tests are against zero, not against holding the market: they ask whether anything was earned after costs."
    " Where most trades are long and the market rose, it may be the market's. The account shows what the same entities"
    " made when simply held, without costs, and what they moved in a holding as long as the mean trade."
)
HEAT = (
    "Each cell is the best plateau, the mean total over a combination and its grid neighbours, over all other levels. A"
    " broad field of one colour can be trusted more than a lonely peak. Blue earned, orange lost; stronger is more."
)
REPLAY = (
    "The same trades one after another with a capital limit, one position per entity and compounding; equity moves when"
    " positions close. Beside it equal parts of the same entities, bought at the beginning and held, without costs. The"
    " dashed line is where the hold-out begins."
)
BRACKET = (
    "Pessimistic: where stop and take-profit lie inside one bar, the stop comes first; optimistic: the take-profit. The"
    " ambiguous share says how many trades that concerns. Opportunities are hindsight and only a denominator. The t of"
    " the mean treats trades as independent; trades that overlap in time are not, so it looks surer than it is."
)
LIVE = "Refitted on all data, hold-out included: for a live program, and not out of sample."


def search_section(run: RunRecords) -> Section | None:
    """Show verdict, parameters, account, heat maps, walk-forward and replay of each signal type."""
    types = {name: Fields(part) for name, part in run.search.part("types").values.items() if isinstance(part, dict)}
    if not types:
        return None
    parts: list[Html] = [note(text) for text in run.search.texts("notes")]
    for number, (name, own) in enumerate(types.items()):
        parts += _type(number, name, own)
    return section("search", "Parameter search", LEAD, [*parts, _cost(run)])


def _type(number: int, name: str, own: Fields) -> Iterator[Html]:
    checks, chosen = own.part("validation"), own.part("chosen")
    yield element("h3", name)
    yield element("p", _verdict(own), style="answer")
    if honesty := own.part("honesty").text("sentence"):
        yield element("p", honesty, style="missing")
    yield element("div", _cards(own, chosen), style="cards")
    yield _gate(checks)
    yield note(GATE)
    yield note(AGAINST_ZERO)
    if overlap := checks.text("overlap"):
        yield note(overlap)
    yield _parameters(own)
    yield note(LIVE)
    yield _account(own)
    yield note(BRACKET)
    if own.part("sample"):
        yield note(_sample(own.part("sample"), own.part("account").part("search")))
    if heat := own.part("heat"):
        yield figure(
            heat_chart(f"search-{number}-brackets", heat, by_trail=False), f"{name}: take-profit and stop", HEAT
        )
        yield figure(heat_chart(f"search-{number}-trails", heat, by_trail=True), f"{name}: trail and holding", HEAT)
    start = own.part("spans").number("holdout_start")
    yield figure(replay_chart(f"search-{number}-replay", own.part("equity"), start), f"{name}: replay", REPLAY)
    yield _replays(own)
    more = [_walk(own), _weights(own), _starts(own), _screening(own), _exits(own)]
    yield details("Walk-forward, weights, starts and exits", more)


def _verdict(own: Fields) -> str:
    gate, held = own.part("validation").part("gate"), own.part("account").part("holdout")
    failed = [part.text("name") or "" for part in gate.parts("conditions") if part.values.get("passed") is not True]
    mean, t, num_trades = held.number("mean_return"), held.number("t"), whole(held.number("num_trades"))
    after = (
        "There is no hold-out."
        if mean is None
        else f"In the hold-out it made {_bps(mean)} a trade (t = {decimal(t, 2)}, {num_trades} trades)."
    )
    if failed:
        return f"Do not believe it: the gate is not passed ({', '.join(failed)}). {after}"
    if mean is not None and mean <= 0:
        return f"Be careful: the gate is passed, yet the hold-out lost. {after}"
    return f"The gate is passed. {after}"


def _cards(own: Fields, chosen: Fields) -> list[Html]:
    inside, checks = own.part("account").part("search"), own.part("validation")
    trades, trials = whole(inside.number("num_trades")), whole(own.number("num_trials"))
    return [
        card("Mean net return a trade", _bps(inside.number("mean_return")), f"{trades} trades"),
        card("Total, plateau of its neighbours", _bps(chosen.number("plateau_total")), "before the hold-out"),
        card("Captured by value", percent(inside.number("capture_rate_value")), "of the ideal of opportunities"),
        card("Reality check p", probability(checks.number("reality_check_p")), f"{trials} trials"),
    ]


def _gate(checks: Fields) -> Html:
    rows = [
        (part.text("name") or "", _value(part), part.text("limit") or "", _passed(part))
        for part in checks.part("gate").parts("conditions")
    ]
    sharpe = checks.part("deflated_sharpe")
    beside = [
        ("SPA p value", probability(checks.number("spa_p")), "beside the gate", ""),
        ("PBO", decimal(checks.number("pbo"), 3), "beside the gate", ""),
        (
            f"deflated Sharpe, {decimal(sharpe.number('effective_trials'), 1)} effective trials",
            decimal(sharpe.number("deflated_effective"), 3), "beside the gate", "",
        ),
        ("deflated Sharpe, all trials", decimal(sharpe.number("deflated_all"), 3), "beside the gate", ""),
    ]  # fmt: skip
    return table(("test", "value", "limit", "passed"), [*rows, *beside])


def _value(condition: Fields) -> str:
    value = condition.number("value")
    return _bps(value) if "profit" in (condition.text("name") or "") else decimal(value, 3)


def _passed(part: Fields) -> str:
    return "yes" if part.values.get("passed") is True else "no"


def _parameters(own: Fields) -> Html:
    keys = (
        "take_profit_bps", "stop_loss_bps", "trail_distance_bps", "trail_activation_bps", "holding_periods", "threshold"
    )  # fmt: skip
    chosen, live = own.part("chosen"), own.part("live")
    rows = [(key.replace("_", " "), _shown(chosen, key), _shown(live, key)) for key in keys]
    return table(("parameter", "chosen before the hold-out", "refitted on all data"), rows)


def _shown(fields: Fields, key: str) -> str:
    value = fields.number(key)
    return "off" if value is None else significant(value, 5)


def _account(own: Fields) -> Html:
    columns = [own.part("account").part(name) for name in ("search", "holdout")]
    lines: tuple[tuple[str, Callable[[Fields], str]], ...] = (
        ("trades", lambda part: whole(part.number("num_trades"))),
        ("mean net return a trade", lambda part: _bps(part.number("mean_return"))),
        ("t of the mean, trades taken as independent", lambda part: decimal(part.number("t"), 2)),
        ("long trades", lambda part: percent(part.number("long_share"))),
        ("win rate", lambda part: percent(part.number("win_rate"))),
        ("total, pessimistic", lambda part: _bps(part.number("pessimistic_total"))),
        ("total, optimistic", lambda part: _bps(part.number("optimistic_total"))),
        ("ambiguous, told by finer bars", lambda part: percent(part.number("resolved_share"), 2)),
        ("ambiguous, still", lambda part: percent(part.number("ambiguous_share"), 2)),
        ("opportunities", lambda part: whole(part.number("num_opportunities"))),
        ("captured, by count", lambda part: percent(part.number("capture_rate_count"))),
        ("captured, by value", lambda part: percent(part.number("capture_rate_value"))),
        ("bars held, mean", lambda part: decimal(part.number("mean_bars_held"), 1)),
    )
    rows = [(name, *(write(part) if part else "–" for part in columns)) for name, write in lines]
    held = [own.part("buy_and_hold").part(name) for name in ("search", "holdout")]
    rows += [
        ("same entities held, without costs", *(percent(part.number("total_return")) for part in held)),
        ("their move in a mean holding, long", *(_bps(part.number("return_per_mean_trade")) for part in held)),
    ]
    return table(("account", "before the hold-out", "hold-out"), rows)


def _sample(sample: Fields, exact: Fields) -> str:
    low, high = sample.number("low"), sample.number("high")
    bounds = "" if low is None or high is None else f", between {_bps(low)} and {_bps(high)}"
    return (
        f"Searched on a {sample.text('design')} sample of {whole(sample.number('num_sampled'))} entries. It estimates"
        f" a total of {_bps(sample.number('estimated_total'))}{bounds}; exact on all entries:"
        f" {_bps(exact.number('total_return'))}. {sample.text('sentence')}"
    )


def _replays(own: Fields) -> Html:
    rows = [
        (
            "chosen, all time" if number == 0 else f"best {number} of the grid", _exit(part),
            decimal(part.number("final_equity"), 3), percent(part.number("max_drawdown")), whole(part.number("taken")),
            whole(part.number("rejected_no_slot")), whole(part.number("rejected_entity_busy")),
        )
        for number, part in enumerate(own.parts("replays")[:11])
    ]  # fmt: skip
    header = ("replay", "take-profit / stop / trail / hold", "equity", "drawdown", "taken", "no slot", "entity busy")
    return table(header, rows, num_left=2)


def _exit(part: Fields) -> str:
    levels = [
        _shown(part, key) for key in ("take_profit_bps", "stop_loss_bps", "trail_distance_bps", "holding_periods")
    ]
    if part.number("trail_activation_bps"):
        levels[2] += f" from {_shown(part, 'trail_activation_bps')}"
    return " / ".join(levels)


def _walk(own: Fields) -> Html:
    rows = [
        (_date(part.number("test_from")), _date(part.number("test_until")), _bps(part.number("train_total")),
         _bps(part.number("test_total")))
        for part in own.parts("walk_forward")
    ]  # fmt: skip
    return table(("tested from", "until", "total while choosing", "total afterwards"), rows, num_left=2)


def _starts(own: Fields) -> Html:
    rows = [
        (str(number + 1), _exit(part), _bps(part.number("total_return")), _bps(part.number("plateau_total")))
        for number, part in enumerate(own.parts("starts"))
    ]
    return table(("start", "ended at take-profit / stop / trail / hold", "total", "plateau"), rows, num_left=2)


def _weights(own: Fields) -> Html:
    rows = []
    for part in own.part("phase2").parts("best"):
        weights = " / ".join(f"{weight:g}" for weight in part.items("weights")) or "–"
        threshold, trades = part.number("threshold"), whole(part.number("num_trades"))
        least = "all entries" if threshold is None else significant(threshold, 4)
        rows.append((weights, least, trades, _bps(part.number("total_return"))))
    return table(("weights of the scores", "least score", "trades", "total with the middle exit"), rows)


def _screening(own: Fields) -> Html:
    """Show each refined exit under the selection of each start: an exit that is good under one alone is luck."""
    lines = own.items("matrix")
    rows = [(f"selection {number + 1}", *(_bps(value) for value in line)) for number, line in enumerate(lines)]
    header = ("screening", *(f"exit of start {number + 1}" for number in range(len(lines))))
    return table(header, rows) if rows else Html("")


def _exits(own: Fields) -> Html:
    columns = [own.part("account").part(name).counts("exits") for name in ("search", "holdout")]
    reasons = [reason for reason in columns[0] if any(column.get(reason) for column in columns)]
    rows = [(reason.replace("_", " "), *(whole(column.get(reason, 0)) for column in columns)) for reason in reasons]
    return table(("exits by reason", "before the hold-out", "hold-out"), rows)


def _cost(run: RunRecords) -> Html:
    unit = next((unit for unit in run.units if unit.stage == "search"), None)
    if unit is None:
        return Html("")
    evaluations = sum(
        Fields(part).number("evaluations") or 0.0 for part in unit.summary.part("cost").values.values() if part
    )
    rate = evaluations / unit.cpu_seconds if unit.cpu_seconds else None
    peak, planned = size(unit.measured_private_bytes), size(unit.projected_private_bytes)
    return note(
        f"{whole(evaluations)} evaluations in {duration(unit.cpu_seconds)} of CPU ({significant(rate, 3)} a second,"
        f" reading and tests included); peak {peak} of {planned} planned."
    )


def _bps(value: float | None) -> str:
    return "undefined" if value is None else f"{decimal(1e4 * value, 1)} bps"


def _date(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(np.datetime64(int(value), "ns").astype("datetime64[D]")) if abs(value) > 1e15 else str(int(value))

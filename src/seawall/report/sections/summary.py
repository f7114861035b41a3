"""The answers a reader wants in ten seconds, the key numbers, and what to know before believing them."""

from seawall.report.cautions import warnings
from seawall.report.facts import best_strategy, peak_bytes
from seawall.report.fields import Fields
from seawall.report.markup import Html, Section, card, element, note, section
from seawall.report.records import RunRecords
from seawall.report.summary import Finding, findings
from seawall.report.words import decimal, percent, probability, size, when


def summary_section(run: RunRecords) -> Section:
    """Build the summary."""
    found = warnings(run)
    parts = [element("div", [_finding(finding) for finding in findings(run)], style="findings"), _cards(run)]
    if found:
        items = [element("li", text) for text in found]
        parts.append(element("div", [element("h3", "Before you believe it"), element("ul", items)], style="warnings"))
    else:
        parts.append(note("No stage gave a warning."))
    return section("summary", "Summary", "", parts)


def _finding(finding: Finding) -> Html:
    details = [element("p", text) for text in finding.details]
    parts = [element("h3", finding.question), element("p", finding.answer, style="answer"), *details]
    return element("div", parts, style="finding")


def _cards(run: RunRecords) -> Html:
    cards = []
    if run.overall is not None:
        rank_ic = run.overall.rank_ic
        below = f"p {probability(rank_ic.number('p_hac'))} by t_hac"
        cards.append(card("Mean Rank IC", decimal(rank_ic.number("mean")), below))
    if best := best_strategy(run):
        cards += _money_cards(best.name, best.statistics)
    if (used := peak_bytes(run)) is not None and run.declared_bytes:
        below = f"of {size(run.declared_bytes)} declared"
        cards.append(card("Peak memory", size(used), below, share=used / run.declared_bytes))
    return element("div", cards, style="cards")


def _money_cards(name: str, numbers: Fields) -> list[Html]:
    volatility = f"volatility {percent(numbers.number('annual_volatility'))}"
    return [
        card("Best return a year", percent(numbers.number("annual_return")), f"{name}, after costs"),
        card("Its Sharpe ratio", decimal(numbers.number("sharpe"), 2), volatility),
        card(
            "Its worst drawdown",
            percent(numbers.number("max_drawdown")),
            f"deepest {when(numbers.text('max_drawdown_end'))}",
        ),
    ]

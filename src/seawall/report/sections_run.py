"""The sections of the page on how the run was made: memory, data quality, configuration."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from seawall.report.charts import timeline_chart, units_chart
from seawall.report.fields import Fields
from seawall.report.markup import Html, details, element, figure, missing, note, section, table
from seawall.report.records import RunRecords, Unit
from seawall.report.words import UNDEFINED, decimal, duration, percent, size, times, when, whole
from seawall.units import KIB, MIB

MAX_BREAKS = 200
MAX_COLUMNS = 40
"""Rows shown of long lists; how many there are is always said."""

PACKAGES = ("seawall", "numpy", "scipy", "pyarrow", "duckdb", "torch", "plotly", "pydantic")


def memory_section(run: RunRecords) -> Html:
    """Show projected against measured memory per unit and over time, and the claims behind the projections."""
    lead = "What each unit of work was allowed, what the plan said it would need, and what the meter saw."
    parts: list[str] = []
    if run.units:
        caption = (
            "Grey is the peak the plan promised before the work began, blue is the highest private memory measured, the dashed line is the budget. "
            "Private memory is what the kernel cannot take back. Blue must end inside grey, and grey left of the line."
        )
        parts.append(figure(units_chart(run.units, run.declared_bytes), "Projected and measured", caption))
    if run.timeline is not None and len(run.timeline.seconds):
        caption = (
            f"{run.timeline.num_samples:,} samples of the whole run, parent and children together. Each stage runs in its own process, so the curve "
            "drops when a stage ends. The thin dark band is the parent that waits. The container’s own count, page cache included, can be switched on "
            "in the legend: cached file pages are given back whenever memory is asked for."
        )
        stages = {unit.name: unit.stage for unit in run.units}
        parts.append(figure(timeline_chart(run.timeline, stages, run.declared_bytes), "Memory over time", caption))
    if not parts:
        return section("memory", "Memory", lead, [missing("No unit has been measured yet.")])
    header = ("unit", "held by", "projected", "measured", "parent", "container peak", "wall", "CPU")
    parts.append(table(header, [_unit_row(unit) for unit in run.units], num_left=2))
    parts.append(
        note(
            "The report itself is not in the table: it is written before its own measurement ends. A container peak is undefined where there was no container to count."
        )
    )
    if claims := list(_claims(run.plan)):
        parts.append(
            details(
                "Claims: what each stage said it would need, and why",
                [table(("stage", "purpose", "why", "bytes"), claims, num_left=3)],
            )
        )
    return section("memory", "Memory", lead, parts)


def _unit_row(unit: Unit) -> tuple[str, ...]:
    sizes = (
        unit.projected_private_bytes,
        unit.measured_private_bytes,
        unit.parent_private_bytes,
        unit.cgroup_peak_bytes,
    )
    return (
        unit.name,
        unit.fence or "–",
        *(size(value) for value in sizes),
        duration(unit.wall_seconds),
        duration(unit.cpu_seconds),
    )


def _claims(plan: Fields, place: str = "") -> Iterable[tuple[str, ...]]:
    """Find every stage plan, wherever in ``plan.json`` it stands."""
    if claims := plan.parts("private"):
        name = place or plan.text("stage") or ""
        yield from ((name, c.text("purpose") or "", c.text("formula") or "", size(c.number("bytes"))) for c in claims)
        return
    for key, value in plan.values.items():
        if isinstance(value, dict):
            yield from _claims(Fields(value), key)
    for key in plan.values:
        for part in plan.parts(key):
            yield from _claims(part, part.text("unit") or part.text("stage") or key)


def data_section(run: RunRecords) -> Html:
    """Show what ingest counted, left out, corrected and found odd."""
    lead = "What was read, what was left out and why, and what looked odd."
    found = run.ingest
    if not found:
        return section("data", "Data quality", lead, [missing("The ingest report was not found.")])
    parts: list[str] = [
        table(("what", "how many"), _counts(found)),
        _reasons("Rows that could not be read", found.counts("bad_rows"), "No row was unreadable."),
        _reasons("Rows left out by rule", found.counts("dropped_rows"), "No rule left a row out."),
        *_breaks(found),
        *_jumps(found),
        *_columns(found),
    ]
    return section("data", "Data quality", lead, parts)


def _counts(found: Fields) -> list[tuple[str, str]]:
    first, last = found.text("first_time"), found.text("last_time")
    rows = [
        ("rows read", whole(found.number("rows_read"))),
        ("rows kept", whole(found.number("rows_kept"))),
        ("first date", when(first)),
        ("last date", when(last)),
        ("rows with a key seen before", whole(found.number("duplicates"))),
        ("scale breaks applied", whole(len(found.items("scale_breaks")) if "scale_breaks" in found.values else None)),
        ("suspicious jumps, left as they are", whole(found.number("num_suspicious_jumps"))),
        ("gaps: places where an entity skips dates", whole(found.number("num_gaps"))),
        ("longest gap, in dates", whole(found.number("longest_gap_dates"))),
        ("share of rows in the universe", percent(found.number("universe_share"))),
    ]
    return [(name, value) for name, value in rows if value != UNDEFINED]


def _reasons(title: str, counts: Mapping[str, int], otherwise: str) -> Html:
    if not counts:
        return note(otherwise)
    rows = sorted(((name, whole(count)) for name, count in counts.items()), key=lambda row: -counts[row[0]])
    return table(("reason", "rows"), rows, caption=title)


def _breaks(found: Fields) -> list[str]:
    breaks = found.parts("scale_breaks")
    if not breaks:
        return []
    rows = [
        (
            b.text("entity") or "",
            when(b.text("time")),
            decimal(b.number("factor"), 4),
            _price(b.number("before")),
            _price(b.number("after")),
        )
        for b in breaks[:MAX_BREAKS]
    ]
    explained = (
        "A split or a similar event changes the scale of a price, not its value. From the date of a break on, prices are divided by the factor, "
        "and held shares and targets that span it follow. Nothing before the break changes."
    )
    shown = f"Scale breaks: {_shown(len(breaks), len(rows))}"
    return [
        details(
            shown,
            [table(("entity", "date", "factor", "price before", "price after"), rows, num_left=2), note(explained)],
        )
    ]


def _price(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:,.6g}"


def _jumps(found: Fields) -> list[str]:
    jumps = found.parts("suspicious_jumps")
    if not jumps:
        return []
    rows = [
        (jump.text("entity") or "", when(jump.text("time")), f"× {decimal(jump.number('ratio'), 3)}") for jump in jumps
    ]
    explained = "Large moves of a price that may be real or an error. They are listed for a look and left as they are: removing them would look ahead."
    shown = f"Suspicious jumps: {_shown(found.count('num_suspicious_jumps') or len(jumps), len(rows))}"
    return [details(shown, [table(("entity", "date", "price ratio"), rows, num_left=2), note(explained)])]


def _columns(found: Fields) -> list[str]:
    parts: list[str] = []
    if shares := found.numbers("missing_shares"):
        largest = sorted(shares, key=lambda name: (-shares[name], name))[:MAX_COLUMNS]
        shown = f"Missing values by column: {_shown(len(shares), len(largest))}"
        parts.append(
            details(shown, [table(("column", "missing"), [(name, percent(shares[name], 2)) for name in largest])])
        )
    if constant := found.texts("constant_columns"):
        parts.append(
            note(
                f"Columns with one value only, of no use to a model: {', '.join(constant[:MAX_COLUMNS])} ({times(len(constant), 'column')})."
            )
        )
    if lossy := found.counts("lossy_casts"):
        rows = [(name, whole(count)) for name, count in list(lossy.items())[:MAX_COLUMNS]]
        parts.append(
            details("Values that lost more than one part in a million as float32", [table(("column", "values"), rows)])
        )
    return parts


def _shown(total: int, listed: int) -> str:
    return f"{total:,}" if listed >= total else f"{total:,}, the first {listed:,} listed"


def configuration_section(run: RunRecords) -> Html:
    """Show the configuration in full, versions, keys, and the command that makes the run again."""
    lead = "Everything that decides the numbers on this page."
    written = [element("pre", run.config_text)] if run.config_text else [missing("The run has no configuration file.")]
    budget = f" --memory {_argument(run.declared_bytes)}" if run.declared_bytes else ""
    command = f"seawall run config.yaml{budget}"
    keys = [(unit.name, unit.key) for unit in run.units if unit.key]
    if run.panel is not None and run.panel.content_key:
        keys = [("panel", run.panel.content_key), *keys]
    parts = [
        *written,
        element("h3", "Make it again"),
        element("p", "Save the configuration above as config.yaml and run"),
        element("pre", command),
        note(
            "With the same panel and versions, models, predictions, metrics and backtest come out the same, byte for byte, on CPU."
        ),
        table(("package", "version"), _versions(), num_left=2),
    ]
    if keys:
        parts.append(details("Content keys of the panel and of each unit", [table(("unit", "key"), keys, num_left=2)]))
    return section("configuration", "Configuration", lead, parts)


def _argument(size_bytes: float) -> str:
    number = int(size_bytes)
    if number % MIB == 0:
        return f"{number // MIB}MiB"
    return f"{number // KIB}KiB" if number % KIB == 0 else str(number)


def _versions() -> Sequence[tuple[str, str]]:
    return [("python", platform.python_version()), *((name, _version(name)) for name in PACKAGES)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"

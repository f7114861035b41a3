"""What ingest counted, left out, corrected and found odd."""

from collections.abc import Mapping

from seawall.report import captions
from seawall.report.fields import Fields
from seawall.report.markup import Html, Section, details, missing, note, section, table
from seawall.report.records import RunRecords
from seawall.report.words import UNDEFINED, decimal, percent, significant, when, whole

MAX_BREAKS = 200
MAX_COLUMNS = 40
"""Rows shown of long lists; how many there are is always said."""

COUNTS = (
    ("rows read", "rows_read"),
    ("rows kept", "rows_kept"),
    ("rows with a key seen before", "duplicates"),
    ("suspicious jumps, left as they are", "num_suspicious_jumps"),
    ("gaps: places where an entity skips dates", "num_gaps"),
    ("longest gap, in dates", "longest_gap_dates"),
)


def data_section(run: RunRecords) -> Section:
    """Show the ingest report."""
    found = run.ingest
    if not found:
        parts = [missing("The ingest report was not found.")]
        return section("data", "Data quality", captions.DATA_LEAD, parts)
    parts = [
        table(("what", "how many"), _counts(found)),
        _reasons("Rows that could not be read", found.counts("bad_rows"), "No row was unreadable."),
        _reasons("Rows left out by rule", found.counts("dropped_rows"), "No rule left a row out."),
        *_breaks(found),
        *_jumps(found),
        *_columns(found),
    ]
    return section("data", "Data quality", captions.DATA_LEAD, parts)


def _counts(found: Fields) -> list[tuple[str, str]]:
    rows = [(name, whole(found.number(key))) for name, key in COUNTS]
    if "scale_breaks" in found.values:
        rows.append(("scale breaks applied", whole(len(found.items("scale_breaks")))))
    rows += [("first date", when(found.text("first_time"))), ("last date", when(found.text("last_time")))]
    rows.append(("rows that may be trained on and traded", percent(found.number("universe_share"))))
    return [(name, value) for name, value in rows if value != UNDEFINED]


def _reasons(title: str, counts: Mapping[str, int], otherwise: str) -> Html:
    if not counts:
        return note(otherwise)
    rows = [(name, whole(counts[name])) for name in sorted(counts, key=lambda name: (-counts[name], name))]
    return table(("reason", "rows"), rows, caption=title)


def _breaks(found: Fields) -> list[Html]:
    breaks = found.parts("scale_breaks")
    if not breaks:
        return []
    rows = [
        (*_place(item), *(significant(item.number(key), 6) for key in ("factor", "before", "after"))) for item in breaks
    ]
    header = ("entity", "date", "factor", "price before", "price after")
    parts = [table(header, rows[:MAX_BREAKS], num_left=2), note(captions.BREAKS)]
    return [details(f"Scale breaks: {_shown(len(breaks), MAX_BREAKS)}", parts)]


def _jumps(found: Fields) -> list[Html]:
    jumps = found.parts("suspicious_jumps")
    if not jumps:
        return []
    rows = [(*_place(jump), f"× {decimal(jump.number('ratio'), 3)}") for jump in jumps]
    shown = _shown(found.count("num_suspicious_jumps") or len(jumps), len(jumps))
    parts = [table(("entity", "date", "price ratio"), rows, num_left=2), note(captions.JUMPS)]
    return [details(f"Suspicious jumps: {shown}", parts)]


def _place(item: Fields) -> tuple[str, str]:
    return item.text("entity") or "", when(item.text("time"))


def _columns(found: Fields) -> list[Html]:
    parts: list[Html] = []
    if shares := found.numbers("missing_shares"):
        largest = sorted(shares, key=lambda name: (-shares[name], name))[:MAX_COLUMNS]
        rows = [(name, percent(shares[name], 2)) for name in largest]
        shown = f"Missing values by column: {_shown(len(shares), MAX_COLUMNS)}"
        parts.append(details(shown, [table(("column", "missing"), rows)]))
    if lossy := found.counts("lossy_casts"):
        rows = [(name, whole(count)) for name, count in list(lossy.items())[:MAX_COLUMNS]]
        shown = f"Columns with values float32 cannot hold to one part in a million: {_shown(len(lossy), MAX_COLUMNS)}"
        parts.append(details(shown, [table(("column", "values"), rows)]))
    if constant := found.texts("constant_columns"):
        shown = f"{_shown(len(constant), MAX_COLUMNS)}: {', '.join(constant[:MAX_COLUMNS])}"
        parts.append(note(f"Columns with one value only, of no use to a model: {shown}."))
    return parts


def _shown(total: int, most: int) -> str:
    return f"{total:,}" if most >= total else f"{total:,}, the first {most:,} listed"

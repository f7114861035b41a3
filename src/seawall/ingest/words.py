"""The ingest report in words, one line each: what was guessed, left out, and is worth a look; light, for the parent."""

from typing import Any

MAX_SHOWN = 3


def report_lines(report: dict[str, Any]) -> list[str]:
    """Tell an ingest report in lines; names are as in the source, so the caller escapes them."""
    return [*_taken(report), *_left_out(report), *_beside(report), *_roles(report), *_worth_a_look(report)]


def _taken(report: dict[str, Any]) -> list[str]:
    return [f"taken as read: {guess}" for guess in report.get("guesses", [])]


def _left_out(report: dict[str, Any]) -> list[str]:
    lines = []
    for name in ("bad_rows", "dropped_rows"):
        lines += [f"{name.replace('_', ' ')}: {count:,} ({reason})" for reason, count in report[name].items()]
    lines += [f"for example {text}" for text in report["first_bad_rows"][:MAX_SHOWN]]
    if report.get("rows_out_of_order"):
        lines.append(f"rows out of order: {report['rows_out_of_order']:,} before the one ahead of them, sorted")
    if report["duplicates"]:
        lines.append(f"duplicates left out: {report['duplicates']:,}")
    return lines


def _beside(report: dict[str, Any]) -> list[str]:
    static = report.get("static")
    if static is None:
        return []
    lines = [f"static attributes: {static['num_columns']:,} for {static['num_entities']:,} entities"]
    return [*lines, *(f"without static attributes: {name!r}" for name in static["without"][:MAX_SHOWN])]


def _roles(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{role}: {counts['special']:,} rows have one, {counts['missing']:,} are missing"
        for role, counts in report.get("roles", {}).items()
    ]
    if report.get("num_adjusted_rows"):
        lines.append(f"adjustment column: changes at {report['num_adjusted_rows']:,} rows")
    return lines


def _worth_a_look(report: dict[str, Any]) -> list[str]:
    lines = []
    if report["num_gaps"]:
        longest = report["longest_gap_dates"]
        lines.append(f"gaps: {report['num_gaps']:,}, the longest over {longest:,} dates of the calendar")
    if report["constant_columns"]:
        lines.append(f"constant columns: {_some(report['constant_columns'])}")
    empty = [name for name, share in report["missing_shares"].items() if share == 1.0]
    if empty:
        lines.append(f"columns without a value: {_some(empty)}")
    for key, what in (
        ("infinite_values", "infinite values, kept as missing"),
        ("lossy_casts", "values that lose more than 1e-6 of themselves as float32"),
    ):
        lines += [f"{what}: {count:,} in {name}" for name, count in list(report[key].items())[:MAX_SHOWN]]
    for name, counts in report.get("prices", {}).items():
        found = [f"{counts[kind]:,} {kind}" for kind in ("zero", "negative", "infinite") if counts[kind]]
        lines += [f"price {name}: {', '.join(found)}"] if found else []
    if report["num_suspicious_jumps"]:
        first = report["suspicious_jumps"][0]
        worst = f"{first['entity']!r} at {first['time']}, x {first['ratio']:.3g}"
        lines.append(f"suspicious jumps: {report['num_suspicious_jumps']:,}, the largest {worst}")
    if report["scale_breaks"]:
        lines.append(f"scale breaks: {len(report['scale_breaks']):,}, taken into the adjustment")
    for group in report.get("look_alikes", [])[:MAX_SHOWN]:
        lines.append(f"entities that look alike: {', '.join(repr(name) for name in group)}")
    return lines


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_SHOWN])
    return shown if len(names) <= MAX_SHOWN else f"{shown} and {len(names) - MAX_SHOWN:,} more"

"""The ingest report as one small HTML page: what is in a panel store, and what was found while it was made."""

from pathlib import Path
from typing import Any

from seawall.ingest.words import report_lines
from seawall.report.markup import Section, element, missing, section, table
from seawall.stores.atomic import write_text

MAX_ROWS = 200
"""Rows of a table on the page; the manifest holds all."""


def write_ingest_page(path: Path, name: str, manifest: dict[str, Any]) -> None:
    """Write the page from a store's manifest. Every name is escaped; the page holds no script and loads nothing."""
    report = manifest["ingest"]
    parts = [_size(manifest, report), _found(report), _columns(manifest, report), _sources(manifest)]
    parts += [_jumps(report), _breaks(report)]
    body = "".join(piece for part in parts for piece in part.pieces)
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"{element('title', name)}\n<style>\n{style}</style>\n</head>\n<body>\n"
    )
    header = element("header", [element("h1", name), element("p", "Ingest report")])
    write_text(path, f"{head}{header}\n<main>\n{body}</main>\n</body>\n</html>\n")


def _size(manifest: dict[str, Any], report: dict[str, Any]) -> Section:
    rows = [
        ("rows", f"{manifest['num_rows']:,}"),
        ("entities", f"{manifest['num_entities']:,}"),
        ("dates", f"{manifest['num_dates']:,}"),
        ("first time", str(report["first_time"])),
        ("last time", str(report["last_time"])),
        ("rows read", f"{report['rows_read']:,}"),
    ]
    return section(
        "size", "Size", "Counts after bad, dropped and duplicate rows are left out.", [table(("", ""), rows)]
    )


def _found(report: dict[str, Any]) -> Section:
    lines = report_lines(report)
    body = element("ul", [element("li", line) for line in lines]) if lines else missing("Nothing worth a look.")
    return section("found", "Found", "What was taken as read, left out, and is worth a look.", [body])


def _columns(manifest: dict[str, Any], report: dict[str, Any]) -> Section:
    rows = [
        (
            column["name"],
            column["group"],
            column["dtype"],
            _share(report["missing_shares"].get(column["name"]) if column["group"] == "features" else None),
        )
        for column in manifest["columns"][:MAX_ROWS]
    ]
    lead = "Columns of the store, and the share of rows without a value."
    return section("columns", "Columns", lead, [table(("column", "group", "type", "missing"), rows, num_left=3)])


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _sources(manifest: dict[str, Any]) -> Section:
    rows = [(source["path"], f"{source['bytes']:,}") for source in manifest["sources"][:MAX_ROWS]]
    lead = f"{len(manifest['sources']):,} files were read."
    return section("sources", "Sources", lead, [table(("file", "bytes"), rows)])


def _jumps(report: dict[str, Any]) -> Section:
    rows = [(jump["entity"], jump["time"], f"{jump['ratio']:.4g}") for jump in report["suspicious_jumps"][:MAX_ROWS]]
    lead = f"{report['num_suspicious_jumps']:,} moves of the adjusted price beyond +50 % or -33 %, left as they are."
    return section("jumps", "Suspicious jumps", lead, [table(("entity", "time", "ratio"), rows, num_left=2)])


def _breaks(report: dict[str, Any]) -> Section:
    rows = [
        (entry["entity"], entry["time"], entry["kind"], f"{entry['factor']:.6g}")
        for entry in report["scale_breaks"][:MAX_ROWS]
    ]
    lead = f"{len(report['scale_breaks']):,} changes of scale, declared or found, in the adjustment."
    return section("breaks", "Scale breaks", lead, [table(("entity", "time", "kind", "factor"), rows, num_left=3)])

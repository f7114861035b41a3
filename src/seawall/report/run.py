"""The report, read like the algorithm: pack the timeline, read the records, build the sections, write one file."""

from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat, silent
from seawall.report.cautions import warnings
from seawall.report.page import build_sections, write_html
from seawall.report.reading import read_run
from seawall.report.records import RunRecords
from seawall.report.timeline import pack_timeline
from seawall.report.words import when
from seawall.stores.atomic import replacing


def write_report(run: Path, output: Path, *, title: str | None = None, beat: Beat = silent) -> dict[str, Any]:
    """Write the report of a run as one self-contained HTML file.

    Everything comes from the records in the run folder; what is not there yet is said so on the page. Packs
    ``memory.csv`` to ``memory.parquet`` on the way. Memory grows with the dates of the test segments and the number of
    strategies, not with predictions or memory samples. The file needs no network and stays under 6 MB.

    Parameters
    ----------
    run
        The run folder.
    output
        The file to write; replaced only when the new one is complete.
    title
        Heading of the page; the name of the run when missing.

    Returns
    -------
    dict
        ``path``, ``bytes``, ``num_sections``, ``num_warnings`` and ``num_memory_samples``.

    Raises
    ------
    FormatError
        Where the folder is not a run, or a record that is there cannot be read.
    """
    beat("timeline", 0, 1)
    num_samples = pack_timeline(source, run / "memory.parquet") if (source := run / "memory.csv").is_file() else 0
    beat("records", 0, 1)
    records = read_run(run)
    with replacing(output) as temporary:
        num_sections = write_html(temporary, title or records.name, _subtitle(records), build_sections(records), beat)
    return {
        "path": str(output),
        "bytes": output.stat().st_size,
        "num_sections": num_sections,
        "num_warnings": len(warnings(records)),
        "num_memory_samples": num_samples,
    }


def _subtitle(run: RunRecords) -> str:
    parts = ["seawall walk-forward report"]
    if run.panel is not None:
        parts.append(f"panel {run.panel.name}")
    first, last = run.ingest.text("first_time"), run.ingest.text("last_time")
    if first and last:
        parts.append(f"{when(first)} to {when(last)}")
    return " · ".join(parts)

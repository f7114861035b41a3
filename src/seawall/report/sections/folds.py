"""The segments of each fold in time."""

from seawall.report import captions
from seawall.report.charts import folds_chart
from seawall.report.markup import Section, figure, missing, section, table
from seawall.report.records import RunRecords, Segment
from seawall.report.words import when, whole

HEADER = ("fold", "segment", "first date", "last date", "dates", "samples", "purged")


def folds_section(run: RunRecords) -> Section:
    """Show the segments of each fold in time and how many samples each has."""
    if not run.folds:
        parts = [missing("The folds have not been laid out yet.")]
        return section("folds", "Folds", captions.FOLDS_LEAD, parts)
    rows = [(str(fold.fold), *_row(segment)) for fold in run.folds for segment in fold.segments]
    parts = [figure(folds_chart(run.folds), "Folds in time", captions.FOLDS), table(HEADER, rows, num_left=2)]
    lead = captions.PATHS_LEAD if run.is_combinatorial else captions.FOLDS_LEAD
    return section("folds", "Folds", lead, parts)


def _row(segment: Segment) -> tuple[str, ...]:
    counts = (segment.num_dates, segment.num_samples, segment.num_purged)
    return (segment.kind, when(segment.first_time), when(segment.last_time), *(whole(count) for count in counts))

"""What followed low and high predictions."""

from seawall.report import captions
from seawall.report.charts import quantile_chart
from seawall.report.fields import Fields
from seawall.report.markup import Section, figure, missing, section
from seawall.report.records import RunRecords


def quantile_section(run: RunRecords) -> Section:
    """Show the mean target of each quantile of the predictions."""
    if run.overall is None or not run.overall.quantiles:
        parts = [missing("Quantile returns have not been computed yet.")]
        return section("quantiles", "Quantiles", captions.QUANTILES_LEAD, parts)
    target = run.panel.target(run.metrics.text("target")) if run.panel else Fields({})
    chart = quantile_chart(run.overall, run.blocks, is_return=target.text("kind") == "forward_return")
    parts = [figure(chart, "Outcome by quantile of prediction", captions.QUANTILES)]
    return section("quantiles", "Quantiles", captions.QUANTILES_LEAD, parts)

"""What the run's memory was declared, projected and measured to be."""

from collections import Counter
from collections.abc import Iterator, Sequence

from seawall.report import captions
from seawall.report.charts_memory import timeline_chart, units_chart
from seawall.report.fields import Fields
from seawall.report.markup import Section, details, figure, missing, note, section, table
from seawall.report.records import RunRecords, Unit
from seawall.report.words import duration, size, times

HEADER = ("unit", "projected", "measured", "parent", "container peak", "wall", "CPU")
CLAIMS_HEADER = ("stage", "purpose", "why", "size")


def memory_section(run: RunRecords) -> Section:
    """Show projected against measured memory per unit and over time, and the claims behind the projections."""
    parts: list[str] = []
    if run.units:
        parts.append(figure(units_chart(run.units, run.declared_bytes), "Projected and measured", captions.UNITS))
    if run.timeline is not None and len(run.timeline.seconds):
        stages = {unit.name: unit.stage for unit in run.units}
        chart = timeline_chart(run.timeline, stages, run.declared_bytes)
        caption = f"{captions.TIMELINE} Drawn from {run.timeline.num_samples:,} samples; no extreme is left out."
        parts.append(figure(chart, "Memory over time", caption))
    if run.units:
        parts += [
            table(HEADER, [_row(unit) for unit in run.units]),
            note(_fences(run.units)),
            note(captions.UNITS_TABLE),
        ]
    if claims := list(_claims(run.plan)):
        parts.append(
            details("Claims: what each stage said it would need, and why", [table(CLAIMS_HEADER, claims, num_left=3)])
        )
    return section("memory", "Memory", captions.MEMORY_LEAD, parts or [missing("No unit has been measured yet.")])


def _row(unit: Unit) -> tuple[str, ...]:
    measured = (unit.measured_private_bytes, unit.parent_private_bytes, unit.cgroup_peak_bytes)
    sizes = [size(value) for value in (unit.projected_private_bytes, *measured)]
    return (unit.name, *sizes, duration(unit.wall_seconds), duration(unit.cpu_seconds))


def _fences(units: Sequence[Unit]) -> str:
    counts = Counter(unit.fence or "nothing recorded" for unit in units)
    return (
        "Units were held to their share by: "
        + "; ".join(f"{fence} ({times(n, 'unit')})" for fence, n in counts.items())
        + "."
    )


def _claims(plan: Fields, place: str = "") -> Iterator[tuple[str, ...]]:
    """Find every stage's claims, at whatever depth of ``plan.json`` they stand."""
    for claim in plan.parts("private"):
        yield (place, claim.text("purpose") or "", claim.text("formula") or "", size(claim.number("bytes")))
    for key in plan.values:
        if part := plan.part(key):
            yield from _claims(part, key)

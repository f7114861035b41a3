"""Whether the numbers of a run can be trusted, as far as its own records tell."""

from collections.abc import Iterator
from itertools import chain

from seawall.report.cautions import warnings
from seawall.report.facts import best_strategy, exceeds_budget, exceeds_projection, is_distinguishable
from seawall.report.fields import Fields, as_number
from seawall.report.records import RunRecords
from seawall.report.words import UNDEFINED, decimal, percent, times, when


def alarms(run: RunRecords) -> tuple[str, ...]:
    """List what stages themselves warned of, and memory that did not hold: reasons not to go on before a look."""
    recorded = chain(run.metrics.texts("warnings"), *(unit.summary.texts("warnings") for unit in run.units))
    over = [f"{unit.name} used more memory than planned" for unit in run.units if exceeds_projection(unit)]
    over += [f"{unit.name} used more memory than declared" for unit in run.units if exceeds_budget(unit)]
    return tuple(dict.fromkeys((*recorded, *over)))


def trust_answer(run: RunRecords) -> str:
    """Answer in one line."""
    found = alarms(run)
    if found:
        return f"Look first: {times(len(found), 'alarm')}, below."
    if run.overall is None:
        return "Too early to tell: nothing is evaluated yet."
    if run.is_combinatorial:
        return "As a spread only: models also learnt from what came after."
    notes = len(warnings(run))
    return "No alarm" + (f", {times(notes, 'note')} below." if notes else ", and nothing was left out.")


def trust_details(run: RunRecords) -> tuple[str, ...]:
    """Tell what speaks for and against it."""
    return tuple(chain(_out_of_sample(run), _same_sign(run), _luck(run)))


def _out_of_sample(run: RunRecords) -> Iterator[str]:
    if not run.folds or run.is_combinatorial:
        return
    first, last = run.folds[0].segments[-1].first_time, run.folds[-1].segments[-1].last_time
    purged = sum(segment.num_purged or 0 for fold in run.folds for segment in fold.segments)
    yield (
        f"Every test date, {when(first)} to {when(last)}, was predicted by a model that had learnt from earlier dates"
        f" only; {times(purged, 'sample')} whose target reached further were purged."
    )


def _same_sign(run: RunRecords) -> Iterator[str]:
    if run.overall is None:
        return
    mean = run.overall.rank_ic.number("mean")
    if mean is None:
        return
    of_folds = [block.rank_ic.number("mean") for block in run.blocks]
    of_years = [year.number("rank_ic") for year in run.overall.more.parts("years")]
    told = [
        f"{sum(value is not None and value * mean > 0 for value in values)} of {times(len(values), noun)}"
        for values, noun in ((of_folds, "fold"), (of_years, "year"))
        if values
    ]
    if told:
        yield f"The mean Rank IC has the sign of the whole in {' and '.join(told)}."


def _luck(run: RunRecords) -> Iterator[str]:
    """Say what a band tells of money, which needs far more dates than an IC does."""
    strategy = best_strategy(run)
    ends = [as_number(end) for end in strategy.statistics.part("bands").items("mean_return")] if strategy else []
    if strategy is not None and len(ends) == 2 and ends[0] is not None and ends[1] is not None:
        luck = "chance alone could explain it" if ends[0] <= 0 <= ends[1] else "chance alone would hardly explain it"
        span = f"{percent(ends[0])} to {percent(ends[1])}"
        yield f"{strategy.name}, the best: 95 % band of the mean return a year {span}; {luck}."


def sign_in_words(ic: Fields) -> str:
    """Write for a table whether a mean IC differs from zero at 5 %."""
    distinguishable, mean = is_distinguishable(ic), ic.number("mean")
    if distinguishable is None or mean is None:
        return "too few dates"
    if not distinguishable:
        return "no"
    return "yes" if mean > 0 else "yes, wrong sign"


def band(fields: Fields) -> str:
    """Write the 95 % band of a mean."""
    low, high = fields.number("mean_low"), fields.number("mean_high")
    if low is None or high is None:
        return UNDEFINED
    return f"{decimal(low)} to {decimal(high)}"

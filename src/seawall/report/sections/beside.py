"""The model beside its baselines and its own seeds: which it beats, which it does not, and how much is luck."""

from collections.abc import Sequence

from seawall.report import captions
from seawall.report.fields import Fields
from seawall.report.markup import Section, note, section, table
from seawall.report.records import RunRecords
from seawall.report.verdicts import LESS_NAMES, other_name, verdict, verdicts
from seawall.report.words import decimal, percent, probability, significant

HEADER = ("", "mean Rank IC", "mean IC", "MSE", "R2")
LESS_HEADER = ("beside", "of", "model less other", "95 % from", "to", "t_hac", "p_hac", "verdict")


def beside_section(run: RunRecords) -> Section | None:
    """Set the model beside each baseline and each seed; nothing where it stands alone."""
    others = run.metrics.parts("beside")
    baselines = [other for other in others if other.text("kind") == "baseline"]
    if not others or run.overall is None:
        return None
    parts: list[str] = [table(_header(run), _rows(run, others), caption="All of them, out of sample")]
    if baselines:
        rows = [row for other in baselines for row in _less_rows(other)]
        parts += [table(LESS_HEADER, rows, num_left=2, caption="The model against each baseline")]
        parts += [note(sentence) for sentence in verdicts(run)] + [note(captions.BESIDE)]
        parts += [] if run.metrics.part("seeds") else [note(captions.ONE_SEED)]
    if seeds := run.metrics.part("seeds"):
        parts += [note(_seeds_sentence(seeds)), note(captions.SEEDS)]
    return section("beside", "Baselines and seeds", captions.BESIDE_LEAD, parts)


def _header(run: RunRecords) -> tuple[str, ...]:
    has_entities = run.overall is not None and bool(run.overall.more.part("by_entity"))
    return (*HEADER, "median NSE", "median KGE") if has_entities else HEADER


def _rows(run: RunRecords, others: Sequence[Fields]) -> list[tuple[str, ...]]:
    if run.overall is None:
        return []
    own, has_entities = run.overall, bool(run.overall.more.part("by_entity"))
    name = "model, mean of seeds" if run.metrics.part("seeds") else "model"
    rows = [(name, own.rank_ic, own.ic, own.pooled, own.more.part("by_entity"))]
    rows += [
        (other_name(one), one.part("rank_ic"), one.part("ic"), one.part("pooled"), one.part("by_entity"))
        for one in others
    ]
    return [
        (
            label,
            decimal(rank_ic.number("mean")),
            decimal(ic.number("mean")),
            significant(pooled.number("mse")),
            decimal(pooled.number("r2")),
            *((decimal(entities.part(key).number("median"), 3) for key in ("nse", "kge")) if has_entities else ()),
        )
        for label, rank_ic, ic, pooled, entities in rows
    ]


def _less_rows(other: Fields) -> list[tuple[str, ...]]:
    rows = []
    for key, label in LESS_NAMES:
        less = other.part("less").part(key)
        said = verdict(less, less_is_better=key == "squared_error")
        numbers = [significant(less.number(name)) for name in ("mean", "mean_low", "mean_high")]
        rows.append(
            (
                other_name(other),
                label,
                *numbers,
                decimal(less.number("t_hac"), 2),
                probability(less.number("p_hac")),
                said,
            )
        )
    return rows


def _seeds_sentence(seeds: Fields) -> str:
    rank_ic, share = seeds.part("rank_ic"), seeds.number("spread_share")
    apart = f"{decimal(rank_ic.number('min'))} to {decimal(rank_ic.number('max'))}"
    text = (
        f"{len(seeds.items('seeds'))} seeds: mean Rank IC from {apart}, standard deviation "
        f"{decimal(rank_ic.number('std'))}."
    )
    told = f"{text} Their predictions lie {percent(share)} as far apart as predictions of different rows do."
    return text if share is None else told

"""``seawall search``: bars and entries in, parameters and a verdict out."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, memory_table, print_json
from seawall.cli.options import AsJson, Cluster, Memory, Quiet, Reserve
from seawall.cli.run import own_command
from seawall.pipeline.search import SearchResult, read_section, run_search


def search(  # noqa: PLR0913 - one option each
    config: Annotated[Path, typer.Option(help="Search config (YAML), or a run's with a search section.")],
    output: Annotated[Path, typer.Option(help="Folder of the results.")],
    bars: Annotated[
        str | None, typer.Option(help="Bars: file, folder, glob or dataset:NAME; else the config's source.")
    ] = None,
    entries: Annotated[
        str | None, typer.Option(help="Entries: file, folder or glob; else the config's entries or signals.")
    ] = None,
    detail_bars: Annotated[
        str | None, typer.Option(help="Finer bars, for bars that hold stop and take-profit; else the config's.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=10, help="Look at so many entries of each type; the winner is evaluated on all.")
    ] = None,
    memory: Memory = None,
    reserve: Reserve = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search exits, score weights and thresholds over every entry, exactly, and judge what was found.

    Killed or interrupted, the same command continues. Example:

        seawall search --bars bars.parquet --entries entries.parquet --config search.yaml --output runs/search
    """
    section = read_section(config)
    section |= {"source": bars} if bars is not None else {}
    section |= {"entries_source": entries} if entries is not None else {}
    section |= {"detail_bars": detail_bars} if detail_bars is not None else {}
    if sample is not None:
        section["sample"] = {**(section.get("sample") or {}), "size": sample}
    with Display(quiet=quiet or as_json) as display:
        budget = find_budget(memory, reserve=Left(reserve))
        result = run_search(section, output, budget, display, own_command(), cluster=cluster)
    if as_json:
        print_json({"search": result.record["units"]["search"], "summary": result.summary})
        return
    console = Console(highlight=False, quiet=quiet)
    _print(result, console)
    console.print(memory_table(result.record["units"]))
    console.print(f"parameters: {result.parameters_path}", soft_wrap=True)
    if result.report.exists():
        console.print(f"report: {result.report}", soft_wrap=True)


def _print(result: SearchResult, console: Console) -> None:
    summary = result.summary
    console.print(_chosen_table(summary["types"]))
    console.print(_result_table(summary["types"]))
    console.print(_verdict_table(summary["types"]))
    for name, own in summary["types"].items():
        for told in (own["validation"]["overlap"], (own["honesty"] or {}).get("sentence")):
            if told:
                console.print(f"[yellow]{escape(name)}[/]: {escape(told)}", soft_wrap=True)
        if own["sample"]:
            console.print(f"{escape(name)}: {_sample_text(own)}", soft_wrap=True)


def _chosen_table(types: dict[str, Any]) -> Table:
    table = _table("what was chosen before the hold-out", "take-profit", "stop", "trail", "holding periods")
    for name, own in types.items():
        chosen = own["chosen"]
        trail = chosen["trail_distance_bps"]
        shown = "off" if trail is None else f"{trail:.0f} from {chosen['trail_activation_bps']:.0f}"
        levels = _level(chosen["take_profit_bps"]), _level(chosen["stop_loss_bps"])
        table.add_row(escape(name), *levels, shown, str(chosen["holding_periods"]))
    return table


def _result_table(types: dict[str, Any]) -> Table:
    table = _table(
        "what that made, in basis points of the notional", "trades", "mean", "trades of the hold-out", "their mean"
    )
    for name, own in types.items():
        inside, held = own["account"]["search"], own["account"]["holdout"]
        after = (f"{held['num_trades']:,}", _bps(held["mean_return"])) if held else ("-", "-")
        table.add_row(escape(name), f"{inside['num_trades']:,}", _bps(inside["mean_return"]), *after)
    return table


def _table(title: str, *headings: str) -> Table:
    """Begin a table with one row for each type; long words are folded, never cut off."""
    table = Table(title=title, title_justify="left", padding=0)
    table.add_column("", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _verdict_table(types: dict[str, Any]) -> Table:
    headings = ("gate", "reality check p", "walked forward, bps", "P(loss)", "PBO", "SPA p", "trials")
    table = _table("whether to believe it", *headings)
    for name, own in types.items():
        checks = own["validation"]
        gate = "[green]passed[/]" if checks["gate"]["passed"] else "[red]not passed[/]"
        walk = checks["walk_forward_total"]
        table.add_row(
            escape(name), gate, _number(checks["reality_check_p"]), _bps(walk), _number(checks["loss_probability"]),
            _number(checks["pbo"]), _number(checks["spa_p"]), f"{own['num_trials']:,}",
        )  # fmt: skip
    return table


def _sample_text(own: dict[str, Any]) -> str:
    sample, exact = own["sample"], own["account"]["search"]["total_return"]
    bounds = (
        "no valid interval" if sample["low"] is None else f"{1e4 * sample['low']:,.0f} to {1e4 * sample['high']:,.0f}"
    )
    estimate = 1e4 * sample["estimated_total"]
    return (
        f"a {sample['design']} sample of {sample['num_sampled']:,} entries estimates {estimate:,.0f}"
        f" bps ({bounds}); exact on all: {1e4 * exact:,.0f} bps. {sample['sentence']}"
    )


def _level(value: float | None) -> str:
    return "off" if value is None else f"{value:.0f}"


def _bps(value: float | None) -> str:
    return "undefined" if value is None else f"{1e4 * value:,.1f}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"

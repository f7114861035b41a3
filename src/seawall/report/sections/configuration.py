"""Everything that decides the numbers of the page, and how to make them again."""

import platform
from importlib import metadata

from seawall.report import captions
from seawall.report.markup import Section, details, element, missing, note, section, table
from seawall.report.records import RunRecords
from seawall.units import KIB, MIB

PACKAGES = ("seawall", "numpy", "scipy", "pyarrow", "duckdb", "torch", "plotly", "pydantic")


def configuration_section(run: RunRecords) -> Section:
    """Show the configuration in full, versions, content keys, and the command that makes the run again."""
    budget = f" --memory {_argument(int(run.declared_bytes))}" if run.declared_bytes else ""
    keys = [(unit.name, unit.key) for unit in run.units if unit.key]
    if run.panel is not None and run.panel.content_key:
        keys = [("panel", run.panel.content_key), *keys]
    parts = [
        element("pre", run.config_text) if run.config_text else missing("The run has no configuration file."),
        element("h3", "Make it again"),
        element("p", "Save the configuration above as config.yaml and run"),
        element("pre", f"seawall run config.yaml{budget}"),
        note(captions.REPRODUCE),
        table(("package", "version"), _versions(), num_left=2),
    ]
    if keys:
        header = ("unit", "key")
        parts.append(details("Content keys of the panel and of each unit", [table(header, keys, num_left=2)]))
    return section("configuration", "Configuration", captions.CONFIGURATION_LEAD, parts)


def _argument(size_bytes: int) -> str:
    if size_bytes % MIB == 0:
        return f"{size_bytes // MIB}MiB"
    return f"{size_bytes // KIB}KiB" if size_bytes % KIB == 0 else str(size_bytes)


def _versions() -> list[tuple[str, str]]:
    return [("python", platform.python_version()), *((name, _version(name)) for name in PACKAGES)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"

"""The page: one HTML file that needs nothing else, written piece by piece."""

import base64
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import IO

from seawall.budget.heartbeat import Beat, silent
from seawall.report.markup import Section, element, missing
from seawall.report.records import RunRecords
from seawall.report.sections.beside import beside_section
from seawall.report.sections.configuration import configuration_section
from seawall.report.sections.data import data_section
from seawall.report.sections.folds import folds_section
from seawall.report.sections.memory import memory_section
from seawall.report.sections.money import money_section
from seawall.report.sections.prediction import prediction_section
from seawall.report.sections.quantiles import quantile_section
from seawall.report.sections.search import search_section
from seawall.report.sections.summary import summary_section
from seawall.report.sections.training import training_section

SLICE_BYTES = 65_536
"""The chart library is 5 MB: it is hashed and copied a slice at a time, never held whole."""

NAVIGATION = (
    ("summary", "Summary"),
    ("money", "After costs"),
    ("search", "Search"),
    ("prediction", "Prediction"),
    ("beside", "Baselines"),
    ("quantiles", "Quantiles"),
    ("folds", "Folds"),
    ("training", "Training"),
    ("memory", "Memory"),
    ("data", "Data"),
    ("configuration", "Configuration"),
)

BUILDERS = (
    summary_section,
    money_section,
    search_section,
    prediction_section,
    beside_section,
    quantile_section,
    folds_section,
    training_section,
    memory_section,
    data_section,
    configuration_section,
)

OF_SEARCH = (search_section, memory_section, configuration_section)
"""Sections of a search of its own tables, without a panel or a model."""


def build_sections(run: RunRecords) -> Iterator[Section]:
    """Build the sections of the page in order, each when it is asked for."""
    is_search_alone = bool(run.search) and run.panel is None and not run.folds
    built = (build(run) for build in (OF_SEARCH if is_search_alone else BUILDERS))
    return (section for section in built if section is not None)


def write_html(path: Path, title: str, subtitle: str, sections: Iterable[Section], beat: Beat = silent) -> int:
    """Write the whole page, and give the number of its sections.

    Sections are set aside on disk piece by piece while the links to them, which stand above them, are still unknown:
    one piece is held at a time.

    A content security policy names the two scripts of the page by hash and forbids everything else: no script that
    came in with a name could run, and nothing is fetched from anywhere.
    """
    own = _text("report.js")
    with path.open("wb") as file, tempfile.TemporaryFile(dir=path.parent) as body:
        names = [_set_aside(section, body, number, beat) for number, section in enumerate(sections, start=1)]
        beat("write", 0, 1)
        hashes = [_hash(_chart_library()), _hash([own.encode()])]
        file.write((_head(title, hashes) + _header(title, subtitle, names)).encode())
        body.seek(0)
        shutil.copyfileobj(body, file, SLICE_BYTES)
        file.write(b"</main>\n<script>")
        file.writelines(_chart_library())
        file.write(f"</script>\n<script>{own}</script>\n</body>\n</html>\n".encode())
    beat("write", 1, 1)
    return len(names)


def _set_aside(section: Section, body: IO[bytes], number: int, beat: Beat) -> str:
    body.writelines(piece.encode() for piece in section.pieces)
    beat("sections", number)
    return section.name


def _chart_library() -> Iterator[bytes]:
    with (resources.files("plotly") / "package_data" / "plotly.min.js").open("rb") as file:
        while piece := file.read(SLICE_BYTES):
            yield piece


def _head(title: str, hashes: list[str]) -> str:
    scripts = " ".join(f"'sha256-{value}'" for value in hashes)
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{element('title', title)}\n<style>\n{_text('style.css')}</style>\n</head>\n<body>\n"
    )


def _header(title: str, subtitle: str, names: Sequence[str]) -> str:
    links = "".join(f'<a href="#{name}">{text}</a>' for name, text in NAVIGATION if name in names)
    button = '<button type="button" id="theme" hidden>Light / dark</button>'
    without_scripts = missing("Charts need JavaScript; all tables are readable without it.")
    return (
        f'<a class="skip" href="#summary">Skip to the summary</a>\n'
        f"<header>{element('h1', title)}{element('p', subtitle)}</header>\n"
        f'<nav aria-label="Sections"><div>{links}{button}</div></nav>\n<main>\n<noscript>{without_scripts}</noscript>\n'
    )


def _hash(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return base64.b64encode(digest.digest()).decode()


def _text(name: str) -> str:
    return resources.files("seawall.report").joinpath(name).read_text(encoding="utf-8")

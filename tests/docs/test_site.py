"""The documents build as a site, every link checked."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

ROOT = Path(__file__).parents[2]


def test_the_site_builds_with_the_format_as_one_of_its_pages(site: Path) -> None:
    page = (site / "format" / "index.html").read_text(encoding="utf-8")
    assert "panel.json" in page, "FORMAT.md is part of the site"


def test_every_page_of_the_documents_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert [page for page in sorted(pages) if page not in menu and not page.startswith("decisions/")] == []


def test_every_link_of_the_site_leads_to_a_page_and_a_place_on_it(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html") if path.name != "404.html"}
    places = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    for path, text in pages.items():
        for link in re.findall(r'<a\s[^>]*?href="([^"]+)"', text):
            address, anchor = urldefrag(unescape(link))
            if urlparse(address).scheme:
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(site)}: {link}"
            assert not anchor or target not in places or unquote(anchor) in places[target], f"{path.name}: {link}"

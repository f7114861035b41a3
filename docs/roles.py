"""Turn the cross references of docstrings into plain code on the page of the Python reference."""

import re


def on_page_content(html: str, **_: object) -> str:
    """Drop the names of roles that Markdown does not know: ``:class:`Panel``` becomes ``Panel``."""
    return re.sub(r":(?:class|func|meth|attr|data):(<code>)", r"\1", html)

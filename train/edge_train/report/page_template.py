"""The pages that reports are made with."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING

from edge_runtime import page_style
from edge_train.report.page_tables import count_text, percent

if TYPE_CHECKING:
    from jinja2 import Environment, Template


def template(name: str = "report.html") -> Template:
    """A page of this folder; what it is given is escaped, and nothing may be missing."""
    return _pages().get_template(name)


@functools.cache
def _pages() -> Environment:
    """One for the whole process, which reads each page once: a sweep or a comparison writes many."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=PackageLoader("edge_train", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"percent": percent, "count": count_text, "sha256": _sha256}
    pages.globals["page_style"] = Markup(page_style())
    return pages


def drawing(svg: str) -> str:
    """Our own SVG, which is put into the page as it is."""
    from markupsafe import Markup

    return Markup(svg)


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

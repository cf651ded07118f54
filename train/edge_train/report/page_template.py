"""The pages that reports are made with."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from edge_runtime import page_style
from edge_train.report.page_tables import count_text, percent

if TYPE_CHECKING:
    from jinja2 import Template


def template(name: str = "report.html") -> Template:
    """A page of this folder; what it is given is escaped, and nothing may be missing."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    page = Environment(
        loader=PackageLoader("edge_train", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"percent": percent, "count": count_text, "sha256": _sha256}
    page.globals["page_style"] = Markup(page_style())
    return page.get_template(name)


def drawing(svg: str) -> str:
    """Our own SVG, which is put into the page as it is."""
    from markupsafe import Markup

    return Markup(svg)


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

"""All charts are drawn by matplotlib, in one style, and become a PNG or an SVG in the colours of its page.

matplotlib is loaded when the first chart is drawn, and its own settings are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime import CHART_STYLE, atomic_path

if TYPE_CHECKING:
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure


@contextmanager
def chart_style(font_points: float = 10.0) -> Iterator[None]:
    """What is drawn and saved within it, or in a function it decorates, looks the same on every machine."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**CHART_STYLE, "font.size": font_points})
        yield


def new_figure(width_px: float, height_px: float, *, dpi: int = 100, layout: Any = "constrained") -> Figure:
    """An empty figure of that size."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_px / dpi, height_px / dpi), dpi=dpi, layout=layout)


def save_png(figure: Figure, target: Path) -> None:
    """Write the figure, whole or not at all. Raises OutputError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _lay_out(figure, FigureCanvasAgg)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=figure.dpi)


def as_svg(figure: Figure, label: str, variables: Mapping[str, str]) -> str:
    """The figure as an `<svg>` for a page that allows no styles in attributes; `label` says it in words.

    The page gives the font, and by its style sheet the colours of `variables`, from `#rrggbb` to a CSS variable. What
    is drawn with a gid that has a space in it shows the gid where the pointer rests on it.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    _lay_out(figure, FigureCanvasSVG)
    file = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": label}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    head, _, drawn = file.getvalue().removesuffix("</svg>\n").partition("<g ")
    view = head.partition('viewBox="')[2].partition('"')[0]
    drawn = re.sub(r'<g id="([^" ]* [^"]*)">', r"<g><title>\1</title>", f"<g {drawn}")
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r' style="([^"]*)"', _attributes, drawn)
    drawn = re.sub(r"(\.\d)\d{4,5}(?![\d<])", r"\1", drawn)
    for colour, name in variables.items():
        drawn = drawn.replace(colour, f"var({name})")
    drawn = " ".join(drawn.split()).replace("> <", "><")
    return f'<svg viewBox="{view}" role="img" aria-label="{escape(label)}">{drawn}</svg>'


def lettered(text: str) -> str:
    """What matplotlib can draw of a user's text, on one line: letters it has none for become question marks."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(letter if ord(letter) in known else "?" for letter in " ".join(text.split()))


def _lay_out(figure: Figure, canvas: type[FigureCanvasBase]) -> None:
    """Find where everything goes: to do so when it saves, matplotlib draws the whole figure a second time."""
    canvas(figure)
    if figure.axes and (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def _attributes(style: re.Match[str]) -> str:
    pairs = (part.partition(":") for part in style[1].split(";"))
    return "".join(f' {name.strip()}="{value.strip()}"' for name, _, value in pairs if "font" not in name)

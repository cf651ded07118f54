"""How all that a person sees looks, in one place: the report, the pages, the charts, the sheets, the documentation.

No other file has a colour of its own. Categories wear those of Okabe and Ito (2008), darkened or lightened until each
stands 3 : 1 off its ground (WCAG 2.2, 1.4.11) and no two are alike in grey or to the colour-blind; none speaks alone.
Text stands 4.5 : 1 off whatever it is written on (1.4.3), light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Scheme:
    """Colours, each `#rrggbb`, by what they are for."""

    ground: str  # behind everything
    panel: str  # behind what belongs together, and the paper of charts
    track: str  # behind bars, pictures and code
    line: str
    ink: str
    quiet: str  # text that may be passed over
    accent: str  # links and what to press
    accent_ink: str  # text on it
    accent_soft: str  # what is chosen
    first: str
    second: str
    third: str
    fourth: str
    other: str  # categories beyond those
    right: str
    wrong: str
    note: str  # behind what should be read
    focus: str  # around what keys would press

    @property
    def series(self) -> tuple[str, str, str, str]:
        """The colours of categories, in the order to take them."""
        return self.first, self.second, self.third, self.fourth


LIGHT: Final = Scheme(
    ground="#f6f5f1",
    panel="#ffffff",
    track="#ecebe5",
    line="#dcdad2",
    ink="#1c1e22",
    quiet="#5b6069",
    accent="#00639b",
    accent_ink="#ffffff",
    accent_soft="#d9e9f4",
    first="#0072b2",
    second="#c27803",
    third="#0c623a",
    fourth="#66245c",
    other="#8a8d91",
    right="#0072b2",
    wrong="#a84300",
    note="#fdf1df",
    focus="#b3541e",
)
DARK: Final = Scheme(
    ground="#14161a",
    panel="#1d2025",
    track="#2a2e35",
    line="#3a3f48",
    ink="#eceae4",
    quiet="#a9aeb7",
    accent="#7cc4f0",
    accent_ink="#0b1d2a",
    accent_soft="#173449",
    first="#56b4e9",
    second="#fbc45c",
    third="#38a073",
    fourth="#9c618f",
    other="#7d828a",
    right="#56b4e9",
    wrong="#ff9b6b",
    note="#2e2618",
    focus="#ffb27a",
)

_MEASURES: Final = {
    "font": 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
    "mono": 'ui-monospace, "SF Mono", Menlo, Consolas, monospace',
    "text-small": "0.8125rem",
    "text-quiet": "0.875rem",
    "text-lead": "1.2rem",
    "text-title": "clamp(1.5rem, 4vw, 2rem)",
    "space-small": "0.5rem",
    "space": "1rem",
    "space-large": "1.5rem",
    "round-small": "0.4rem",
    "round": "0.7rem",
    "round-large": "1rem",
}
_SHADOW: Final = "0 1px 2px rgb(0 0 0 / 5%), 0 8px 24px rgb(0 0 0 / 5%)"
_BASE: Final = """\
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.5 var(--font); }
h1 { font-size: var(--text-title); line-height: 1.15; letter-spacing: -0.02em; overflow-wrap: anywhere; }
a { color: var(--accent); }
code, pre, kbd { font-family: var(--mono); }
.quiet { color: var(--quiet); font-size: var(--text-quiet); }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 0.5rem; padding: 0.5rem; background: var(--panel); z-index: 2; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 3px; }
@media (prefers-reduced-motion: reduce) { *, *::after { animation: none !important; transition: none !important; } }
"""

# Of matplotlib: what it calls its settings.
CHART_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": LIGHT.ink,
    "axes.facecolor": LIGHT.panel,
    "axes.labelcolor": LIGHT.quiet,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": LIGHT.ink,
    "axes.titlelocation": "left",
    "figure.facecolor": LIGHT.panel,
    "font.family": "DejaVu Sans",
    "grid.color": LIGHT.line,
    "legend.edgecolor": LIGHT.line,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": LIGHT.ink,
    "text.parse_math": False,  # names of files and folders may hold $
    "xtick.bottom": False,
    "xtick.labelcolor": LIGHT.quiet,
    "ytick.labelcolor": LIGHT.quiet,
    "ytick.left": False,
}
STRATEGY_COLOURS: Final = {"feature-extraction": LIGHT.first, "fine-tune": LIGHT.second, "scratch": LIGHT.third}
STRATEGY_MARKS: Final = {"feature-extraction": "o", "fine-tune": "s", "scratch": "^"}
# From cold to hot, dark to light: read in grey as well.
HEAT: Final = ("#140a50", "#821e82", "#dc3c46", "#faa028", "#fffaa0")


def page_style() -> str:
    """The style sheet that every page begins with: colours and measures as CSS variables, light and dark, and the base.

    A field of `Scheme` is a variable of that name: `accent_ink` is `--accent-ink`.
    """
    measures = {**_MEASURES, "shadow": _SHADOW}
    light = _declared({**measures, **asdict(LIGHT)})
    dark = _declared({"shadow": "none", **asdict(DARK)})
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{_BASE}"
    )


def coloured(text: str) -> str:
    """`text` with `{{light.NAME}}` and `{{dark.NAME}}` replaced by those colours, for where CSS has no say."""
    return re.sub(r"\{\{(light|dark)\.(\w+)\}\}", lambda found: _colour(found[1], found[2]), text)


def tint(colour: str, white: float) -> str:
    """The colour, `#rrggbb`, with so much white in it, 0 to 1."""
    parts = bytes.fromhex(colour[1:])
    return "#" + bytes(round(part + (255 - part) * white) for part in parts).hex()


def _colour(scheme: str, name: str) -> str:
    return str(getattr({"light": LIGHT, "dark": DARK}[scheme], name))


def _declared(values: Mapping[str, str]) -> str:
    return " ".join(f"--{name.replace('_', '-')}: {value};" for name, value in values.items())

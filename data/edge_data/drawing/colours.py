"""The colours of all pictures: those of Okabe and Ito (2008), which the colour-blind tell apart; none speaks alone."""

from __future__ import annotations

from typing import Final

INK, SOFT, GRID, TRACK, PAPER = "#1e1e1e", "#696969", "#dedede", "#ececec", "#ffffff"
BLUE, ORANGE, GREEN, VERMILION, PURPLE, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#999999"
STRATEGY_COLOURS: Final[dict[str, str]] = {"feature-extraction": BLUE, "fine-tune": ORANGE, "scratch": GREEN}
RIGHT, WRONG = BLUE, VERMILION


def tint(colour: str, white: float) -> str:
    """The colour, `#rrggbb`, with so much white in it, 0 to 1."""
    parts = bytes.fromhex(colour[1:])
    return "#" + bytes(round(part + (255 - part) * white) for part in parts).hex()

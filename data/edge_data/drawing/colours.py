"""The colours of all pictures: those of Okabe and Ito (2008), which the colour-blind tell apart; none speaks alone."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "GRID",
    "INK",
    "ORANGE",
    "PAPER",
    "PURPLE",
    "RIGHT",
    "SOFT",
    "STRATEGY_COLOURS",
    "TRACK",
    "WRONG",
    "Colour",
    "as_hex",
    "tint",
]

Colour = tuple[int, int, int]

INK, SOFT, GRID, TRACK, PAPER = (30, 30, 30), (105, 105, 105), (222, 222, 222), (236, 236, 236), (255, 255, 255)
BLUE, ORANGE, GREEN, VERMILION = (0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0)
PURPLE, GREY = (204, 121, 167), (153, 153, 153)
STRATEGY_COLOURS: Final[dict[str, Colour]] = {"feature-extraction": BLUE, "fine-tune": ORANGE, "scratch": GREEN}
RIGHT, WRONG = BLUE, VERMILION


def tint(colour: Colour, white: float) -> Colour:
    """The colour with so much white in it, 0 to 1."""
    red, green, blue = (round(part + (255 - part) * white) for part in colour)
    return red, green, blue


def as_hex(colour: Colour) -> str:
    """The colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)

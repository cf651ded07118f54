"""The one palette: text is legible, categories are told apart in grey and by the colour-blind, light and dark."""

from __future__ import annotations

import re
from dataclasses import asdict
from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import HEAT, coloured, page_style, tint
from edge_runtime.visual_style import DARK, LIGHT, Scheme

Colour = NDArray[np.float64]
# Machado, Oliveira and Fernandes (2009), severity 1; tritanopia by their approximation.
VISION = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))


def linear(colour: str) -> Colour:
    parts = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio of relative luminances."""
    darker, lighter = sorted(float(linear(colour) @ XYZ[1]) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def lab(light: Colour) -> Colour:
    """CIELAB, D65."""
    x, y, z = np.cbrt(np.maximum(np.array(XYZ) @ light / (0.95047, 1, 1.08883), 1e-3))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.fixture(params=[LIGHT, DARK], ids=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Scheme:
    found: Scheme = request.param
    return found


def test_text_stands_off_what_it_is_written_on(scheme: Scheme) -> None:
    grounds = (scheme.ground, scheme.panel, scheme.track, scheme.note)
    pairs = [(ink, ground) for ink in (scheme.ink, scheme.quiet, scheme.accent, scheme.wrong) for ground in grounds]
    pairs += [(scheme.accent_ink, scheme.accent), (scheme.ink, scheme.accent_soft), (scheme.right, scheme.panel)]
    low = {pair: ratio for pair in pairs if (ratio := contrast(*pair)) < 4.5}
    assert not low


def test_figures_stay_legible_on_the_shades_of_the_confusion_matrix(scheme: Scheme) -> None:
    for colour in (scheme.right, scheme.wrong):
        mixed = [
            round(0.5 * a + 0.5 * b)
            for a, b in zip(bytes.fromhex(colour[1:]), bytes.fromhex(scheme.panel[1:]), strict=True)
        ]
        assert contrast(scheme.ink, "#" + bytes(mixed).hex()) >= 4.5


def test_marks_and_rings_stand_off_their_ground(scheme: Scheme) -> None:
    for colour in (*scheme.series, scheme.other, scheme.right, scheme.wrong, scheme.focus):
        assert contrast(colour, scheme.panel) >= 3, colour
    assert contrast(scheme.focus, scheme.ground) >= 3


def test_categories_differ_in_grey_and_to_the_colour_blind(scheme: Scheme) -> None:
    for one, other in combinations(scheme.series, 2):
        assert abs(lab(linear(one))[0] - lab(linear(other))[0]) >= 9, (one, other, "grey")
        for name, matrix in {"": np.eye(3), **{name: np.array(rows) for name, rows in VISION.items()}}.items():
            seen = [lab(np.clip(matrix @ linear(colour), 0, 1)) for colour in (one, other)]
            assert np.linalg.norm(seen[0] - seen[1]) >= (15 if name == "tritanopia" else 25), (one, other, name)
    right, wrong = (
        lab(np.clip(np.array(VISION["deuteranopia"]) @ linear(c), 0, 1)) for c in (scheme.right, scheme.wrong)
    )
    assert np.linalg.norm(right - wrong) > 60


def test_heat_grows_lighter_all_the_way() -> None:
    lightness = [lab(linear(colour))[0] for colour in HEAT]
    assert all(after > before + 8 for before, after in pairwise(lightness))


def test_a_page_has_every_colour_in_both_schemes() -> None:
    light, _, rest = page_style().partition("@media (prefers-color-scheme: dark)")
    dark = rest[: rest.index("}")]
    for scheme, text in ((LIGHT, light), (DARK, dark)):
        declared = dict(re.findall(r"--([\w-]+): ([^;]+);", text))
        assert asdict(scheme).items() <= {name.replace("-", "_"): value for name, value in declared.items()}.items()
    assert page_style().count("{") == page_style().count("}")


def test_colours_where_css_has_no_say() -> None:
    assert coloured('fill="{{light.accent}}" {{dark.ground}} {{other}}') == (
        f'fill="{LIGHT.accent}" {DARK.ground} {{{{other}}}}'
    )
    with pytest.raises(AttributeError):
        coloured("{{light.nothing}}")
    assert (tint("#0072b2", 0), tint("#0072b2", 1), tint("#000000", 0.5)) == ("#0072b2", "#ffffff", "#808080")

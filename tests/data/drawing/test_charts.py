"""Charts look the same on every machine, leave matplotlib's settings alone, and need no styles in a page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

matplotlib = pytest.importorskip("matplotlib")

from edge_data import as_svg, chart_style, lettered, new_figure, save_png  # noqa: E402


def chart() -> str:
    with chart_style(12):
        figure = new_figure(300, 200, dpi=72)
        axes = figure.subplots()
        axes.plot([0, 0.00002], [1, 2], color="#123456", label="a line")
        axes.plot([0.00001], [1.5], "o", gid="one & a <half>")
        axes.set_xlabel("$x$")
        axes.set_xticks([0.000012], ["0.000012"])
        axes.legend()
        return as_svg(figure, 'from "1" to 2', {"#123456": "--ink"})


def test_a_drawing_brings_no_style_no_name_and_no_colour_of_its_own() -> None:
    drawn = chart()
    assert " style=" not in drawn and "<style" not in drawn and "font" not in drawn and "://" not in drawn
    assert "#123456" not in drawn and 'stroke="var(--ink)"' in drawn
    assert drawn.startswith('<svg viewBox="0 0 300 200" role="img" aria-label="from &quot;1&quot; to 2">')
    page = ElementTree.fromstring(drawn.replace("xlink:", ""))
    assert [title.text for title in page.iter("title")] == ["one & a <half>"]
    words = {text.text for text in page.iter("text")}
    assert {"$x$", "a line", "0.000012"} <= words, "numbers on an axis keep all their digits"
    targets = {each.get("id") for each in page.iter() if each.get("id")}
    assert targets == set(re.findall(r"#([mp]\w+)", drawn)), "what is named is what is used"


def test_the_same_chart_is_the_same_text_whatever_the_users_own_settings(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    drawn = chart()
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"axes.grid": True, "font.size": 31, "lines.linewidth": 9, "text.usetex": True}):
        assert chart() == drawn
    pictures = [tmp_path / "1.png", tmp_path / "2.png"]
    for path in pictures:
        with chart_style():
            save_png(new_figure(120, 80), path)
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_letters_that_cannot_be_drawn_are_marked() -> None:
    assert lettered("a\n b\t木 \udcff é $x$") == "a b ? ? é $x$"


def test_nothing_is_loaded_before_a_chart_is_drawn() -> None:
    code = (
        "import edge_data, sys; [getattr(edge_data, n) for n in edge_data.__all__]; print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert done.stdout.strip() == b"False"

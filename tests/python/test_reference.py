"""The pages of the Python reference: each name of the front door is on one of them, and has words to show there."""

from __future__ import annotations

import re
from collections import Counter

import edge_vision
from parts import ROOT, handed_out

NAMES = handed_out("edge_vision")
PAGES = {page: page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("api*.md")}


def test_each_name_is_on_one_page_and_in_the_table_of_all() -> None:
    shown = Counter(name for text in PAGES.values() for name in re.findall(r"(?m)^::: edge_vision\.(\w+)$", text))
    assert shown == Counter(dict.fromkeys(NAMES, 1))
    (table,) = (text for page, text in PAGES.items() if page.stem == "api")
    assert Counter(re.findall(r"\[edge_vision\.(\w+)\]", table)) == shown
    # Each below the page that it is on.
    for page, text in PAGES.items():
        for name in re.findall(r"(?m)^::: edge_vision\.(\w+)$", text):
            assert re.search(rf"(?m)^\| \[.*\]\({page.name}\) \|.*\[edge_vision\.{name}\]", table), name


def test_nothing_that_is_promised_is_left_without_words() -> None:
    assert not [name for name in dir(edge_vision) if not (getattr(edge_vision, name).__doc__ or "").strip()]

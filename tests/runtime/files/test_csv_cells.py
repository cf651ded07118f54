"""Cells of tables: no formula, no command to a terminal, and plain words as they are."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from edge_runtime import csv_cell
from edge_runtime.files.csv_cells import plain_text, quoted_text


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", " =", "\u3000@"])
def test_what_a_spreadsheet_would_compute_is_a_word(sign: str) -> None:
    assert csv_cell(f"{sign}1+1") == f"'{sign}1+1"


@pytest.mark.parametrize(
    ("text", "cell"),
    [("\t=1", r"\t=1"), ("\r=1", r"\r=1"), ("a\x1b[2J", r"a\x1b[2J"), ("=\n", r"'=\n"), ("a\u2028b", r"a\u2028b")],
)
def test_control_characters_are_spelled_out(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


@pytest.mark.parametrize("text", ["", "-", "a=1", "'a", "bee", "蜂", "a-b.jpg", "\udcff.jpg"])
def test_plain_words_stay(text: str) -> None:
    assert csv_cell(text) == text


@given(st.text(alphabet="'=+-@ a\uff1d\n", max_size=8) | st.text(max_size=8))
def test_what_is_quoted_is_read_back(text: str) -> None:
    cell = quoted_text(text)
    assert plain_text(cell) == text
    assert len(text) == 1 or not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))

"""Tables at the width of a terminal: nothing that is a number or a name is broken, and nothing is left out."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edge_cli.terminal_table import lay_out, print_fitted

COLUMNS = ("model", "precision", "backbone", "images/s\n(batch 8)", "end to end p50 ms", "accuracy", "note")
LONG = "hymenoptera-mobilenet_v2-feature-extraction-20261128-225153"
ROWS = [
    (f"{LONG}/model-int8.onnx", "int8", "mobilenet_v2", "1,002.4", "0.800", "86.3% (n 153)", "noisy (26%)"),
    (f"{LONG}/model.onnx", "fp32", "mobilenet_v2", "422.7", "2.21", "86.9% (n 153)", ""),
]


def printed(width: int, rows: list[tuple[str, ...]] = ROWS, left: int = 1) -> str:
    file = io.StringIO()
    print_fitted(Console(file=file, width=width, color_system=None), COLUMNS, rows, left=left)
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 300])
@pytest.mark.parametrize("name", [LONG, "bees", "x" * 35])
def test_no_cell_is_broken_at_any_width(width: int, name: str) -> None:
    rows = [(row[0].replace(LONG, name), *row[1:]) for row in ROWS]
    text = printed(width, rows)
    for row in rows:
        assert all(cell in text for cell in row)
    tables = [line for line in text.splitlines() if name not in line]
    assert max(map(len, tables)) <= width
    for word in ("precision", "(batch", "end", "accuracy", "note"):
        assert word in text


def test_it_is_one_table_where_it_fits_and_its_names_are_numbers_where_they_are_long() -> None:
    assert len(lay_out(COLUMNS, ROWS, left=1, width=300)[1]) == 1
    lines, parts = lay_out(COLUMNS, ROWS, left=1, width=80)
    assert lines == (f" 1 {LONG}/model-int8.onnx", f" 2 {LONG}/model.onnx")
    assert all([row[0] for row in part.rows] == ["1", "2"] for part in parts)
    assert [name for part in parts for name in part.columns[1:]] == [*COLUMNS[1:]], "each column once"
    short = [("bees.onnx", *row[1:]) for row in ROWS]
    lines, parts = lay_out(COLUMNS, short, left=1, width=60)
    assert lines == () and len(parts) == 2 and all(part.rows[0][0] == "bees.onnx" for part in parts)


def test_parts_are_about_as_wide_as_each_other() -> None:
    columns = ("name", *(f"column{number}" for number in range(8)))
    _, parts = lay_out(columns, [("a", *("1",) * 8)], left=1, width=80)
    assert [len(part.columns) for part in parts] == [5, 5]


def test_an_interval_stays_beside_what_it_is_of() -> None:
    columns = ("class", "precision", "sensitivity", "95 % interval", "specificity", "95 % interval", "F1")
    rows = [("ants", "0.838", "0.886", "0.790 to 0.941", "0.855", "0.764 to 0.915", "0.861")]
    for width in range(45, 90):
        _, parts = lay_out(columns, rows, left=1, width=width)
        said = [heading for part in parts for heading in part.columns[1:]]
        assert said == [*columns[1:]]
        assert all(part.columns[1] != "95 % interval" for part in parts)


def test_text_beside_the_first_column_is_folded_between_words() -> None:
    rows = [("a.jpg", "a long remark about this picture that fills a line", "1")]
    _, (part,) = lay_out(("image", "remark", "n"), rows, left=2, width=40)
    assert part.widths[0] == 5 and part.widths[2] == 1 and 7 < part.widths[1] <= 40
    file = io.StringIO()
    print_fitted(Console(file=file, width=40, color_system=None), ("image", "remark", "n"), rows, left=2)
    assert max(map(len, file.getvalue().splitlines())) <= 40


def test_a_table_without_rows_has_its_heading() -> None:
    assert "precision" in printed(80, [])


def test_what_looks_like_markup_or_commands_terminals_is_shown_as_it_is() -> None:
    file = io.StringIO()
    names = ("dog [large]", "dog [small]", "a[/b]", "[red]x", "bl\x1b[31mue\n\a")
    rows = [(name, *("1",) * len(names)) for name in names]
    console = Console(file=file, width=200, color_system=None)
    print_fitted(console, ("true \\ predicted", *names), rows, title="[bold]of[/b] dogs")
    text = file.getvalue()
    for name in names[:-1]:
        assert text.count(name) == 2
    assert text.count("bl\\x1b[31mue") == 2 and not {"\x1b", "\a"} & set(text)
    assert text.startswith("[bold]of[/b] dogs")
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [r"bl\x1b[31mue\n\x07"]]
    assert line.split()[1:] == ["1"] * len(names), "a cell has one line"

from __future__ import annotations

from edge_benchmarks import Table

TABLE = Table(("model", "p50\nms"), (("a|b", "1.00"), ("longer name", "10.25")), left=1)


def test_text_stands_to_the_left_and_numbers_to_the_right() -> None:
    assert TABLE.text().splitlines() == [
        "model        p50 ms",
        "a|b            1.00",
        "longer name   10.25",
    ]


def test_markdown_says_the_same() -> None:
    assert TABLE.markdown().splitlines() == [
        "| model | p50 ms |",
        "| --- | ---: |",
        "| a\\|b | 1.00 |",
        "| longer name | 10.25 |",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert Table(("model", "n"), (), left=1).text() == "model  n"

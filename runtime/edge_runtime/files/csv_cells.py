"""What a table for programs may hold of a user's words: file names and labels come from anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import one_line

# The last four are their full-width forms, which some spreadsheets read alike.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet computes and no terminal obeys; not for numbers, which it would make words.

    Control characters are spelled out as `one_line` does. What would be taken for a formula gets a single quote before
    it (OWASP, CSV Injection), which spreadsheets do not show; a lone sign is none.
    """
    return quoted_text(one_line(text))


def quoted_text(text: str) -> str:
    """`text` as a cell that no spreadsheet computes and `plain_text` gives back; control characters stay."""
    # One more quote before quotes that stand before a sign, so that none of them is taken for this one.
    return f"'{text}" if len(text) > 1 and _is_formula(text.lstrip("'")) else text


def plain_text(cell: str) -> str:
    """The text of a cell that `csv_cell` or `quoted_text` wrote."""
    return cell[1:] if len(cell) > 2 and cell[0] == "'" and _is_formula(cell.lstrip("'")) else cell


def csv_line(cells: Sequence[str], delimiter: str = ",") -> str:
    """A row with its line end, which is "\\n"; what a cell has of other line ends reads back, too."""
    # Here, since most of what guards a cell writes no line.
    import csv
    import io

    line = io.StringIO()
    # Python before 3.13 leaves a bare carriage return unquoted, and reads it as a line's end.
    if any("\r" in cell for cell in cells):
        csv.writer(line, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    else:
        csv.writer(line, delimiter=delimiter, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _is_formula(text: str) -> bool:
    return text.lstrip().startswith(_FORMULA_SIGNS)

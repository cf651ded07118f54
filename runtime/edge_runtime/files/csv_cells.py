"""What a table for programs may hold of a user's words: file names and labels come from anywhere."""

from __future__ import annotations

from edge_runtime.errors import one_line

# The last four are their full-width forms, which some spreadsheets read alike.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet computes and no terminal obeys; not for numbers, which it would make words.

    Control characters are spelled out as `one_line` does. What would be taken for a formula gets a single quote before
    it (OWASP, CSV Injection), which spreadsheets do not show; a lone sign is none.
    """
    cell = one_line(text)
    return f"'{cell}" if len(cell) > 1 and cell.lstrip().startswith(_FORMULA_SIGNS) else cell

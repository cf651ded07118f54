"""A table, and how it is written: in columns for a terminal, in Markdown to be pasted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and rows of text; the first `left` columns are text, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int

    def text(self) -> str:
        """Aligned columns, text to the left and numbers to the right, a line each."""
        lines = [self._heads(), *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if index < self.left else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """The same in Markdown, as many lines and one more."""
        rules = tuple("---" if index < self.left else "---:" for index in range(len(self.columns)))
        lines = [[cell.replace("|", "\\|") for cell in line] for line in (self._heads(), rules, *self.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _heads(self) -> tuple[str, ...]:
        return tuple(" ".join(column.split()) for column in self.columns)

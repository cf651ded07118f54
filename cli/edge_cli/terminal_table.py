"""A table on a terminal: as wide as it is, or laid out so that no number and no name in it is broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = Sequence[str]
# Between two columns, and what a table has to its left and right.
_GAP, _EDGES = 3, 2
_NUMBER = "#"


@dataclass(frozen=True, slots=True)
class Part:
    """Columns that stand side by side, the rows of their cells, and how wide each is; the first `left` hold text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    left: int


def lay_out(columns: Row, rows: Sequence[Row], *, left: int, width: int) -> tuple[tuple[str, ...], tuple[Part, ...]]:
    """The parts that a table becomes where it is `width` characters wide, one below the other, each with the names.

    The first column names the rows. Where it takes more than half the width and the rest does not fit beside it, it
    becomes numbers, and the names that they stand for come first: lines to be printed before. A heading may have
    several lines, a cell has one; other control characters are spelled out, as a label may be a stranger's.
    """
    columns = ["\n".join(map(one_line, heading.split("\n"))) for heading in columns]
    rows = [[one_line(cell) for cell in row] for row in rows]
    names = [row[0] for row in rows]
    beside = _parts(columns, rows, left, width)
    if len(beside) == 1 or max(map(_cells, names), default=0) <= width // 2:
        return (), beside
    numbers = [str(number) for number in range(1, len(rows) + 1)]
    lines = tuple(f"{number:>{len(numbers[-1]) + 1}} {name}" for number, name in zip(numbers, names, strict=True))
    numbered = [(number, *row[1:]) for number, row in zip(numbers, rows, strict=True)]
    return lines, _parts((_NUMBER, *columns[1:]), numbered, left, width)


def print_fitted(console: Console, columns: Row, rows: Sequence[Row], *, title: str = "", left: int = 1) -> None:
    """Print the table on a terminal, in parts where it is wider than that; the first `left` columns are text."""
    from rich.text import Text

    lines, parts = lay_out(columns, rows, left=left, width=console.width)
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    for place, part in enumerate(parts):
        console.print(rich_table(part, title="" if place else title), width=max(console.width, _width(part.widths)))


def rich_table(part: Part, *, title: str = "") -> Table:
    """The part as rich draws it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # As Text, which is no markup: a class may be called "dog [large]".
    above = Text(title, "table.title") if title else None
    table = Table(title=above, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, (column, wide) in enumerate(zip(part.columns, part.widths, strict=True)):
        table.add_column(Text(column), justify="left" if place < part.left else "right", overflow="fold", width=wide)
    for row in part.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _parts(columns: Row, rows: Sequence[Row], left: int, width: int) -> tuple[Part, ...]:
    """As many columns side by side as fit, then the next beneath, beside the same names."""
    cells = [[row[place] for row in rows] for place in range(len(columns))]
    natural = [max(map(_cells, (heading, *column))) for heading, column in zip(columns, cells, strict=True)]
    if _width(natural) <= width:
        return (_part(columns, rows, range(len(columns)), natural, left),)
    # Headings are broken between words, and so is text; names and numbers are not.
    least = [
        max(_longest_word(heading), *(_longest_word(cell) if 0 < place < left else _cells(cell) for cell in column), 1)
        for place, (heading, column) in enumerate(zip(columns, cells, strict=True))
    ]
    parts = []
    for places in _balanced(least, _units(columns), width):
        spare = width - _width([least[place] for place in places])
        widths = list(least)
        for place in places:
            more = max(0, min(spare, natural[place] - least[place]))
            widths[place] += more
            spare -= more
        parts.append(_part(columns, rows, places, widths, left))
    return tuple(parts)


def _units(columns: Row) -> list[list[int]]:
    """The places of columns that stay side by side: one whose heading occurs twice belongs to what it stands beside."""
    units: list[list[int]] = []
    for place in range(1, len(columns)):
        if units and columns.count(columns[place]) > 1:
            units[-1].append(place)
        else:
            units.append([place])
    return units


def _balanced(least: Sequence[int], units: Sequence[Sequence[int]], width: int) -> list[list[int]]:
    """As few groups of columns as the width allows, and none of them much narrower than the others."""
    groups = [*_groups(least, units, width)]
    while width > 0 and len(narrower := [*_groups(least, units, width - 1)]) == len(groups):
        groups, width = narrower, width - 1
    return groups


def _groups(least: Sequence[int], units: Sequence[Sequence[int]], width: int) -> Iterator[list[int]]:
    """The places of the columns of each part, the first column in all of them."""
    group = [0]
    for unit in units:
        if len(group) > 1 and _width([least[each] for each in (*group, *unit)]) > width:
            yield group
            group = [0]
        group.extend(unit)
    yield group


def _part(columns: Row, rows: Sequence[Row], places: Sequence[int], widths: Sequence[int], left: int) -> Part:
    return Part(
        tuple(columns[place] for place in places),
        tuple(tuple(row[place] for place in places) for row in rows),
        tuple(widths[place] for place in places),
        sum(place < left for place in places),
    )


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1) + _EDGES


def _longest_word(text: str) -> int:
    return max(map(_cells, text.split()), default=0)


def _cells(text: str) -> int:
    """How many places of a terminal its longest line takes."""
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)

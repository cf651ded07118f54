"""What a person sees: results on stdout, everything else on stderr; rich is loaded only to draw."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from edge_cli.flags import said_as_flags
from edge_runtime import one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def fail(message: str, hint: str, code: int) -> int:
    """Say on stderr what is wrong and what to do, parameters as flags; gives `code` back."""
    message, hint = said_as_flags(message), said_as_flags(hint)
    coloured = _is_terminal(sys.stderr) and "NO_COLOR" not in os.environ
    red, dim, off = ("\033[31m", "\033[2m", "\033[0m") if coloured else ("", "", "")
    sys.stderr.write(f"{over_bar()}{red}error:{off} {message}\n")
    if hint:
        sys.stderr.write(f"{dim} hint:{off} {hint}\n")
    return code


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that stays JSON on stdout: ASCII alone where that is not UTF-8."""
    encoding = (sys.stdout.encoding or "").lower().replace("_", "-")
    return json.dumps(value, indent=indent, ensure_ascii=encoding not in ("utf-8", "utf8"), allow_nan=False)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(f"{json_text(value, indent=2)}\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", left: int = 1) -> None:
    """Print a table on stdout; the first `left` columns are text, the others numbers set to the right.

    A pipe has no width: there it is as wide as it is. Where a terminal is too narrow it comes in parts. A cell is one
    line, whatever the names in it hold; headings may be several.
    """
    from rich.console import Console as RichConsole

    from edge_cli.terminal_table import lay_out, print_fitted, rich_table

    console, rows = RichConsole(highlight=False), [[*map(one_line, row)] for row in rows]
    if console.is_terminal:
        print_fitted(console, columns, rows, title=title, left=left)
        return
    _, (whole,) = lay_out(columns, rows, left=left, width=10_000)
    table = rich_table(whole, title=title)
    console.width = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    console.print(table)


class Console:
    """Lines and progress bars on stderr; bars only on a terminal, nothing at all with `quiet`.

    With `still` a bar is drawn only when it advances: redrawing it by the clock takes some of what is measured.
    """

    def __init__(self, *, quiet: bool = False, still: bool = False) -> None:
        self.quiet = quiet
        self._still = still
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._unit = ""

    def say(self, text: str) -> None:
        """One line on stderr, parameters in it as flags, above a bar that is being drawn.

        Names of files, labels and machines may be anybody's: what would end the line or command the terminal is spelled
        out.
        """
        if self.quiet:
            return
        text = one_line(said_as_flags(text))
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def begin(self, task: str, total: int | None, unit: str = "images") -> None:
        """Start a bar for `total` images (or another unit; None is not known); it replaces the one before."""
        self.end()
        if self.quiet or not sys.stderr.isatty():
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=RichConsole(stderr=True),
            transient=True,
            auto_refresh=not self._still,
            # Results printed meanwhile belong to stdout, wherever that leads.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(one_line(task), total=total, rate="")
        self._unit = unit
        self._bar.start()

    def advance(self, count: int = 1) -> None:
        """So many more of the bar are done."""
        if self._bar is None or self._task is None:
            return
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, advance=count, rate=f"{speed:,.0f} {self._unit}/s" if speed else "")
        if self._still:
            self._bar.refresh()

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def over_bar() -> str:
    """What a line on stderr begins with, so that a bar that is being drawn does not stand before it."""
    return "\r\033[K" if _is_terminal(sys.stderr) else ""


def _is_terminal(stream: Any) -> bool:
    """Whether it is one that takes commands."""
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"

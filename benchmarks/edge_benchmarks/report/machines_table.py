"""The table of machines in docs/benchmarks.md, made of the files that users share: python -m this module.

python -m edge_benchmarks.report.machines_table docs/machines docs/benchmarks.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from edge_benchmarks.report.shared_report import SharedReport, SharedRow, read_shared
from edge_runtime import EdgeError, UsageError, write_text

BEGIN, END = "<!-- machines: make benchmarks-table -->", "<!-- /machines -->"
_HEAD = (
    "machine",
    "backbone",
    "precision",
    "threads",
    "p50 ms",
    "p90 ms",
    "n",
    "images/s",
    "MB",
    "onnxruntime",
    "when",
)
_RIGHT = frozenset({"threads", "p50 ms", "p90 ms", "n", "images/s", "MB"})


def machines_table(reports: Sequence[SharedReport]) -> str:
    """Markdown: a row for each network on each machine, machines by name, the fastest networks first."""
    lines = [_line(_HEAD), _line(["---:" if name in _RIGHT else "---" for name in _HEAD])]
    for report in sorted(reports, key=lambda each: (each.machine.cpu, each.month)):
        rows = sorted(report.rows, key=lambda each: each.p90_ms)
        lines += [_line(_cells(report, row)) for row in rows]
    return "\n".join(lines)


def write_table(folder: Path, page: Path) -> int:
    """Replace what stands between the page's two marks by the table of the folder's files; how many files there are.

    Raises UsageError where a file is none that was shared, or the page has not both marks; the page stays as it is.
    """
    reports = [read_shared(path) for path in sorted(folder.glob("*.json"))]
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(f"{page} has no lines {BEGIN} and {END} to write between")
    write_text(page, f"{before}{BEGIN}\n\n{machines_table(reports)}\n\n{END}{after}")
    return len(reports)


def _cells(report: SharedReport, row: SharedRow) -> list[str]:
    own = report.machine
    memory = "" if own.memory_gib is None else f", {own.memory_gib} GiB"
    marks = [mark for mark, there in (("noisy", row.noisy), ("throttled", row.throttled)) if there]
    engine = "" if row.engine == "onnxruntime" else f", {row.engine}"
    return [
        f"{own.cpu} ({own.machine}{', virtual' if own.virtual else ''}), {own.usable_cores} cores{memory}",
        f"{row.backbone}, {row.input_px} px{engine}",
        row.precision + (f" ({', '.join(marks)})" if marks else ""),
        str(row.threads),
        f"{row.p50_ms:.2f}",
        f"{row.p90_ms:.2f}",
        str(row.n),
        f"{row.images_per_s:,.1f}",
        f"{row.size_bytes / 1e6:.1f}",
        own.onnxruntime or "–",
        report.month,
    ]


def _line(cells: Sequence[str]) -> str:
    # What strangers write stays in its cell.
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") for cell in cells) + " |"


def main(words: Sequence[str]) -> int:
    """Write the table; `words` are the folder and the page."""
    try:
        count = write_table(*map(Path, words))
    except EdgeError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return error.exit_code
    sys.stderr.write(f"{words[1]}: the table of {count} machine{'' if count == 1 else 's'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

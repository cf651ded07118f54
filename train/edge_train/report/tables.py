"""The tables of the report: HTML with everything that comes from the user's data escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from edge_runtime import Metrics
from edge_train.report.diagnosis import EpochFigures

__all__ = [
    "HEAT_STEPS",
    "class_table",
    "confusion",
    "count_table",
    "epoch_table",
    "fact_table",
    "heat_style",
    "percent",
    "words",
]

# Above this a matrix's numbers are too small to read, and its worst pairs say more.
MATRIX_UP_TO = 50
DENSE_FROM = 9
PAIRS_SHOWN = 20
ROWS_UNFOLDED = 30
HEAT_STEPS = 10
# At most so opaque that the text on it keeps a contrast of 4.5 in both colour schemes.
HEAT_OPACITY = 0.55


def words(value: object) -> str:
    """Any value as HTML text; isolated, so that right-to-left marks in a name do not turn what follows."""
    return f"<bdi>{escape(str(value))}</bdi>"


def percent(share: float | None) -> str:
    """A share in 0..1 as per cent, a dash for None."""
    return "–" if share is None else f"{share:.1%}"


def heat_style() -> str:
    """The style of the matrix's shades: `g1`.. for right answers, `b1`.. for wrong ones."""
    return "\n".join(
        f".{letter}{step} {{ background: rgba(var(--{name}), {HEAT_OPACITY * step / HEAT_STEPS:.3g}); }}"
        for letter, name in (("g", "good"), ("b", "bad"))
        for step in range(1, HEAT_STEPS + 1)
    )


def confusion(metrics: Metrics) -> str:
    """The confusion matrix in numbers, or above 50 classes its worst pairs."""
    return _matrix(metrics) if len(metrics.labels) <= MATRIX_UP_TO else _pairs(metrics)


def _matrix(metrics: Metrics) -> str:
    labels = [escape(label) for label in metrics.labels]
    dense = " dense" if len(labels) >= DENSE_FROM else ""
    head = "".join(f'<th scope="col" title="{label}"><bdi>{label}</bdi></th>' for label in labels)
    rows = []
    for truth, counts in enumerate(metrics.confusion.tolist()):
        total = max(1, sum(counts))
        cells = "".join(_cell(count, count / total, right=truth == said) for said, count in enumerate(counts))
        name = f'<th scope="row" title="{labels[truth]}"><bdi>{labels[truth]}</bdi></th>'
        rows.append(f"<tr>{name}{cells}</tr>")
    caption = "Rows: what the picture is. Columns: what the model answered. Shade: share of the row."
    return _scroll(
        caption,
        f'<table class="matrix{dense}" aria-label="Confusion matrix"><thead><tr>'
        f'<th scope="col">is \\ answered</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>',
    )


def _cell(count: int, share: float, *, right: bool) -> str:
    if not count:
        return '<td class="zero">0</td>'
    return f'<td class="{"g" if right else "b"}{max(1, math.ceil(share * HEAT_STEPS))}">{count}</td>'


def _pairs(metrics: Metrics) -> str:
    wrong = metrics.confusion.copy()
    np.fill_diagonal(wrong, 0)
    support = metrics.confusion.sum(axis=1)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:PAIRS_SHOWN]
    rows = []
    for truth, said in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if count := int(wrong[truth, said]):
            share = percent(count / int(support[truth]))
            rows.append((words(metrics.labels[truth]), words(metrics.labels[said]), str(count), share))
    if not rows:
        return "<p>No two classes were confused.</p>"
    caption = f"The pairs most often confused, of {len(metrics.labels)} classes."
    return _table(caption, ("picture of", "answered", "images", "of that class"), rows, left=2)


def class_table(metrics: Metrics, training: Mapping[str, int]) -> str:
    """Precision, recall, F1 and the number of images of each class, the worst first."""
    found = sorted(metrics.per_class, key=lambda row: (row.f1 is None, row.f1 or 0.0))
    rows = [
        (
            words(row.label),
            percent(row.precision),
            percent(row.recall),
            percent(row.f1),
            str(row.support),
            str(training.get(row.label, 0)),
        )
        for row in found
    ]
    caption = "Worst F1 first. Precision: right among what it called so. Recall: found among what is so."
    return _folded(caption, ("class", "precision", "recall", "F1", "n", "trained on"), rows)


def count_table(labels: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> str:
    """Images of each class in each split, and their sums."""
    rows = [(words(label), *(str(split.get(label, 0)) for split in counts.values())) for label in labels]
    sums = ("all", *(str(sum(split.values())) for split in counts.values()))
    return _folded("Images of each class.", ("class", *(escape(name) for name in counts)), [sums, *rows])


def epoch_table(history: Sequence[EpochFigures], best_epoch: int) -> str:
    """The curves in numbers."""
    rows = [
        (
            f"{row.epoch}{' ★' if row.epoch == best_epoch else ''}",
            f"{row.train_loss:.3f}",
            percent(row.train_accuracy),
            f"{row.val_loss:.3f}",
            percent(row.val_accuracy),
            f"{row.seconds:.1f}",
        )
        for row in history
    ]
    head = ("epoch", "train loss", "train accuracy", "val loss", "val accuracy", "training s")
    return f"<details><summary>The numbers</summary>{_table('★ the epoch kept in best.pt', head, rows)}</details>"


def fact_table(caption: str, facts: Mapping[str, object]) -> str:
    """Names and values."""
    rows = "".join(
        f'<tr><th scope="row">{words(name)}</th><td>{"–" if value is None else words(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f'<table class="facts"><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>'


def _folded(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = _table(caption, head, rows)
    if len(rows) <= ROWS_UNFOLDED:
        return table
    start = _table(caption, head, rows[: ROWS_UNFOLDED // 2])
    return f"{start}<details><summary>All {len(rows)} rows</summary>{table}</details>"


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    top = "".join(f'<th scope="col"{_LEFT if at < left else ""}>{name}</th>' for at, name in enumerate(head))
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{_LEFT if at < left else ''}>{cell}</td>" for at, cell in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    return _scroll(caption, f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")


_LEFT = ' class="left"'


def _scroll(caption: str, table: str) -> str:
    # Beside the table rather than a caption in it, which is squeezed to the table's width. The box is focusable, so
    # that a wide table can be scrolled from the keyboard.
    name = escape(caption)
    return (
        f'<p class="muted">{name}</p><div class="scroll" role="region" tabindex="0" aria-label="{name}">{table}</div>'
    )

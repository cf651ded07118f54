"""Which model to take: the most accurate that keeps the limits, the Pareto front, and reasons in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_benchmarks.report.report import Report, Row
from edge_benchmarks.report.tables import milliseconds

SOURCES = ("measured", "recorded", "published")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model may cost at most; None is no limit.

    Latency is the 90th percentile from an encoded picture to its answer, or of inference where nothing was decoded.
    """

    latency_ms: float | None = None
    size_bytes: float | None = None

    def missed(self, row: Row) -> list[str]:
        """Which limits a row does not keep, in words."""
        missed = []
        if self.latency_ms is not None and row.answer.p90_ms > self.latency_ms:
            missed.append(f"p90 {_answer_ms(row)} ms, {self.latency_ms:g} ms allowed")
        if self.size_bytes is not None and row.size_bytes > self.size_bytes:
            missed.append(f"{row.size_bytes / 1e6:.1f} MB, {self.size_bytes / 1e6:g} MB allowed")
        return missed

    def excess(self, row: Row) -> float:
        """How many times over its worst limit a row is; at most 1 where it keeps them."""
        over = [1.0]
        if self.latency_ms is not None:
            over.append(row.answer.p90_ms / self.latency_ms)
        if self.size_bytes is not None:
            over.append(row.size_bytes / self.size_bytes)
        return max(over)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The row to take, None where none keeps the limits; `reasons` are sentences."""

    row: Row | None
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --recommend --json` carries it."""
        row = self.row
        chosen = None
        if row is not None:
            chosen = {"model": row.model, "precision": row.precision, "engine": row.engine, "threads": row.threads}
        return {"take": chosen, "reasons": list(self.reasons)}


def comparable_rows(rows: Sequence[Row]) -> list[Row]:
    """The rows whose accuracies can be compared: those of the best source, measured on the same images."""
    for source in SOURCES:
        places = [row.accuracy.measured_on for row in rows if row.accuracy and row.accuracy.source == source]
        if places:
            commonest = max(dict.fromkeys(places), key=places.count)
            return [row for row in rows if row.accuracy and row.accuracy.measured_on == commonest]
    return []


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats in accuracy without being slower, fastest first; of equals the first.

    Rows without an accuracy are never on it.
    """
    front: list[Row] = []
    ordered = [row for row in rows if row.accuracy is not None]
    ordered.sort(key=lambda row: (row.answer.p90_ms, -(row.accuracy.value if row.accuracy else 0)))
    for row in ordered:
        if not front or _value(row) > _value(front[-1]):
            front.append(row)
    return front


def recommend(report: Report, limits: Limits) -> Recommendation:
    """The most accurate model of the report that keeps the limits; of equally accurate ones the fastest."""
    fitting = [row for row in report.rows if not limits.missed(row)]
    if not fitting:
        nearest = min(report.rows, key=limits.excess)
        return Recommendation(
            None,
            (
                f"none of {len(report.rows)} keeps the limits; {nearest.title} comes nearest: "
                f"{', '.join(limits.missed(nearest))}",
            ),
        )
    known = comparable_rows(fitting)
    if not known:
        fastest = min(fitting, key=lambda row: row.answer.p90_ms)
        reasons = [
            f"the fastest of {_of(fitting, report)}: p90 {_answer_ms(fastest)} ms, {fastest.size_bytes / 1e6:.1f} MB",
            "how accurate they are is not known: name labelled images with `data`",
        ]
        return Recommendation(fastest, (*reasons, *_cautions(fastest)))
    best = min(known, key=lambda row: (-_value(row), row.answer.p90_ms))
    accuracy = best.accuracy
    assert accuracy is not None
    reasons = [
        f"the most accurate of {_of(fitting, report)}: {accuracy.value:.1%} ({accuracy.describe_source()}), "
        f"p90 {_answer_ms(best)} ms, {best.size_bytes / 1e6:.1f} MB"
    ]
    if len(known) < len(fitting):
        reasons.append(f"{len(fitting) - len(known)} that keep them have no accuracy to compare with")
    return Recommendation(best, (*reasons, *_rivals(best, known), *_beyond(best, report, limits), *_cautions(best)))


def _rivals(best: Row, known: Sequence[Row]) -> list[str]:
    """A faster or smaller one that is not surely less accurate."""
    assert best.accuracy is not None
    interval = best.accuracy.interval
    if interval is None:
        return []
    rivals = [row for row in known if row.answer.p90_ms < 0.9 * best.answer.p90_ms and _value(row) >= interval[0]]
    if not rivals:
        return []
    rival = min(rivals, key=lambda row: row.answer.p90_ms)
    share = rival.answer.p90_ms / best.answer.p90_ms
    return [
        f"{rival.title} takes {share:.0%} of its time, and its {_value(rival):.1%} lie in the 95 % interval of the "
        f"other ({interval[0]:.1%} to {interval[1]:.1%}): measure on more images to tell them apart"
    ]


def _beyond(best: Row, report: Report, limits: Limits) -> list[str]:
    """What the limits cost: the next more accurate one that they rule out."""
    known = comparable_rows(report.rows)
    better = [row for row in known if limits.missed(row) and best in known and _value(row) > _value(best)]
    if not better:
        return []
    nearest = min(better, key=limits.excess)
    return [f"{nearest.title} would reach {_value(nearest):.1%}, but: {', '.join(limits.missed(nearest))}"]


def _cautions(row: Row) -> list[str]:
    cautions = []
    if row.doubts:
        cautions.append(f"its figures are marked: {', '.join(row.doubts)}; measure again on a quiet, cool machine")
    if row.accuracy is not None and row.accuracy.source == "published":
        cautions.append("published accuracy is on ImageNet; on your images, after training, the order may be another")
    return cautions


def _of(fitting: Sequence[Row], report: Report) -> str:
    return (
        f"the {len(fitting)} of {len(report.rows)} that keep the limits" if len(fitting) < len(report.rows) else "all"
    )


def _answer_ms(row: Row) -> str:
    what = "end to end" if row.end_to_end is not None else "of inference"
    return f"{what} {milliseconds(row.answer.p90_ms)}"


def _value(row: Row) -> float:
    return 0.0 if row.accuracy is None else row.accuracy.value

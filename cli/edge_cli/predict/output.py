"""Answers on stdout as they come: a table with bars for people, JSON, JSON lines or CSV for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from edge_cli.console import json_text
from edge_runtime import UNKNOWN, csv_cell, one_line

if TYPE_CHECKING:
    from edge_runtime import Prediction

BAR_WIDTH = 20


class Output(Protocol):
    """Takes answers one by one; `end` says that there are no more."""

    def write(self, answer: Prediction) -> None:
        """Print one answer."""

    def end(self) -> None:
        """Print what comes after the last."""


def answer_json(answer: Prediction, top: int, min_confidence: float) -> dict[str, Any]:
    """One answer as a JSON object; below `min_confidence` its label is `unknown`, and `top` says what it might be."""
    value = answer.to_json(top)
    if answer.probability < min_confidence:
        value["label"] = UNKNOWN
    return value


class Table:
    """For people: the picture's name, then a line and a bar per label."""

    def __init__(self, top: int, min_confidence: float) -> None:
        self._top, self._min_confidence = top, min_confidence
        self._block = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        rows = [(one_line(label), probability) for label, probability in answer.top(self._top)]
        width = max(len(label) for label, _ in rows)
        lines = [one_line(answer.image)]
        if answer.probability < self._min_confidence:
            lines.append(f"  {UNKNOWN}: no label reaches {self._min_confidence:.2%}")
        elif answer.operating_point is not None:
            point = answer.operating_point
            lines.append(f"  {one_line(answer.label)}: {one_line(point.positive)} from {point.threshold:.2%} on")
        for label, probability in rows:
            bar = self._block * round(probability * BAR_WIDTH)
            lines.append(f"  {label:<{width}}  {probability:7.2%}  {bar}".rstrip())
        _say("\n".join(lines))

    def end(self) -> None:
        """Nothing comes after the last."""


class JsonLines:
    """One JSON object a line."""

    def __init__(self, top: int, min_confidence: float) -> None:
        self._top, self._min_confidence = top, min_confidence

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        _say(json_text(answer_json(answer, self._top, self._min_confidence)))

    def end(self) -> None:
        """Nothing comes after the last."""


class JsonDocument:
    """One JSON document, `{"model": …, "predictions": […]}`, written as the answers come and held by nobody."""

    def __init__(self, model: str, top: int, min_confidence: float) -> None:
        self._model, self._top, self._min_confidence = model, top, min_confidence
        self._begun = False

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        self._begin(",\n")
        text = json_text(answer_json(answer, self._top, self._min_confidence), indent=2)
        sys.stdout.write("\n".join(f"    {line}" for line in text.split("\n")))

    def end(self) -> None:
        """Close the document."""
        if self._begun:
            sys.stdout.write("\n  ]\n}\n")
        else:
            sys.stdout.write(f'{{\n  "model": {json_text(self._model)},\n  "predictions": []\n}}\n')

    def _begin(self, between: str) -> None:
        if self._begun:
            sys.stdout.write(between)
            return
        sys.stdout.write(f'{{\n  "model": {json_text(self._model)},\n  "predictions": [\n')
        self._begun = True


class Csv:
    """A header and one row per picture: `image,label,probability`, then `label_1,probability_1,…` up to `top`."""

    def __init__(self, top: int, min_confidence: float) -> None:
        import csv

        self._top, self._min_confidence = top, min_confidence
        self._writer = csv.writer(_Lines(), lineterminator="")
        self._begun = False

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        rows = answer.top(self._top)
        self._begin(len(rows))
        label = answer.label if answer.probability >= self._min_confidence else UNKNOWN
        ranked = [cell for name, probability in rows for cell in (csv_cell(name), f"{probability:.6f}")]
        self._writer.writerow([csv_cell(answer.image), csv_cell(label), f"{answer.probability:.6f}", *ranked])

    def end(self) -> None:
        """An empty table has a header, too."""
        self._begin(0)

    def _begin(self, ranks: int) -> None:
        if not self._begun:
            columns = [f"{name}_{rank}" for rank in range(1, ranks + 1) for name in ("label", "probability")]
            self._writer.writerow(["image", "label", "probability", *columns])
            self._begun = True


class _Lines:
    """Takes rows from `csv` and prints them as other lines on stdout."""

    def write(self, row: str) -> None:
        """Print one row."""
        _say(row)


def _say(line: str) -> None:
    # Flushed, so that whoever reads the pipe has each answer at once, and one who has gone is noticed.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

"""Answers on stdout as they come: a table with bars for people, JSON, JSON lines or CSV for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from edge_cli.console import json_text
from edge_runtime import UNKNOWN, csv_cell, one_line

if TYPE_CHECKING:
    from edge_cli.console import Console
    from edge_runtime import ImageError, OperatingPoint, Prediction

BAR_WIDTH = 20


def threshold_text(point: OperatingPoint) -> str:
    """From which probability on the answer is the positive class."""
    return f"{one_line(point.positive)} from {point.threshold:.2%} on"


def say_threshold(point: OperatingPoint | None, console: Console) -> None:
    """Say on stderr from which probability on the answer is the positive class, where the model has such a one."""
    if point is not None:
        console.say(threshold_text(point))


class Output:
    """Takes answers one by one, to print `top` labels of each; one withheld for `min_confidence` is `unknown`."""

    def __init__(self, top: int, min_confidence: float) -> None:
        self._top, self._min_confidence = top, min_confidence

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        raise NotImplementedError

    def fail(self, name: str, error: ImageError) -> None:
        """The picture `name` has no answer, which is on stderr already."""

    def end(self) -> None:
        """Print what comes after the last, if anything does."""

    def cut_off(self) -> None:
        """No more comes, as the work was interrupted or failed: what is printed must be whole all the same."""

    def _json(self, answer: Prediction, indent: int | None = None) -> str:
        return json_text(answer.to_json(self._top, min_confidence=self._min_confidence), indent=indent)


class Table(Output):
    """For people: the picture's name, then a line and a bar per label."""

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        block = block_character()
        rows = [(one_line(label), probability) for label, probability in answer.top(self._top)]
        width = max(len(label) for label, _ in rows)
        lines = [one_line(answer.image)]
        if answer.unlike:
            lines.append(f"  {UNKNOWN}: further from training than {answer.unlikeness:.2%} of known pictures")
        elif answer.is_withheld(self._min_confidence):
            lines.append(f"  {UNKNOWN}: {_withheld_text(answer, self._min_confidence)}")
        elif answer.operating_point is not None:
            lines.append(f"  {one_line(answer.label)}: {threshold_text(answer.operating_point)}")
        for label, probability in rows:
            bar = block * round(probability * BAR_WIDTH)
            lines.append(f"  {label:<{width}}  {probability:7.2%}  {bar}".rstrip())
        say_answer("\n".join(lines))


def _withheld_text(answer: Prediction, min_confidence: float) -> str:
    """What is below the confidence: every label, or the one that an operating point decided for."""
    if answer.operating_point is None:
        return f"no label reaches {min_confidence:.2%}"
    return f"{one_line(answer.label)} has {answer.probability:.2%}, less than {min_confidence:.2%}"


class JsonLines(Output):
    """One JSON object a line."""

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        say_answer(self._json(answer))


class JsonDocument(Output):
    """One JSON document, `{"model": …, "predictions": […]}`, written as the answers come and held by nobody."""

    def __init__(self, model: str, top: int, min_confidence: float) -> None:
        super().__init__(top, min_confidence)
        head = f'{{\n  "model": {json_text(model)},\n  "predictions": ['
        self._before, self._after, self._begun = f"{head}\n", f"{head}]\n}}\n", False

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        text = self._json(answer, indent=2).replace("\n", "\n    ")
        sys.stdout.write(f"{self._before}    {text}")
        self._before, self._after, self._begun = ",\n", "\n  ]\n}\n", True

    def end(self) -> None:
        """Close the document."""
        sys.stdout.write(self._after)

    def cut_off(self) -> None:
        """Close the document where it was begun: it has the answers that there were."""
        if self._begun:
            self.end()


class Csv(Output):
    """A header and one row per picture: `image,label,probability`, then `label_1,probability_1,…` up to `top`."""

    def __init__(self, top: int, min_confidence: float) -> None:
        import csv

        super().__init__(top, min_confidence)
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._begun = False

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        self._begin(min(self._top, len(answer.labels)))
        self._writer.writerow([csv_cell(answer.image), *self._cells(answer)])
        sys.stdout.flush()

    def end(self) -> None:
        """An empty table has a header, too."""
        self._begin(0)

    def _begin(self, ranks: int) -> None:
        if not self._begun:
            self._writer.writerow(["image", *self._columns(ranks)])
            self._begun = True

    def _columns(self, ranks: int) -> list[str]:
        columns = [f"{name}_{rank}" for rank in range(1, ranks + 1) for name in ("label", "probability")]
        return ["label", "probability", *columns]

    def _cells(self, answer: Prediction) -> list[str]:
        return [csv_cell(answer.told(self._min_confidence)), f"{answer.probability:.6f}", *self._ranked(answer)]

    def _ranked(self, answer: Prediction) -> list[str]:
        return [cell for name, share in answer.top(self._top) for cell in (csv_cell(name), f"{share:.6f}")]


def block_character() -> str:
    """What a bar is made of on this terminal."""
    return "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"


def say_answer(line: str) -> None:
    """Print it, and flush: whoever reads the pipe has each answer at once, and one who has gone is noticed."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

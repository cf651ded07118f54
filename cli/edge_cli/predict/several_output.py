"""Answers of several labels, or of several tasks, on stdout: a table with bars, or CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_cli.predict.output import BAR_WIDTH, Csv, Output, block_character, say_answer
from edge_runtime import UNKNOWN, MultiLabelPrediction, UsageError, csv_cell, one_line

if TYPE_CHECKING:
    from edge_runtime import ModelCard, Prediction


class SeveralTable(Output):
    """For people: the picture's name, then a line and a bar per label, those of a task below its name."""

    def write(self, answer: Prediction) -> None:
        """Print one answer."""
        lines = (
            _label_lines(answer, self._top, self._min_confidence) if isinstance(answer, MultiLabelPrediction) else []
        )
        for name, own in answer.tasks.items():
            lines += [f"  {name}", *(f"  {line}" for line in _task_lines(own, self._top, self._min_confidence))]
        say_answer("\n".join([one_line(answer.image), *lines]))


def _label_lines(answer: MultiLabelPrediction, top: int, min_confidence: float) -> list[str]:
    """All labels that are given, marked, and others up to `top`; each with the probability it is given from."""
    block = block_character()
    mark = "✓" if block == "█" else "*"
    given = {row.label for row in answer.given_labels(min_confidence)}
    rows = [row for rank, row in enumerate(answer.ranked()) if rank < top or row.label in given]
    width = max((len(one_line(row.label)) for row in rows), default=0)
    lines = [] if given else ["  no label: none reaches the probability it is given from"]
    for row in rows:
        bar = block * round(row.probability * BAR_WIDTH)
        least = max(row.threshold, min_confidence)
        sign = mark if row.label in given else " "
        text = f"  {sign} {one_line(row.label):<{width}}  {row.probability:7.2%}  from {least:7.2%}  {bar}"
        lines.append(text.rstrip())
    return lines


def _task_lines(answer: Prediction, top: int, min_confidence: float) -> list[str]:
    rows = [(one_line(label), probability) for label, probability in answer.top(top)]
    width = max(len(label) for label, _ in rows)
    lines = []
    if answer.probability < min_confidence:
        lines.append(f"  {UNKNOWN}: no label reaches {min_confidence:.2%}")
    for label, probability in rows:
        bar = block_character() * round(probability * BAR_WIDTH)
        lines.append(f"  {label:<{width}}  {probability:7.2%}  {bar}".rstrip())
    return lines


class LabelsCsv(Csv):
    """A row per picture: `image,label,probability`, where `cat|dog` and `0.9|0.7` are all labels given, and ranks."""

    def _cells(self, answer: Prediction) -> list[str]:
        assert isinstance(answer, MultiLabelPrediction)
        shares = "|".join(f"{row.probability:.6f}" for row in answer.given_labels(self._min_confidence))
        return [csv_cell(answer.told(self._min_confidence)), shares, *self._ranked(answer)]


class TasksCsv(Csv):
    """A row per picture: `image`, then for each task `NAME,NAME_probability`, and `NAME_1,NAME_probability_1,…`.

    Raises UsageError where two columns would have one name.
    """

    def __init__(self, top: int, min_confidence: float, sizes: dict[str, int]) -> None:
        super().__init__(top, min_confidence)
        self._sizes = sizes
        columns = ["image", *self._columns(top)]
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise UsageError(f"--csv: the tasks' names give two columns {twice}", "use --json or --jsonl")

    def _columns(self, ranks: int) -> list[str]:
        columns = []
        for name, size in self._sizes.items():
            numbers = range(1, min(ranks or self._top, size) + 1)
            ranked = [f"{column}_{rank}" for rank in numbers for column in (name, f"{name}_probability")]
            columns += [name, f"{name}_probability", *ranked]
        return columns

    def _cells(self, answer: Prediction) -> list[str]:
        told = [
            [csv_cell(own.told(self._min_confidence)), f"{own.probability:.6f}", *self._ranked(own)]
            for own in answer.tasks.values()
        ]
        return [cell for cells in told for cell in cells]


def several_csv(card: ModelCard, top: int, min_confidence: float) -> Csv:
    """The CSV of a model whose pictures have several labels. Raises UsageError where it cannot have one."""
    if card.tasks:
        return TasksCsv(top, min_confidence, {task.name: len(task.labels) for task in card.tasks})
    return LabelsCsv(top, min_confidence)

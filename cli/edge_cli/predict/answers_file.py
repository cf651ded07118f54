"""edge predict --out: the answers as a list of images, which edge label and edge train take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.predict.classify import classify, say_problem
from edge_cli.predict.output import Output
from edge_data import AnswersTable
from edge_runtime import EdgeError, ImageError, UsageError, atomic_path

if TYPE_CHECKING:
    from edge_cli.console import Console
    from edge_cli.predict.classify import Pictures
    from edge_runtime import ImageClassifier, Prediction


class AnswersFile(Output):
    """Writes each answer to a table instead of printing it; `left_out` counts those whose name no table can hold."""

    def __init__(self, table: AnswersTable, top: int, min_confidence: float, *, once: bool) -> None:
        super().__init__(top, min_confidence)
        self._table = table
        # Only what is named apart can be named twice: those of one folder take no memory.
        self._seen: set[str] | None = None if once else set()
        self.answered = self.failed = self.left_out = 0

    def write(self, answer: Prediction) -> None:
        """Write one answer."""
        if self._is_new(answer.image):
            try:
                self._table.write(answer.image, answer, self._given(answer))
                self.answered += 1
            except UsageError as error:
                self._leave_out(error)

    def fail(self, name: str, error: ImageError) -> None:
        """Write that one has no answer."""
        if self._is_new(name):
            try:
                self._table.fail(name, error.message)
                self.failed += 1
            except UsageError as unnamed:
                self._leave_out(unnamed)

    def _given(self, answer: Prediction) -> str:
        """The answer, "" where it is withheld: as `unknown` it would be offered as a class, and trained."""
        withheld = answer.kind == "single-label" and (answer.unlike or answer.is_withheld(self._min_confidence))
        return "" if withheld else answer.told(self._min_confidence)

    def _is_new(self, name: str) -> bool:
        if self._seen is None:
            return True
        path = str(Path(name).absolute())
        known = path in self._seen
        self._seen.add(path)
        return not known

    def _leave_out(self, error: EdgeError) -> None:
        self.left_out += 1
        say_problem(error)


def classify_to_file(
    classifier: ImageClassifier,
    pictures: Pictures,
    out: Path,
    console: Console,
    *,
    top: int,
    min_confidence: float,
    save_input: Path | None,
) -> int:
    """Write the answer for each picture, once, to `out`, which is whole or not there; the exit code.

    Raises OutputError where it cannot be written, UsageError where the model has an answer for each of several tasks.
    """
    if classifier.card.tasks:
        raise UsageError("--out lists one question's answers, and this model has several tasks", "use --csv")
    ranks = min(top, len(classifier.labels))
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        output = AnswersFile(AnswersTable(file, out.parent, ranks), ranks, min_confidence, once=pictures.once)
        code = classify(classifier, pictures, output, console, save_input=save_input, prints=False)
    failed = f", {output.failed:,} more could not be classified" if output.failed else ""
    console.say(f"{out}: answers to {output.answered:,} pictures{failed}")
    return 1 if output.left_out else code

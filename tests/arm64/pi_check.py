"""What tests/arm64/run.sh needs beside the shell: photos to ask about, documented commands, and the comparison.

    python tests/arm64/pi_check.py choose PHOTOS FOLDER --each 4
    python tests/arm64/pi_check.py commands docs/raspberry-pi.md install
    python tests/arm64/pi_check.py compare HERE THERE

`compare` takes two folders of what edge said of the same models and photos, `NAME.predict`, `.evaluate`,
`.exact` (of int8), `.info` and `.bench`, and ends with 1 where they differ by more than `TOLERANCE`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime import EdgeError, UsageError, scan

__all__ = ["TOLERANCE", "Comparison", "choose", "commands", "compare"]

TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2}
"""How far a probability may be from this machine's, by precision."""

# What edge itself allows int8 kernels to be from exact arithmetic; 0 was measured (docs/int8.md).
TOLERANCE_BELOW = 0.02


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model on two machines: `ties` of the `differing` top-1 are nearer to each other than the tolerance."""

    model: str
    precision: str
    photos: int
    max_difference: float
    differing: int
    ties: int
    fault: str

    def __str__(self) -> str:
        same = self.photos - self.differing
        ties = f" ({self.ties} of the others a tie)" if self.ties else ""
        return (
            f"{self.model} ({self.precision}): {self.photos} photos, max |Δp| {self.max_difference:.1e}, "
            f"top-1 same {same} of {self.photos}{ties}: {self.fault or 'as it should be'}"
        )


def choose(photos: Path, folder: Path, each: int) -> int:
    """Copy `each` photos of every class of `photos`, evenly spread, to `folder`; how many in all."""
    found = scan(photos)
    samples = next(iter(found.splits.values()))
    count = 0
    for label, name in enumerate(found.labels):
        own = [sample.path for sample in samples if sample.label == label]
        (folder / name).mkdir(parents=True)
        for path in own[:: max(1, len(own) // each)][:each]:
            shutil.copy(photos / path, folder / name)
            count += 1
    return count


def commands(text: str, label: str) -> str:
    """The shell commands of the blocks of a Markdown page that follow the comment `<!-- run: LABEL -->`."""
    blocks = re.findall(rf"^<!-- run: {re.escape(label)} -->\n+```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if not blocks:
        raise UsageError(f"no commands are labelled {label!r}", f"put <!-- run: {label} --> before a block of sh")
    return "".join(blocks)


def compare(here: Path, there: Path) -> list[Comparison]:
    """Compare what two machines said; every file of `here` must be in `there`, too."""
    found = []
    for answers in sorted(here.glob("*.predict")):
        name = answers.stem
        info, other_info = (_read(folder / f"{name}.info") for folder in (here, there))
        score, other_score = (_read(folder / f"{name}.evaluate") for folder in (here, there))
        bench = _read(there / f"{name}.bench")
        compared = _compare_answers(name, info["card"]["precision"], _answers(answers), _answers(there / answers.name))
        faults = [compared.fault]
        if info["sha256"] != other_info["sha256"] or info["card"] != other_info["card"]:
            faults.append("edge info differs")
        if not compared.differing and score["confusion"] != other_score["confusion"]:
            faults.append("edge evaluate differs")
        if info["card"]["precision"].startswith("int8"):
            faults.append(_exactness(*(_read(folder / f"{name}.exact")["exact"] for folder in (here, there))))
        if not all(row["latency"]["p50_ms"] > 0 for row in bench["results"]):
            faults.append("edge bench measured nothing")
        found.append(_with_fault(compared, ", ".join(filter(None, faults))))
    if not found:
        raise UsageError(f"{here} has no *.predict to compare", "run edge predict --jsonl into it")
    return found


def _exactness(own: dict[str, Any], other: dict[str, Any]) -> str:
    """What is wrong with `edge evaluate --exact` of a file on two machines, "" where nothing is."""
    if abs(own["exact_accuracy"] - other["exact_accuracy"]) > 0:
        return "exact arithmetic differs"
    return "" if own["holds"] and other["holds"] else "its kernels are not exact"


def _compare_answers(
    name: str, precision: str, here: dict[str, dict[str, float]], there: dict[str, dict[str, float]]
) -> Comparison:
    tolerance = TOLERANCE.get(precision, TOLERANCE_BELOW)
    if here.keys() != there.keys():
        return Comparison(name, precision, len(here), 1.0, len(here), 0, "other photos were answered")
    worst, differing, ties = 0.0, 0, 0
    for photo, own in here.items():
        other = there[photo]
        worst = max(worst, *(abs(own[label] - other.get(label, -1.0)) for label in own))
        best = max(own, key=lambda label: own[label])
        if best != max(other, key=lambda label: other[label]):
            differing += 1
            second = sorted(own.values())[-2]
            ties += own[best] - second < 2 * tolerance
    fault = f"more than {tolerance:g}" if worst > tolerance else ""
    if differing > (0 if precision == "fp32" else ties):
        fault = "other labels"
    return Comparison(name, precision, len(here), worst, differing, ties, fault)


def _with_fault(compared: Comparison, fault: str) -> Comparison:
    return Comparison(
        compared.model,
        compared.precision,
        compared.photos,
        compared.max_difference,
        compared.differing,
        compared.ties,
        fault,
    )


def _answers(path: Path) -> dict[str, dict[str, float]]:
    """Photo -> label -> probability."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["image"]: {row["label"]: row["probability"] for row in line["top"]} for line in lines}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="photos, documented commands and the comparison")
    verbs = parser.add_subparsers(dest="verb", required=True)
    chooser = verbs.add_parser("choose")
    chooser.add_argument("photos", type=Path)
    chooser.add_argument("folder", type=Path)
    chooser.add_argument("--each", type=int, default=4)
    printer = verbs.add_parser("commands")
    printer.add_argument("page", type=Path)
    printer.add_argument("label")
    comparer = verbs.add_parser("compare")
    comparer.add_argument("here", type=Path)
    comparer.add_argument("there", type=Path)
    given = parser.parse_args()
    try:
        if given.verb == "choose":
            choose(given.photos, given.folder, given.each)
        elif given.verb == "commands":
            sys.stdout.write(commands(given.page.read_text(encoding="utf-8"), given.label))
        else:
            found = compare(given.here, given.there)
            sys.stdout.write("".join(f"{compared}\n" for compared in found))
            return 1 if any(compared.fault for compared in found) else 0
    except EdgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

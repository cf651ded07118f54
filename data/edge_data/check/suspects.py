"""Images whose labels are likely wrong: copies that two labels have, and what cross-validation disagrees with."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_data.answers.mistakes import COLUMNS
from edge_data.sets.list_target import delimiter_of
from edge_data.sets.out_of_fold import OUT_OF_FOLD, OutOfFold, read_out_of_fold
from edge_data.sets.run_data import run_places
from edge_runtime import (
    EdgeError,
    ImageError,
    LabelErrors,
    LabelFrom,
    ListPaths,
    Run,
    TruePlaces,
    UsageError,
    composed,
    csv_line,
    find_label_errors,
    quoted_text,
    read_encoded,
    require_utf_8,
    scan,
    write_text,
)

_HINT = "edge train --folds 5 writes one"


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image whose label is likely wrong, the file at `path`.

    `answer` is the class that it is like, `probability` and `label_probability` are of that and of its label, and
    `score` says how well its label fits, 0..1, low where it does not. `copy_of` is the same picture under another
    label, None where there is none; then one of the two labels is wrong, whatever the score. `split` and `group` are
    what the data says of it, "" for nothing.
    """

    path: Path
    label: str
    answer: str
    probability: float
    label_probability: float
    score: float
    copy_of: Path | None = None
    split: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """The suspects among the images of a run, most suspicious first, and what they were found among.

    `images` are those below `root` that were answered, and `errors` is of all of them as the run knew them. `mended`
    counts suspects that are left out, since their label is another one by now or they are gone; `notes` are sentences a
    person must be told.
    """

    labels: tuple[str, ...]
    root: Path
    images: int
    suspects: tuple[Suspect, ...]
    errors: LabelErrors
    mended: int
    notes: tuple[str, ...]

    @property
    def copies(self) -> int:
        """How many of them are copies under two labels."""
        return sum(suspect.copy_of is not None for suspect in self.suspects)

    def name(self, suspect: Suspect) -> str:
        """Its path below the data folder, as the run's split.csv has it."""
        return suspect.path.relative_to(self.root).as_posix()

    def pairs(self) -> Mapping[tuple[str, str], int]:
        """How many have each label and are like each other one."""
        return Counter((each.label, each.answer) for each in self.suspects)

    def to_json(self) -> dict[str, Any]:
        """As `edge data suspects --json` prints it; thresholds and counts by class, in the order of `labels`."""
        return {
            "images": self.images,
            "labels": list(self.labels),
            "thresholds": [None if math.isnan(each) else each for each in self.errors.thresholds.tolist()],
            "confident_joint": self.errors.joint.tolist(),
            "estimated_wrong": self.errors.estimated_wrong,
            "mended": self.mended,
            "suspects": [
                {
                    "image": str(each.path),
                    "label": each.label,
                    "answer": each.answer,
                    "probability": each.probability,
                    "label_probability": each.label_probability,
                    "score": each.score,
                    "copy_of": str(each.copy_of) if each.copy_of else None,
                }
                for each in self.suspects
            ],
        }


def find_suspects(run: Run) -> Suspects:
    """The images of a cross-validated run whose labels are likely wrong, ranked.

    First stand copies, byte for byte, that have two labels, side by side, since one of each two is wrong for certain;
    then what confident learning suspects (`find_label_errors`). Labels are held against what the run's data says now.

    Raises:
        UsageError: the run was not cross-validated.
        DataError: its answers are damaged.
    """
    path = run.path / OUT_OF_FOLD
    if not path.is_file():
        raise UsageError(f"{run.path} has no {OUT_OF_FOLD}: it was not cross-validated", _HINT)
    answers = read_out_of_fold(path)
    errors = find_label_errors(answers.truth, answers.probabilities)
    config = run.read_config()
    root = Path(str(config.get("data_root") or run.path)).absolute()
    places = [os.path.join(root, name) for name in answers.paths]  # noqa: PTH118 (Path is slower, and this runs once a row)
    # The run's root is without links, and its data may be reached through some.
    true = TruePlaces()
    trues = [*map(true, places)]
    # A run of before may have labels as folders spell them.
    there, notes = _said_now(config, true, {composed(label): label for label in answers.labels})
    known = [answers.labels[number] for number in answers.truth]
    # Of data that cannot be listed, what the run knew; else what is not there any more is "".
    now = [there[place].label if place in there else "" for place in trues] if there else known
    ranked = _rank(answers, errors, places, now)
    suspects = []
    for row, answer, twin in ranked:
        shares = dict(zip(answers.labels, answers.probabilities[row].tolist(), strict=True))
        said = there.get(trues[row], _Said(now[row]))
        suspects.append(
            Suspect(
                Path(places[row]),
                now[row],
                answer,
                shares.get(answer, 0.0),
                shares.get(now[row], 0.0),
                float(errors.scores[row]),
                None if twin is None else Path(places[twin]),
                said.split,
                said.group,
            )
        )
    mended = sum(now[row] != known[row] for row in errors.suspects.tolist())
    return Suspects(answers.labels, root, len(places), tuple(suspects), errors, mended, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Said:
    label: str
    split: str = ""
    group: str = ""


def _said_now(
    config: Mapping[str, object], true: TruePlaces, known: Mapping[str, str]
) -> tuple[dict[str, _Said], list[str]]:
    """What the run's data says of each image by its true place, and a note where it cannot be asked.

    `known` is how the run spells its labels.
    """
    settings = config.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    label_from: LabelFrom = "parent" if settings.get("label_from") == "parent" else "top"
    try:
        folders = scan(run_places(config), label_from=label_from, group_column=str(settings.get("group_by") or ""))
    except EdgeError as error:
        return {}, [f"the labels are those of the run, since its data cannot be listed: {error.message}"]
    return {
        true(os.path.join(folders.root, sample.path)): _Said(  # noqa: PTH118
            known.get(label := folders.labels[sample.label], label),
            "" if split == "all" else split,
            folders.groups.get(sample.path, ""),
        )
        for split, samples in folders.splits.items()
        for sample in samples
    }, []


def _rank(
    answers: OutOfFold, errors: LabelErrors, places: Sequence[str], now: Sequence[str]
) -> list[tuple[int, str, int | None]]:
    """Rows, the class that each is like, and its copy under another label, in the order to look at them."""
    ranked: list[tuple[int, str, int | None]] = []
    numbers = {label: number for number, label in enumerate(answers.labels)}

    def share(row: int, label: str) -> float:
        return float(answers.probabilities[row, numbers[label]]) if label in numbers else 0.0

    groups = [sorted(group, key=lambda row: share(row, now[row])) for group in _two_labels(now, places)]
    for group in sorted(groups, key=lambda group: share(group[0], now[group[0]])):
        for row in group:
            others = [other for other in group if now[other] != now[row]]
            twin = max(others, key=lambda other: share(row, now[other]))
            ranked.append((row, now[twin], twin))
    above = {row for row, _, _ in ranked}
    for row, like in zip(errors.suspects.tolist(), errors.instead.tolist(), strict=True):
        if row not in above and now[row] == answers.labels[answers.truth[row]]:
            ranked.append((row, answers.labels[like], None))
    return ranked


def _two_labels(now: Sequence[str], places: Sequence[str]) -> Iterator[list[int]]:
    """Rows of the same picture, byte for byte, that have more than one label."""

    def differ(rows: Sequence[int]) -> bool:
        return len({now[row] for row in rows}) > 1

    sizes: dict[int, list[int]] = defaultdict(list)
    for row, place in enumerate(places):
        if now[row]:
            with suppress(OSError):
                sizes[os.stat(place).st_size].append(row)  # noqa: PTH116
    # Few photos are as long as another to the byte: hardly any is read.
    for alike in filter(differ, sizes.values()):
        digests: dict[bytes, list[int]] = defaultdict(list)
        for row in alike:
            with suppress(ImageError):
                data = read_encoded(places[row])
                digests[hashlib.blake2b(data, digest_size=16).digest()].append(row)
        yield from filter(differ, digests.values())


def write_suspects(target: Path, suspects: Sequence[Suspect]) -> None:
    """Write a row for each, in their order, as a manifest that is whole or not there, with tabs where it is a .tsv.

    Columns are `path,label,answer,probability,label_probability`, `split` and `group` where the data has any,
    `rank,score,copy_of`. Paths are relative to the list's folder.

    Raises:
        DataError: a name that no list can hold.
        OutputError: it cannot be written.
    """
    require_utf_8([str(each.path) for each in suspects])
    way = ListPaths(target.parent)
    more = [name for name in ("split", "group") if any(getattr(each, name) for each in suspects)]
    delimiter = delimiter_of(target)
    lines = [csv_line([*COLUMNS, *more, "rank", "score", "copy_of"], delimiter)]
    for rank, each in enumerate(suspects, start=1):
        words = [way(str(each.path)), each.label, each.answer]
        numbers = [f"{each.probability:.6f}", f"{each.label_probability:.6f}"]
        said = [quoted_text(getattr(each, name)) for name in more]
        copy = quoted_text(way(str(each.copy_of))) if each.copy_of else ""
        cells = [*map(quoted_text, words), *numbers, *said, str(rank), f"{each.score:.6f}", copy]
        lines.append(csv_line(cells, delimiter))
    write_text(target, "".join(lines))

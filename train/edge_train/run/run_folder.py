"""The run folder while it is being written."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_data import Splits, write_split
from edge_runtime import ModelCard, OutputError, Run, UsageError, is_manifest, write_json, write_text
from edge_train.network.backbones import as_file_name
from edge_train.run.criterion import written
from edge_train.run.stamped_folder import make_stamped_folder, plain_name
from edge_train.run.step import EpochResult
from edge_train.run.versions import git_revision
from edge_train.settings import Criterion, TrainSettings

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_auroc",
    "seconds",
    "images_per_s",
)


_VALIDATED = ("epoch", "val_loss", "val_accuracy", "val_balanced_accuracy", "val_auroc")


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One row of metrics.csv; accuracies in 0..1.

    `val_loss` and `val_accuracy` are NaN where a run trains on everything and has nothing to validate with.
    `val_auroc` is None where epochs are not chosen by it, or the validation images have not the classes for it;
    `val_balanced_accuracy` where an older edge made the row. Where pictures may have several labels there is neither,
    an accuracy is the mean share of a picture's labels that are right, and `more` has the other figures by column.
    """

    epoch: int
    train: EpochResult
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float | None = None
    val_auroc: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def validated(self) -> bool:
        """Whether there were images to validate with."""
        return not math.isnan(self.val_accuracy)

    def value(self, criterion: Criterion) -> float | None:
        """The validation figure that epochs are chosen by."""
        return {
            "accuracy": self.val_accuracy,
            "balanced-accuracy": self.val_balanced_accuracy,
            "loss": self.val_loss,
            "auroc": self.val_auroc,
            "map": self.more.get("val_map"),
        }[criterion]

    def cells(self) -> tuple[str, ...]:
        """The row in the order of COLUMNS, and then of `more`."""
        train = self.train
        return (
            str(self.epoch),
            f"{train.loss:.6f}",
            f"{train.accuracy:.6f}",
            *("" if value is None else f"{value:.6f}" for value in self._validation()),
            f"{train.seconds:.3f}",
            f"{train.images / train.seconds:.1f}",
            *(f"{value:.6f}" for value in self.more.values()),
        )

    def figures(self) -> dict[str, float]:
        """What `cells` has, as numbers by COLUMNS, without the epoch and what was not measured."""
        train = self.train
        found = (train.loss, train.accuracy, *self._validation(), train.seconds, train.images / train.seconds)
        named = {name: value for name, value in zip(COLUMNS[1:], found, strict=True) if value is not None}
        return {**named, **self.more}

    def _validation(self) -> tuple[float | None, ...]:
        if not self.validated:
            return (None,) * 4
        return self.val_loss, self.val_accuracy, self.val_balanced_accuracy, self.val_auroc

    def to_json(self) -> dict[str, Any]:
        """The row as plain data, for last.pt."""
        more = {"more": dict(self.more)} if self.more else {}
        return {**asdict(self.train), **{name: getattr(self, name) for name in _VALIDATED}, **more}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EpochRow:
        """The row that `to_json` gave. Raises KeyError where one of its fields is missing."""
        train = EpochResult(value["loss"], value["accuracy"], value["images"], value["seconds"])
        return cls(
            value["epoch"],
            train,
            value["val_loss"],
            value["val_accuracy"],
            # Older runs lack these.
            value.get("val_balanced_accuracy"),
            value.get("val_auroc"),
            value.get("more", {}),
        )

    def describe(self, epochs: int, *, best: bool, criterion: Criterion = "accuracy") -> str:
        """The row as the one line an epoch gets on the screen, with the figure that epochs are chosen by."""
        train = self.train
        shown = criterion in ("accuracy", "loss")
        more = "" if shown else f" {written(criterion, self.value(criterion))}"
        val = f"  val loss {self.val_loss:.3f} acc {self.val_accuracy:6.1%}{more}" if self.validated else ""
        return (
            f"epoch {self.epoch:>{len(str(epochs))}}/{epochs}  train loss {train.loss:.3f} acc {train.accuracy:6.1%}"
            f"{val}  {train.images / train.seconds:,.0f} images/s{'  * best' if best and self.validated else ''}"
        )


def check_out(out: Path, places: Sequence[Path]) -> None:
    """Raise UsageError where runs cannot be in `out`, a file, or would be in one of `places` that is a folder."""
    for root in places:
        if not is_manifest(root) and out.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"`out` {out} lies inside the data folder {root}: runs would be taken for classes of images",
                "put runs elsewhere, for example `out` ../runs",
            )
    if out.exists() and not out.is_dir():
        raise UsageError(f"`out` {out} is a file", "name a folder for runs with `out`")


def require_room(out: Path) -> None:
    """Raise OutputError, before anything takes time, where no run can be put into `out`; leaves no folder behind."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    _make_out(out)
    for folder in made:
        # Another run may have begun in it.
        with suppress(OSError):
            folder.rmdir()


def _make_out(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_room(out, error) from error


def _no_room(out: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot make a run folder in {out}: {error.strerror}", "choose another folder with `out`")


def create_run(
    settings: TrainSettings,
    card: ModelCard,
    splits: Splits,
    *,
    data_root: Path,
    places: Sequence[Path],
    more: Mapping[str, Any] | None = None,
) -> Run:
    """A new run folder with config.json and split.csv in it; a folder that exists is never used again.

    The samples of `splits` lie below `data_root`; `places` are the folders and manifests that name them. `more` is what
    config.json holds beside what every run's does.

    Raises:
        OutputError: it cannot be made.
    """
    name = f"{plain_name(str(card.data['name']))}-{as_file_name(card.backbone)}-{card.strategy}"
    _make_out(settings.out)
    try:
        run = Run(make_stamped_folder(settings.out, name))
    except OSError as error:
        raise _no_room(settings.out, error) from error
    begin_run(run, settings, card, splits, data_root=data_root, places=places, more=more)
    return run


def begin_run(
    run: Run,
    settings: TrainSettings,
    card: ModelCard,
    splits: Splits,
    *,
    data_root: Path,
    places: Sequence[Path],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write split.csv and config.json into the folder of a run, which is there. Raises OutputError."""
    write_split(run.split, splits, card.labels)
    config = {
        "created": card.created,
        "settings": plain_settings(settings),
        "strategy": card.strategy,
        "data_root": str(data_root.resolve()),
        # Not resolved: what a manifest names is relative to where it was named, be it a link.
        "data_sources": [str(place.absolute()) for place in places],
        "card": card.to_json(),
        "git_revision": git_revision(),
        **(more or {}),
    }
    write_json(run.config, config)


def plain_settings(settings: TrainSettings) -> dict[str, Any]:
    """The settings as config.json holds them."""
    return {**asdict(settings), "out": str(settings.out)}


def write_metrics(run: Run, history: Sequence[EpochRow]) -> None:
    """Write metrics.csv, one row per epoch. Raises OutputError where it cannot be written."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow((*COLUMNS, *(name for row in history[:1] for name in row.more)))
    writer.writerows(row.cells() for row in history)
    write_text(run.metrics, lines.getvalue())


def finish_run(run: Run, summary: dict[str, Any]) -> None:
    """Write summary.json, which says that the run is over."""
    write_json(run.summary, summary)

"""Which pictures an export is proven on: the run's validation split or, of a run that has no images, others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_data import read_split, scan_as_trained, shapes_folder, split_data
from edge_export.networks.ensemble import Member, common_test, common_validation
from edge_export.settings import ExportSettings
from edge_runtime import CROSS_VALIDATED, ModelCard, Progress, Sample, UsageError, is_manifest, scan

DRAWN = "drawn"


@dataclass(frozen=True, slots=True)
class ProofPictures:
    """`samples` lie below `root`; `shown` says which they are: validation, training or drawn ones, without labels.

    `training` are those that int8 is calibrated on, `test` those in the test split of the run, or of every member of an
    ensemble, and `groups` name the group of an image by its path.
    """

    root: Path
    samples: tuple[Sample, ...]
    training: tuple[Sample, ...]
    shown: str = "validation"
    groups: Mapping[str, str] = field(default_factory=dict)
    test: tuple[Sample, ...] = ()


def find_proof_pictures(
    members: Sequence[Member], data: Path | Sequence[Path] | None, settings: ExportSettings, progress: Progress
) -> ProofPictures:
    """The pictures to prove an export of `members` on; `data` is where they are now.

    A run that was imported without images is proven on those of `data`, split as for training, else on drawn ones,
    which say nothing of its accuracy.

    Raises:
        UsageError: no image is in the validation of all, or what is asked for needs images and there are none.
    """
    card, run = members[0].card, members[0].run
    split = read_split(run.split, card.labels)
    if len(members) > 1 or split.val or split.train:
        root, samples = common_validation(members, _moved(data, card), progress.say)
        cross = len(members) == 1 and CROSS_VALIDATED in card.metrics
        shown = "training" if cross else "validation"
        return ProofPictures(root, samples, split.train, shown, split.groups, common_test(members))
    places = [data] if isinstance(data, Path) else list(data or ())
    if places:
        made = split_data(scan_as_trained(places, card), seed=0, progress=progress)
        root = scan_as_trained(places, card).root
        progress.say(f"{run.path} has no images: compared and measured on {len(made.val)} of {root} ({made.how})")
        return ProofPictures(root, made.val, made.train, groups=made.groups, test=made.test)
    _require_no_images(settings, run.path)
    root = shapes_folder()
    drawn = scan(root).splits["val"]
    progress.say(
        f"note: {run.path} has no images, so its file is compared on drawn ones, and its accuracy is not known; "
        "`data` DIR brings your own"
    )
    # Of another model's classes: only what both answer is compared.
    return ProofPictures(root, tuple(Sample(sample.path, 0) for sample in drawn), (), DRAWN)


def _require_no_images(settings: ExportSettings, run: Path) -> None:
    asked = {
        "precision": settings.precision != "fp32",
        "with_unlike": settings.with_unlike,
        "positive": settings.positive is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise UsageError(
                f"`{name}` needs images, and {run} has none", "name some with `data`, or import it again with `data`"
            )


def _moved(data: Path | Sequence[Path] | None, card: ModelCard) -> Path | None:
    """The folder that the samples' paths are relative to, None where they lie where they lay in training."""
    places = [data] if isinstance(data, Path) else list(data or ())
    if not places:
        return None
    if len(places) == 1 and not is_manifest(places[0]):
        return places[0]
    return scan_as_trained(places, card).root

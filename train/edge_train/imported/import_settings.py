"""What a person may say of a checkpoint that was trained elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from edge_data import check_group_by
from edge_runtime import RUNS_FOLDER, LabelFrom, Seed, Setting, Threads, UsageError, check_settings
from edge_train.settings import OnBadImage

Interpolation: TypeAlias = Literal["bilinear", "bicubic"]
IMAGENET = "imagenet"
# Far beyond any mean or deviation, of pixels in 0..255 too, and within what float32 computes with.
_LARGEST = 1e6
_OWN = "the checkpoint's, or the backbone's own"
_DATA, _PICTURES, _FILE = "Measuring", "What the network expects of a picture", "The checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings:
    """How a checkpoint is made into a run; what is None is what the checkpoint says, else the backbone's own.

    `labels` are the names of the classes in the order of the network's outputs, the path of a file with one a line,
    names with commas between, or "imagenet". `data` is what training takes: the run is calibrated and measured on it.

    Raises:
        UsageError: a value that makes no sense.
    """

    backbone: Annotated[
        str | None,
        Setting(
            "The network: as for edge train, timm:NAME and FILE.py:FUNCTION too.",
            "NAME",
            shown_default="what the checkpoint says",
        ),
    ] = None
    labels: Annotated[
        str | tuple[str, ...] | None,
        Setting(
            "The classes in the order of the network's outputs: a text file, one a line, or with commas; imagenet.",
            "FILE|A,B,C",
            shown_default="the checkpoint's, or the folders of --data",
        ),
    ] = None
    prefix: Annotated[
        str | None, Setting("What stands before the network's names.", "TEXT", _FILE, "guessed, and said")
    ] = None
    no_ema: Annotated[
        bool, Setting("Of a checkpoint that keeps a moving average of the weights, take the weights.", panel=_FILE)
    ] = False
    image_size: Annotated[
        int | None,
        Setting(
            "Side of the network's input.",
            "PX",
            _PICTURES,
            _OWN,
            at_least=1,
        ),
    ] = None
    resize: Annotated[
        int | None,
        Setting("The short side that it is cut from.", "PX", _PICTURES, "in the backbone's own proportion", at_least=1),
    ] = None
    interpolation: Annotated[Interpolation | None, Setting("How it is resized.", None, _PICTURES, _OWN)] = None
    mean: Annotated[
        tuple[float, ...] | None,
        Setting("Of red, green and blue in 0..1.", "R,G,B", _PICTURES, _OWN),
    ] = None
    std: Annotated[
        tuple[float, ...] | None,
        Setting("Their standard deviation.", "R,G,B", _PICTURES, _OWN),
    ] = None
    data: Annotated[
        str | tuple[str, ...],
        Setting(
            "Labelled images, split as for edge train: the temperature is fitted and the accuracy measured on them.",
            "DIR|FILE",
            _DATA,
            "none; temperature 1",
        ),
    ] = ()
    label_from: Annotated[
        LabelFrom,
        Setting("Folder that names the class: the first below DIR or its split, or the image's own.", panel=_DATA),
    ] = "top"
    group_by: Annotated[
        str, Setting("What stays on one side of the split, as for edge train.", "auto|none|folder|REGEX", _DATA)
    ] = "auto"
    on_bad_image: Annotated[OnBadImage, Setting("Refuse unreadable images, or leave them out.", panel=_DATA)] = "error"
    out: Annotated[Path, Setting("Folder that the run folder is put into.", "DIR")] = RUNS_FOLDER
    threads: Threads = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)
        # A caller may give the one it has.
        object.__setattr__(self, "data", (self.data,) if isinstance(self.data, str) else self.data)
        check_group_by(self.group_by)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and not are_channels(values, positive=name == "std"):
                raise UsageError(
                    f"`{name}` {','.join(map(str, values))} is no value for each of three channels",
                    "give three numbers as in 0.485,0.456,0.406, of pixels in 0..1",
                )


def are_channels(values: object, *, positive: bool = False) -> bool:
    """Whether they are three numbers that a network can normalise by, above 0 where they must be."""
    return (
        isinstance(values, tuple | list)
        and len(values) == 3
        and all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
        and all(-_LARGEST <= each <= _LARGEST and (not positive or each >= 1 / _LARGEST) for each in values)
    )


def parse_channels(name: str, text: str) -> tuple[float, ...]:
    """The numbers in `0.485,0.456,0.406`. Raises UsageError, which calls them `name`, where they are none."""
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise UsageError(f"`{name}` {text} is no list of numbers", "as in 0.485,0.456,0.406") from None


def parse_labels(said: str | tuple[str, ...]) -> tuple[str, ...]:
    """The classes that `labels` says. Raises UsageError where they are fewer than two, or one is empty or twice."""
    if isinstance(said, tuple | list):
        labels = tuple(said)
    elif said.strip().lower() == IMAGENET and not Path(said).is_file():
        labels = imagenet_labels()
    elif "," in said and not Path(said).is_file():
        labels = tuple(part.strip() for part in said.split(","))
    else:
        # With numpy, which the list of the commands does not need.
        from edge_runtime import read_labels

        labels = read_labels(said)
    if "" in labels:
        raise UsageError("`labels` has a class without a name", "name each class")
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise UsageError(f"`labels` has {twice!r} twice", "give each class a name of its own")
    if len(labels) < 2:
        raise UsageError(f"`labels` names {len(labels)} class, {labels[0]!r}", "a classifier needs at least two")
    return labels


def imagenet_labels() -> tuple[str, ...]:
    """torchvision's names of ImageNet's 1,000 classes."""
    from torchvision import models

    return tuple(models.get_model_weights("resnet18").DEFAULT.meta["categories"])

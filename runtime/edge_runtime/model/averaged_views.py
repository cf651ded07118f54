"""Test-time augmentation: several views of one picture, whose probabilities are averaged.

Ten crops after Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.model.image_classifier import ImageClassifier

TtaName: TypeAlias = Literal["flip", "five-crop", "ten-crop"]


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture, from its `top` and `left` in pixels, perhaps mirrored left to right."""

    top: int
    left: int
    mirrored: bool


@dataclass(frozen=True, slots=True)
class AveragedViews:
    """The views `name` of a model whose own contract is `contract`; the first is the one it sees without them.

    flip: the picture and its mirror image. five-crop: the centre and the corners of the picture, its short side resized
    as the contract says; the centre may lie a pixel off the contract's own. ten-crop: those and their mirror images.

    Raises:
        UsageError: there is no such name, or crops are asked for of a model that is given the whole picture.
    """

    name: TtaName
    contract: Preprocessing

    def __post_init__(self) -> None:
        if self.name not in get_args(TtaName):
            raise UsageError(f"`tta` {self.name} is not known", f"choose {', '.join(get_args(TtaName))}")
        own = self.contract
        if self.name != "flip" and own.resize_px <= max(own.height_px, own.width_px):
            raise UsageError(
                f"`tta` {self.name}: the model is given the whole picture, {own.width_px}×{own.height_px} pixels, with "
                "nothing around it to crop",
                "use `tta` flip",
            )

    @property
    def preprocessing(self) -> Preprocessing:
        """What pictures go through before the views are cut from them."""
        if self.name == "flip":
            return self.contract
        return replace(self.contract, height_px=self.contract.resize_px, width_px=self.contract.resize_px)

    @property
    def views(self) -> tuple[View, ...]:
        """The views, of the contract's height and width each."""
        if self.name == "flip":
            return View(0, 0, mirrored=False), View(0, 0, mirrored=True)
        low, right = self.contract.resize_px - self.contract.height_px, self.contract.resize_px - self.contract.width_px
        places = (round(low / 2), round(right / 2)), (0, 0), (0, right), (low, 0), (low, right)
        mirrored = (False, True) if self.name == "ten-crop" else (False,)
        return tuple(View(top, left, mirror) for mirror in mirrored for top, left in places)

    def answers(
        self, probabilities: Callable[[NDArray[np.uint8]], NDArray[np.float32]], pixels: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """What `probabilities` gives for each view of uint8 `[N, H, W, 3]` pixels: float32 `[views, N, classes]`."""
        return np.stack([probabilities(self.cut(pixels, view)) for view in self.views])

    def cut(self, pixels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
        """One view of each of the pixels."""
        bottom, right = view.top + self.contract.height_px, view.left + self.contract.width_px
        part = pixels[:, view.top : bottom, view.left : right]
        return np.ascontiguousarray(part[:, :, ::-1] if view.mirrored else part)


def find_views(model: ImageClassifier, name: str) -> AveragedViews:
    """The views of that name for a model. Raises UsageError as `AveragedViews`, or where it averages views itself."""
    if model.card.tta:
        raise UsageError(f"{model.path} averages views itself (`tta` {model.card.tta.get('name')})", "drop `tta`")
    return AveragedViews(cast("TtaName", name), model.preprocessing)

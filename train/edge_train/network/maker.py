"""What makes a network that is not of the table: one of timm's, or a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge_runtime import Preprocessing

PerChannel: TypeAlias = tuple[float, float, float]
# What pretrained weights expect of a picture, then mean and standard deviation of its pixels in [0, 1].
Preset: TypeAlias = "tuple[Preprocessing, PerChannel, PerChannel]"


class Maker(Protocol):
    """Makes one network, and knows what it expects."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What a card keeps beside the name, so that no other network is taken for this one."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions, beside torch's, that the network depends on."""

    @property
    def note(self) -> str:
        """What its user must be told of it; nothing as a rule."""

    def build(self, classes: int, size_px: int | None) -> nn.Module:
        """The network with its own first weights, float32 `[N, 3, H, W]` to `[N, classes]`, for images of that size.

        Raises UsageError where it cannot be had.
        """

    def preset(self) -> Preset:
        """What its weights expect of a picture."""

    def require_size(self, size_px: int, *others_px: int) -> None:
        """Raise UsageError where the network made for square images of that size cannot take them, or the others."""

    def pretrained(self, size_px: int | None) -> tuple[Mapping[str, Tensor], str]:
        """The state dict of `weights` default, for images of that size, and where it comes from.

        Raises WeightsError where there is none, or it cannot be had.
        """

    def adapted(self, state: Mapping[str, Tensor], model: nn.Module) -> tuple[dict[str, Tensor], str]:
        """A file's state dict as the model takes it, and what was changed in a few words ("" for nothing)."""

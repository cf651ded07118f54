"""From a row of the backbones' table to a network, and to what its pretrained weights expect of a picture.

torchvision is imported by the functions that need it, and only there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime import MissingExtraError, Preprocessing, UsageError
from edge_train.network.backbones import Backbone
from edge_train.network.maker import Preset
from edge_train.settings import Stem

if TYPE_CHECKING:
    from torch import nn

# Beyond this a single image takes gigabytes, long after accuracy has stopped to gain.
LARGEST_PX = 2048

HIDDEN_DROPOUT = 0.2


def _torchvision_models() -> Any:
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", error.name or "torchvision") from None
    return models


def build(
    backbone: Backbone,
    *,
    classes: int,
    dropout: float | None = None,
    stem: Stem = "standard",
    hidden_units: int | None = None,
    size_px: int | None = None,
    fastai_units: int | None = None,
) -> nn.Module:
    """A network with random weights and a head of `classes` outputs, initialised as torchvision or its maker does.

    It maps float32 `[N, 3, H, W]` to `[N, classes]`. `dropout` sets the probability in front of the head (None
    keeps the architecture's own); parameter names do not depend on it. `stem="small"` makes a ResNet begin with a
    3×3 convolution of stride 1 and no max-pooling, for inputs of 32 pixels (He et al. 2016, section 4.2). Attention
    that the backbone has begins as the identity.
    `hidden_units` puts a layer of so many units, ReLU and dropout between the embedding and the answers. `size_px` is
    the side of the images, for a network that is made for one size (None: the backbone's own). `fastai_units` makes the
    head fastai's, so many units wide, as a network that was imported from there has it.

    Raises:
        UsageError: fewer than two classes, a dropout outside [0, 1), or a stem or head the backbone cannot have.
        MissingExtraError: torchvision is not installed.
    """
    if classes < 2:
        raise UsageError(f"a classifier needs at least two classes, not {classes}")
    if dropout is not None and not 0 <= dropout < 1:
        raise UsageError(f"dropout must be at least 0 and below 1, not {dropout}")
    if backbone.maker is not None:
        model = backbone.maker.build(classes, size_px)
    else:
        model = _torchvision_models().get_model(backbone.name, weights=None, num_classes=classes)
    if stem == "small":
        _shrink_stem(model, backbone)
    if hidden_units is not None:
        _deepen_head(model, backbone, hidden_units, dropout)
    if fastai_units is not None:
        from edge_train.network.fastai_head import put_fastai_head

        put_fastai_head(model, backbone, fastai_units, dropout)
    elif dropout is not None:
        _set_dropout(model, backbone, dropout)
    if backbone.attention is not None:
        from edge_train.network.attention import add_attention

        add_attention(model, backbone.attention)
    return model


def _shrink_stem(model: nn.Module, backbone: Backbone) -> None:
    from torch import nn

    if backbone.maker is not None or not backbone.name.startswith("resnet"):
        raise UsageError(f"`stem` small is for ResNets, not for {backbone.name}", "choose `backbone` resnet18")
    conv = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    model.set_submodule("conv1", conv)
    model.set_submodule("maxpool", nn.Identity())


def _deepen_head(model: nn.Module, backbone: Backbone, units: int, dropout: float | None) -> None:
    from torch import nn

    last = model.get_submodule(backbone.head)
    if not isinstance(last, nn.Linear):
        raise UsageError(
            f"`hidden_units`: the head of {backbone.name} is a {_kind(last)}", "choose another backbone, or drop it"
        )
    model.set_submodule(
        backbone.head,
        nn.Sequential(
            nn.Linear(last.in_features, units),
            nn.ReLU(),
            nn.Dropout(HIDDEN_DROPOUT if dropout is None else dropout),
            nn.Linear(units, last.out_features),
        ),
    )


def _kind(head: nn.Module) -> str:
    from torch import nn

    return "convolution" if isinstance(head, nn.Conv2d) else type(head).__name__


def _set_dropout(model: nn.Module, backbone: Backbone, probability: float) -> None:
    from torch import nn

    from edge_train.network.network import DropoutLinear

    layer = model.get_submodule(backbone.head)
    if backbone.maker is not None:
        # Elsewhere theirs has a meaning of its own, in attention for example.
        if not isinstance(layer, (nn.Linear, nn.Sequential)):
            raise UsageError(f"`dropout`: the head of {backbone.name} is a {_kind(layer)}", "drop `dropout`")
        if isinstance(layer, nn.Linear):
            model.set_submodule(backbone.head, DropoutLinear.around(layer, probability))
        return
    own = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    for module in own:
        module.p = probability
    if not own and isinstance(layer, nn.Linear):
        model.set_submodule(backbone.head, DropoutLinear.around(layer, probability))


def preset(backbone: Backbone) -> Preset:
    """What the pretrained weights expect: preprocessing, then mean and standard deviation of pixels in [0, 1]."""
    if backbone.maker is not None:
        return backbone.maker.preset()
    transforms = _torchvision_models().get_model_weights(backbone.name).DEFAULT.transforms()
    crop_px = transforms.crop_size[0]
    expected = Preprocessing(
        resize_px=transforms.resize_size[0],
        height_px=crop_px,
        width_px=crop_px,
        interpolation=transforms.interpolation.value,
    )
    return expected, tuple(transforms.mean), tuple(transforms.std)


def preprocessing(backbone: Backbone, image_size_px: int | None, *, margin: bool = True) -> Preprocessing:
    """Preprocessing for square images of `image_size_px` (None: the preset's own size).

    With `margin` the short side is first resized a little larger, by the preset's ratio, and the centre
    cropped; without, it is resized straight to the size.

    Raises:
        UsageError: a size the backbone cannot digest.
    """
    expected, _, _ = preset(backbone)
    size_px = expected.height_px if image_size_px is None else image_size_px
    if size_px < backbone.smallest_px:
        raise UsageError(
            f"{size_px} pixels are too few for {backbone.name}",
            f"its layers need at least {backbone.smallest_px}; smaller images are enlarged",
        )
    if size_px > LARGEST_PX:
        raise UsageError(
            f"{size_px} pixels are too many for {backbone.name}",
            f"it was made for {backbone.image_size_px} pixels; {LARGEST_PX} is the most",
        )
    if backbone.maker is not None and size_px != expected.height_px:
        backbone.maker.require_size(size_px)
    resize_px = round(size_px * expected.resize_px / expected.height_px) if margin else size_px
    return Preprocessing(
        resize_px=resize_px,
        height_px=size_px,
        width_px=size_px,
        interpolation=expected.interpolation,
    )

"""The backbones `edge` knows: cost, head, stages.

The table is plain data, so that listing it needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from edge_train.network.maker import Maker

AttentionKind: TypeAlias = Literal["se", "cbam", "eca"]


@dataclass(frozen=True)
class Stage:
    """Layers that work at one resolution; `modules` are paths such as `layer1`, or of bare parameters."""

    name: str
    modules: tuple[str, ...]

    def holds(self, parameter: str) -> bool:
        """Whether a dotted parameter name lies in this stage; `features.1` does not hold `features.10.bias`."""
        return any(f"{parameter}.".startswith(f"{module}.") for module in self.modules)


@dataclass(frozen=True)
class Attention:
    """Attention added to a backbone: its kind, and the paths of the modules it stands behind, with their channels."""

    kind: AttentionKind
    sites: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Backbone:
    """One architecture under torchvision's builder name, or one that `maker` makes under `timm:NAME` or FILE:FUNCTION.

    `head` is the module path of the last classifying layer; `stages` run from the input to just before it.
    Stages and head together hold every parameter once. `parameters` and `gflops` (billions of multiply-adds
    at `image_size_px`) count the 1,000-class network and `imagenet_top1` is in percent, all as published
    with torchvision's DEFAULT weights (None for others, whose `gflops` are counted). `smallest_px` is the smallest
    square image the layers can digest. `features` is the module path of the last feature map, for Grad-CAM, where
    `maker` knows it; None where there is none. `attention` is what `with_attention` added, None as published.
    """

    name: str
    head: str
    stages: tuple[Stage, ...]
    parameters: int
    gflops: float
    imagenet_top1: float | None
    advice: str
    image_size_px: int = 224
    # Where nothing fails outright: below 16 pixels two stages and more see a single pixel.
    smallest_px: int = 16
    features: str | None = None
    attention: Attention | None = None
    maker: Maker | None = field(default=None, repr=False, compare=False)

    @property
    def file_name(self) -> str:
        """The name as a part of a file's or folder's."""
        return as_file_name(self.name)

    def stage_of(self, parameter: str) -> str:
        """The name of the stage that holds a parameter or buffer, or `head`.

        Raises:
            KeyError: the backbone has no such parameter.
        """
        if parameter.startswith(f"{self.head}."):
            return "head"
        for stage in self.stages:
            if stage.holds(parameter):
                return stage.name
        raise KeyError(f"{self.name} has no parameter {parameter!r}")


def as_file_name(backbone: str) -> str:
    """A backbone's name without what a file system may refuse: `timm:resnet18` is `timm-resnet18`."""
    return re.sub(r"[^\w.+-]+", "-", backbone)


def _features(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"features.{index}" for index in range(first, last + 1))


_RESNET_STAGES = (
    Stage("stem", ("conv1", "bn1")),
    *(Stage(f"layer{index}", (f"layer{index}",)) for index in range(1, 5)),
)

_MOBILENET_V2_STAGES = (
    Stage("stem", _features(0, 1)),
    Stage("stage2", _features(2, 3)),
    Stage("stage3", _features(4, 6)),
    Stage("stage4", _features(7, 13)),
    Stage("stage5", _features(14, 18)),
)

_EFFICIENTNET_STAGES = (
    Stage("stem", _features(0, 1)),
    Stage("stage2", _features(2, 2)),
    Stage("stage3", _features(3, 3)),
    Stage("stage4", _features(4, 5)),
    Stage("stage5", _features(6, 8)),
)

# Only the convolutions have parameters; pooling lies between the blocks.
_VGG16_STAGES = (
    Stage("block1", _features(0, 4)),
    Stage("block2", _features(5, 9)),
    Stage("block3", _features(10, 16)),
    Stage("block4", _features(17, 23)),
    Stage("block5", _features(24, 30)),
    Stage("hidden", ("classifier.0", "classifier.3")),
)

_DENSENET_STAGES = (
    Stage("stem", ("features.conv0", "features.norm0")),
    *(Stage(f"block{i}", (f"features.denseblock{i}", f"features.transition{i}")) for i in range(1, 4)),
    Stage("block4", ("features.denseblock4", "features.norm5")),
)

_MOBILENET_V3_SMALL_STAGES = (
    Stage("stem", _features(0, 0)),
    Stage("stage2", _features(1, 1)),
    Stage("stage3", _features(2, 3)),
    Stage("stage4", _features(4, 8)),
    Stage("stage5", (*_features(9, 12), "classifier.0")),
)

_MOBILENET_V3_LARGE_STAGES = (
    Stage("stem", _features(0, 1)),
    Stage("stage2", _features(2, 3)),
    Stage("stage3", _features(4, 6)),
    Stage("stage4", _features(7, 12)),
    Stage("stage5", (*_features(13, 16), "classifier.0")),
)

_SHUFFLENET_STAGES = (
    Stage("stem", ("conv1",)),
    Stage("stage2", ("stage2",)),
    Stage("stage3", ("stage3",)),
    Stage("stage4", ("stage4", "conv5")),
)

_SQUEEZENET_STAGES = (
    Stage("stem", _features(0, 2)),
    Stage("stage2", _features(3, 5)),
    Stage("stage3", _features(6, 8)),
    Stage("stage4", _features(9, 12)),
)

_REGNET_STAGES = (
    Stage("stem", ("stem",)),
    *(Stage(f"block{index}", (f"trunk_output.block{index}",)) for index in range(1, 5)),
)

_CONVNEXT_STAGES = (
    Stage("stem", _features(0, 0)),
    Stage("stage1", _features(1, 1)),
    Stage("stage2", _features(2, 3)),
    Stage("stage3", _features(4, 5)),
    Stage("stage4", (*_features(6, 7), "classifier.0")),
)

_ALL = (
    Backbone(
        name="resnet18",
        head="fc",
        stages=_RESNET_STAGES,
        parameters=11_689_512,
        gflops=1.814,
        imagenet_top1=69.758,
        advice="the first try: little data, forgiving to train, and int8 makes it several times faster",
    ),
    Backbone(
        name="resnet50",
        head="fc",
        stages=_RESNET_STAGES,
        parameters=25_557_032,
        gflops=4.089,
        imagenet_top1=80.858,
        advice="accuracy first, on a laptop or a server with a few thousand images",
    ),
    Backbone(
        name="mobilenet_v2",
        head="classifier.1",
        stages=_MOBILENET_V2_STAGES,
        parameters=3_504_872,
        gflops=0.301,
        imagenet_top1=72.154,
        advice="phones and a Raspberry Pi 4 or 5; small, accurate, strong when frozen",
    ),
    Backbone(
        name="efficientnet_b0",
        head="classifier.1",
        stages=_EFFICIENTNET_STAGES,
        parameters=5_288_548,
        gflops=0.386,
        imagenet_top1=77.692,
        advice="the most accuracy per parameter; slower on a CPU than its GFLOPs suggest, keep it float",
    ),
    Backbone(
        name="vgg16",
        head="classifier.6",
        stages=_VGG16_STAGES,
        parameters=138_357_544,
        gflops=15.47,
        imagenet_top1=71.592,
        advice="large and slow, for comparison only: a 540 MB file that resnet18 nearly equals",
        smallest_px=32,
    ),
    Backbone(
        name="densenet121",
        head="classifier",
        stages=_DENSENET_STAGES,
        parameters=7_978_856,
        gflops=2.834,
        imagenet_top1=74.434,
        advice="few parameters and reused features, liked for medical images; slow for its size",
        smallest_px=29,
    ),
    Backbone(
        name="mobilenet_v3_small",
        head="classifier.3",
        stages=_MOBILENET_V3_SMALL_STAGES,
        parameters=2_542_856,
        gflops=0.057,
        imagenet_top1=67.668,
        advice="a Raspberry Pi that must keep up with a camera; keep it float, int8 is slower",
    ),
    Backbone(
        name="mobilenet_v3_large",
        head="classifier.3",
        stages=_MOBILENET_V3_LARGE_STAGES,
        parameters=5_483_032,
        gflops=0.217,
        imagenet_top1=75.274,
        advice="a Raspberry Pi where accuracy matters more than the last milliseconds",
    ),
    Backbone(
        name="shufflenet_v2_x0_5",
        head="fc",
        stages=_SHUFFLENET_STAGES,
        parameters=1_366_792,
        gflops=0.040,
        imagenet_top1=60.552,
        advice="the smallest and cheapest: old Pis, easy tasks",
    ),
    Backbone(
        name="shufflenet_v2_x1_0",
        head="fc",
        stages=_SHUFFLENET_STAGES,
        parameters=2_278_604,
        gflops=0.145,
        imagenet_top1=69.362,
        advice="a Raspberry Pi: resnet18's accuracy at a twelfth of its work",
    ),
    Backbone(
        name="squeezenet1_1",
        head="classifier.1",
        stages=_SQUEEZENET_STAGES,
        parameters=1_235_496,
        gflops=0.349,
        imagenet_top1=58.178,
        advice="a file of a few megabytes when nothing else fits; the least accurate, touchy to train",
        smallest_px=17,
    ),
    Backbone(
        name="regnet_y_400mf",
        head="fc",
        stages=_REGNET_STAGES,
        parameters=4_344_144,
        gflops=0.402,
        imagenet_top1=75.804,
        advice="a modern small ResNet: good accuracy, easy to fine-tune, moderate on a CPU",
    ),
    Backbone(
        name="convnext_tiny",
        head="classifier.2",
        stages=_CONVNEXT_STAGES,
        parameters=28_589_128,
        gflops=4.456,
        imagenet_top1=82.52,
        advice="the highest accuracy here, for a laptop or a server; too slow for a Pi",
        smallest_px=32,
    ),
)

BACKBONES: Mapping[str, Backbone] = MappingProxyType({backbone.name: backbone for backbone in _ALL})

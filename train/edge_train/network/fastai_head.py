"""The head that fastai puts on a backbone: average and maximum pooled side by side, then two linear layers.

`create_head` of fastai.vision.learner with its defaults: AdaptiveConcatPool2d, Flatten, and twice batch norm, dropout
and a linear layer without bias, with ReLU between. Here it is made of a pooling and a Sequential that stand where the
backbone's own do, so that the network answers as fastai's does, number for number.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, cat, nn

from edge_runtime import UsageError
from edge_train.network.backbones import Backbone

# Those whose last map goes through `avgpool`, is flattened, and enters the head.
_POOLED = ("resnet18", "resnet50", "regnet_y_400mf", "efficientnet_b0")
# From fastai's place in its Sequential to the one here, which begins behind pooling and flattening.
_PLACES = {"1.2.": "0.", "1.4.": "2.", "1.6.": "4.", "1.8.": "6."}
_WIDTH, _CLASSES = "1.4.weight", "1.8.weight"
DROPOUT = 0.5


class ConcatPool(nn.Module):
    """`[N, C, H, W]` to `[N, 2C, 1, 1]`: the maximum of each channel, then its average, as fastai orders them."""

    def __init__(self) -> None:
        super().__init__()
        self.average, self.maximum = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)

    def forward(self, features: Tensor) -> Tensor:
        """Both, side by side."""
        return cat([self.maximum(features), self.average(features)], dim=1)


def put_fastai_head(model: nn.Module, backbone: Backbone, units: int, dropout: float | None) -> None:
    """Replace pooling and head of a torchvision network, `units` wide between its two linear layers.

    Raises UsageError for a backbone whose head does not follow its pooling.
    """
    last = model.get_submodule(backbone.head)
    if backbone.maker is not None or backbone.name not in _POOLED or not isinstance(last, nn.Linear):
        raise UsageError(
            f"fastai's head cannot stand on {backbone.name}",
            f"it can on {', '.join(_POOLED)}; edge train --weights FILE takes the body alone",
        )
    first = DROPOUT / 2 if dropout is None else dropout
    second = DROPOUT if dropout is None else dropout
    model.set_submodule("avgpool", ConcatPool())
    model.set_submodule(
        backbone.head,
        nn.Sequential(
            nn.BatchNorm1d(2 * last.in_features),
            nn.Dropout(first),
            nn.Linear(2 * last.in_features, units, bias=False),
            nn.ReLU(),
            nn.BatchNorm1d(units),
            nn.Dropout(second),
            nn.Linear(units, last.out_features, bias=False),
        ),
    )


def read_fastai_head(state: Mapping[str, Tensor], backbone: Backbone) -> tuple[dict[str, Tensor], int, int] | None:
    """Of tensors by fastai's names those of its default head by the names here, its width, and the classes.

    None where there are none, or they are of another head.
    """
    own = {key: tensor for key, tensor in state.items() if key.startswith("1.")}
    if _WIDTH not in own or _CLASSES not in own or {key[:4] for key in own} != _PLACES.keys():
        return None
    named = {f"{backbone.head}.{_PLACES[key[:4]]}{key[4:]}": tensor for key, tensor in own.items()}
    return named, own[_WIDTH].shape[0], own[_CLASSES].shape[0]

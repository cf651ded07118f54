"""Where in a picture a network saw what it answered: Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017), section 3:
the last convolutional feature map, its channels weighted by the mean gradient of the class's score, and only what
speaks for the class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime import Prediction, UsageError, find_label
from edge_train.network.backbones import Backbone
from edge_train.network.checkpoint import Checkpoint

_POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What speaks for `label`: `heat` is float32 `[height, width]` of the feature map, 0..1, 1 where it is strongest.

    All zero where nothing speaks for it. `probability` is the checkpoint's own.
    """

    label: str
    probability: float
    heat: NDArray[np.float32]


class Explainer:
    """Grad-CAM of one checkpoint's network, on the CPU.

    Raises CheckpointError where the checkpoint's weights do not fit its backbone, UsageError where that has no feature
    map to look at.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.card = checkpoint.card
        self._network = checkpoint.build()
        # The score's gradient is asked for, of what its maker fixed, too; nothing is trained.
        self._network.take_gradients()
        layer = last_map(self._network.backbone, checkpoint.backbone)
        self._seen: list[Tensor] = []
        layer.register_forward_hook(self._see)

    def _see(self, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        if output.requires_grad:
            self._seen.append(output)
            return output
        # It was computed without gradients; what comes after it need not be, and may change it in place.
        leaf = output.detach().requires_grad_()
        self._seen.append(leaf)
        return leaf.clone() if torch.is_grad_enabled() else leaf

    def __call__(self, pixels: NDArray[np.uint8], label: str | None = None) -> Explanation:
        """Explain `label`, by default the answer, for the model's input uint8 `[H, W, 3]` RGB.

        Raises UsageError where there is no such label, or the network lets no gradient through.
        """
        labels = self.card.labels
        wanted = None if label is None else find_label(label, labels)
        if label is not None and wanted is None:
            raise UsageError(f"there is no label {label!r} to explain", f"the labels are {', '.join(labels)}")
        self._seen.clear()
        with torch.enable_grad():
            logits = self._network(torch.from_numpy(np.ascontiguousarray(pixels))[None])[0]
            probabilities = torch.softmax(logits.detach() / self.card.temperature, dim=0)
            # A threshold may decide.
            answer = Prediction("", labels, probabilities.numpy(), self.card.operating_point).label
            index = labels.index(answer if wanted is None else wanted)
            feature_map = self._seen[-1]
            # The score before the softmax: behind it, other classes' evidence would count as this one's.
            try:
                (gradient,) = torch.autograd.grad(logits[index], feature_map)
            except RuntimeError as error:
                raise UsageError(
                    f"{self.card.backbone} lets no gradient through from its answer to its last feature map, which "
                    "Grad-CAM weighs",
                    "leave out torch.no_grad and detach behind that map",
                ) from error
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        heat = torch.relu((weights * feature_map.detach()).sum(dim=1))[0]
        strongest = float(heat.max())
        if strongest > 0:
            heat = heat / strongest
        return Explanation(labels[index], float(probabilities[index]), heat.numpy().astype(np.float32))


def last_map(network: nn.Module, backbone: Backbone) -> nn.Module:
    """The layer whose output is the last convolutional feature map before the head: not pooled, not the head's own."""
    if backbone.maker is not None:
        if backbone.features is None:
            raise UsageError(
                f"{backbone.name} has no convolutional feature map in front of its head, which Grad-CAM looks at",
                "train a convolutional network to see where it looks",
            )
        return network.get_submodule(backbone.features)
    head = backbone.head.partition(".")[0]
    names = [name for stage in backbone.stages for name in stage.modules if name.partition(".")[0] != head]
    layers = [network.get_submodule(name) for name in names]
    return next(layer for layer in reversed(layers) if not isinstance(layer, _POOLING))

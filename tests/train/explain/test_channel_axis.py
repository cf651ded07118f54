"""Maps are a layer's channels, also where they lie behind the places, and nothing else is taken for them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edge_train import Network  # noqa: E402
from edge_train.explain.activations import layers_in, look_at_layer  # noqa: E402
from quick_training import network  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8)


def test_the_layers_of_a_convnext_give_maps_not_rows() -> None:
    convnext = network("convnext_tiny").eval()
    layers = {layer.name: layer for layer in layers_in(convnext, 64, 32)}
    # Convolution, permuted, layer norm, linear, GELU, linear, permuted back.
    for index, maps in enumerate((96, 96, 96, 384, 384, 96, 96)):
        assert layers[f"features.1.0.block.{index}"].shape == (maps, 16, 8), index
    assert layers["features.0.1"].shape == layers["features.1"].shape == (96, 16, 8)
    assert layers["features.7.0"].shape == (768, 2, 1)
    heard: list[Tensor] = []
    convnext.backbone.features[1][0].block[2].register_forward_hook(lambda _a, _b, output: heard.append(output))
    found = look_at_layer(convnext, "convnext_tiny", PIXELS, "features.1.0.block.2")
    assert found.maps.shape == (96, 16, 8)
    np.testing.assert_array_equal(found.maps, heard[0][0].permute(2, 0, 1).numpy())


class _Windows(nn.Module):
    """As in Swin: channels last from the first layer on, in windows and out of them, beside what passes by."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.act, self.gate = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 12), nn.GELU(), nn.Identity()
        self.back, self.last = nn.Identity(), nn.Conv2d(12, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.stem(images).permute(0, 2, 3, 1)
        n, height, width, channels = rows.shape
        windows = torch.roll(rows, 1, 1).reshape(n, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
        mixed = self.act(self.mix(windows.reshape(-1, 4, channels)))
        joined = mixed.reshape(n, height // 2, width // 2, 2, 2, channels).transpose(2, 3).reshape(rows.shape)
        joined = self.gate(rows + joined)
        return self.last(self.back(torch.movedim(joined, -1, 1))).mean((2, 3))


def test_channels_are_followed_through_what_is_no_layer() -> None:
    layers = {layer.name: layer for layer in layers_in(Network(_Windows(), (0.5,) * 3, (0.2,) * 3), 64, 32)}
    assert layers["stem"].shape == layers["gate"].shape == layers["back"].shape == (12, 16, 8)
    assert not layers["mix"].has_maps and layers["last"].shape == (5, 16, 8)

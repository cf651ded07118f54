"""The size a model is trained at, from the sizes of the pictures, and the sentence that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torchvision")

from edge_data.sets.find import DataSource
from edge_runtime import ClassFolders, UsageError, scan
from edge_train import find_backbone
from edge_train.network.input_preprocessing import choose_preprocessing


def folders(root: Path, *sizes: tuple[int, int]) -> ClassFolders:
    """Two classes with one picture of each size in both."""
    for label in ("ant", "bee"):
        (root / label).mkdir(parents=True)
        for number, size in enumerate(sizes):
            Image.new("RGB", size, "red").save(root / label / f"{number}.png")
    return scan(root)


@pytest.mark.parametrize(
    ("side", "backbone", "resize_px", "crop_px"),
    [
        # Photos larger than the backbone's own input get its preset.
        (800, "resnet18", 256, 224),
        (800, "resnet50", 232, 224),
        # Smaller ones are used whole, at twice their size, in steps of 32 from 64 on.
        (20, "resnet18", 64, 64),
        (28, "resnet18", 64, 64),
        (32, "mobilenet_v2", 64, 64),
        (40, "resnet18", 96, 96),
        (96, "resnet18", 192, 192),
        (200, "resnet18", 224, 224),
    ],
)
def test_it_follows_the_pictures(tmp_path: Path, side: int, backbone: str, resize_px: int, crop_px: int) -> None:
    data = folders(tmp_path, (side, side + 9))
    contract, why = choose_preprocessing(find_backbone(backbone), DataSource("x", tmp_path), data, None)
    assert (contract.resize_px, contract.height_px, contract.width_px) == (resize_px, crop_px, crop_px)
    assert f"input {crop_px}×{crop_px}" in why
    assert ("the whole picture" in why) == (resize_px == crop_px)
    assert (f"about {side} px" in why) == (side < 224)


def test_it_is_what_was_asked_for(tmp_path: Path) -> None:
    data = folders(tmp_path, (500, 400))
    contract, why = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, 112)
    assert (contract.resize_px, contract.height_px) == (128, 112)
    assert "as asked" in why and "short side to 128 px" in why
    whole, why = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, 448)
    assert (whole.resize_px, whole.height_px) == (448, 448), "what is enlarged loses no margin"


def test_it_is_the_sets_own_where_it_has_one(tmp_path: Path) -> None:
    data = folders(tmp_path, (96, 96))
    contract, why = choose_preprocessing(find_backbone("resnet18"), DataSource("shapes", tmp_path, 64), data, None)
    assert (contract.height_px, "the size shapes is meant for" in why) == (64, True)


def test_it_follows_the_typical_picture_not_the_odd_one(tmp_path: Path) -> None:
    data = folders(tmp_path, (40, 40), (40, 60), (44, 40), (3000, 2000))
    (tmp_path / "ant" / "0.png").write_bytes(b"broken")
    contract, _ = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, None)
    assert contract.height_px == 96


def test_it_is_the_backbones_own_where_no_picture_opens(tmp_path: Path) -> None:
    data = folders(tmp_path, (40, 40))
    for label in ("ant", "bee"):
        (tmp_path / label / "0.png").write_bytes(b"broken")
    contract, _ = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, None)
    assert contract.height_px == 224


@pytest.mark.parametrize("size", [0, -5, 8, 100_000])
def test_it_must_be_one_the_backbone_can_digest(tmp_path: Path, size: int) -> None:
    data = folders(tmp_path, (40, 40))
    with pytest.raises(UsageError, match=str(size)):
        choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, size)

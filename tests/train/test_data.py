"""Where images come from and how large the model's input is: what was chosen, and the sentence that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from edge_runtime import ClassFolders, DataError, UsageError, scan
from edge_train import find_backbone, find_data
from edge_train.data import DataSource
from edge_train.training_input import choose_preprocessing


def folders(root: Path, *sizes: tuple[int, int]) -> ClassFolders:
    """Two classes with one picture of each size in both."""
    for label in ("ant", "bee"):
        (root / label).mkdir(parents=True)
        for number, size in enumerate(sizes):
            Image.new("RGB", size, "red").save(root / label / f"{number}.png")
    return scan(root)


def test_a_folder_goes_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "My photos").mkdir()
    assert find_data(str(tmp_path / "My photos")) == DataSource("My photos", tmp_path / "My photos")
    monkeypatch.chdir(tmp_path / "My photos")
    assert find_data(".").name == "My photos"
    assert find_data("../My photos/").name == "My photos"


def test_home_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_data("~/photos").root == tmp_path / "photos"


def test_the_shapes_are_drawn_into_the_cache_unless_a_folder_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    drawn = find_data("shapes")
    assert (drawn.name, drawn.image_size_px) == ("shapes", 64)
    assert drawn.root.is_relative_to(tmp_path / "cache")
    assert {name: len(samples) for name, samples in scan(drawn.root).splits.items()} == {
        "train": 300, "val": 60, "test": 60,
    }  # fmt: skip
    (tmp_path / "shapes").mkdir()
    assert find_data("shapes") == DataSource("shapes", Path("shapes"))


@pytest.mark.parametrize("data", ["gone", "shape", "~nobody-of-that-name/photos", "x" * 300, "null\0"])
def test_what_is_neither_folder_nor_set_is_named(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        find_data(data)
    # A character that would break the line is written as an escape.
    assert data.replace("\0", "\\x00") in caught.value.message and caught.value.hint


class TestInputSize:
    """The size a model is trained at, from the sizes of the pictures."""

    @pytest.fixture(autouse=True)
    def torchvision(self) -> None:
        pytest.importorskip("torchvision")

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
    def test_follows_the_pictures(self, tmp_path: Path, side: int, backbone: str, resize_px: int, crop_px: int) -> None:
        data = folders(tmp_path, (side, side + 9))
        contract, why = choose_preprocessing(find_backbone(backbone), DataSource("x", tmp_path), data, None)
        assert (contract.resize_px, contract.height_px, contract.width_px) == (resize_px, crop_px, crop_px)
        assert f"input {crop_px}×{crop_px}" in why
        assert ("the whole picture" in why) == (resize_px == crop_px)
        assert (f"about {side} px" in why) == (side < 224)

    def test_is_what_was_asked_for(self, tmp_path: Path) -> None:
        data = folders(tmp_path, (500, 400))
        contract, why = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, 112)
        assert (contract.resize_px, contract.height_px) == (128, 112)
        assert "as asked" in why and "short side to 128 px" in why
        whole, why = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, 448)
        assert (whole.resize_px, whole.height_px) == (448, 448), "what is enlarged loses no margin"

    def test_is_the_sets_own_where_it_has_one(self, tmp_path: Path) -> None:
        data = folders(tmp_path, (96, 96))
        contract, why = choose_preprocessing(find_backbone("resnet18"), DataSource("shapes", tmp_path, 64), data, None)
        assert (contract.height_px, "the size shapes is meant for" in why) == (64, True)

    def test_follows_the_typical_picture_not_the_odd_one(self, tmp_path: Path) -> None:
        data = folders(tmp_path, (40, 40), (40, 60), (44, 40), (3000, 2000))
        (tmp_path / "ant" / "0.png").write_bytes(b"broken")
        contract, _ = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, None)
        assert contract.height_px == 96

    def test_is_the_backbones_own_where_no_picture_opens(self, tmp_path: Path) -> None:
        data = folders(tmp_path, (40, 40))
        for label in ("ant", "bee"):
            (tmp_path / label / "0.png").write_bytes(b"broken")
        contract, _ = choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, None)
        assert contract.height_px == 224

    @pytest.mark.parametrize("size", [0, -5, 8, 100_000])
    def test_must_be_one_the_backbone_can_digest(self, tmp_path: Path, size: int) -> None:
        data = folders(tmp_path, (40, 40))
        with pytest.raises(UsageError, match=str(size)):
            choose_preprocessing(find_backbone("resnet18"), DataSource("x", tmp_path), data, size)

"""The preprocessing contract: torchvision's pixels bit for bit, small on extreme shapes, safe to read from a file."""

from __future__ import annotations

import json
import tracemalloc
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from edge_runtime import ImageError, ModelError, Preprocessing, UsageError, decode

if TYPE_CHECKING:
    from pathlib import Path

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# The 13 backbones' own presets: resize, crop, interpolation.
PRESETS = {
    "ResNet18_Weights": (256, 224, "bilinear"),
    "ResNet50_Weights": (232, 224, "bilinear"),
    "MobileNet_V2_Weights": (232, 224, "bilinear"),
    "EfficientNet_B0_Weights": (256, 224, "bicubic"),
    "VGG16_Weights": (256, 224, "bilinear"),
    "DenseNet121_Weights": (256, 224, "bilinear"),
    "MobileNet_V3_Small_Weights": (256, 224, "bilinear"),
    "MobileNet_V3_Large_Weights": (232, 224, "bilinear"),
    "ShuffleNet_V2_X0_5_Weights": (256, 224, "bilinear"),
    "ShuffleNet_V2_X1_0_Weights": (256, 224, "bilinear"),
    "SqueezeNet1_1_Weights": (256, 224, "bilinear"),
    "RegNet_Y_400MF_Weights": (232, 224, "bilinear"),
    "ConvNeXt_Tiny_Weights": (236, 224, "bilinear"),
}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def contract(resize_px: int = 256, height_px: int = 224, width_px: int = 224, **options: Any) -> Preprocessing:
    return Preprocessing(resize_px, height_px, width_px, **{"interpolation": "bilinear", **options})


@given(
    size=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    resize_px=st.integers(16, 256),
    crop=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    interpolation=st.sampled_from(sorted(FILTERS)),
)
@example(size=(600, 5), resize_px=256, crop=(224, 224), interpolation="bilinear")
@example(size=(333, 256), resize_px=256, crop=(256, 301), interpolation="bicubic")
@settings(max_examples=80)
def test_equals_torchvision_bit_for_bit(
    size: tuple[int, int], resize_px: int, crop: tuple[int, int], interpolation: str
) -> None:
    v1 = pytest.importorskip("torchvision.transforms")
    v2 = pytest.importorskip("torchvision.transforms.v2")
    image = noise(*size)
    ours = Preprocessing(resize_px, *crop, interpolation)(image)  # type: ignore[arg-type]
    mode = v1.InterpolationMode(interpolation)
    for transforms in (v1, v2):
        resize = transforms.Resize(resize_px, interpolation=mode, antialias=True)
        assert_array_equal(ours, np.asarray(transforms.CenterCrop(crop)(resize(image))))


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_of_torchvisions_weights_are_met(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    preset = getattr(models, name).DEFAULT.transforms()
    if name == "ResNet18_Weights":
        assert getattr(models, name).DEFAULT == models.ResNet18_Weights.IMAGENET1K_V1
    resize_px, crop_px, interpolation = PRESETS[name]
    assert (preset.resize_size, preset.crop_size, preset.interpolation.value) == ([resize_px], [crop_px], interpolation)
    for image in (noise(500, 375), noise(231, 640), noise(40, 30), noise(1024, 257)):
        tensor = preset(image)
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (preset.mean, preset.std))
        expected = np.rint((tensor.numpy() * std + mean) * 255).astype(np.uint8).transpose(1, 2, 0)
        assert_array_equal(contract(resize_px, crop_px, crop_px, interpolation=interpolation)(image), expected)


def reference(image: Image.Image, prep: Preprocessing) -> np.ndarray[Any, Any]:
    """Resize and centre crop written out with the whole image resized, for machines without torchvision."""
    short, long = sorted(image.size)
    long_px = int(prep.resize_px * long / short)
    size = (prep.resize_px, long_px) if image.width <= image.height else (long_px, prep.resize_px)
    array = np.asarray(image.resize(size, FILTERS[prep.interpolation]))
    for axis, wanted in enumerate((prep.height_px, prep.width_px)):
        missing = max(0, wanted - array.shape[axis])
        array = np.pad(array, [(missing // 2, (missing + 1) // 2) if at == axis else (0, 0) for at in range(3)])
        array = array.take(range(start := round((array.shape[axis] - wanted) / 2), start + wanted), axis)
    return array


@pytest.mark.parametrize("resize_px", [32, 224, 256, 300])
@pytest.mark.parametrize("size", [(300, 400), (400, 300), (256, 256), (7, 5), (257, 256), (900, 33)])
def test_resize_and_crop_follow_the_rule(size: tuple[int, int], resize_px: int) -> None:
    for interpolation in FILTERS:
        prep = contract(resize_px, 225, 240, interpolation=interpolation)
        assert_array_equal(prep(noise(*size)), reference(noise(*size), prep))


def test_the_steps_are_the_whole() -> None:
    buffer = BytesIO()
    noise(800, 600).save(buffer, "JPEG")
    prep = contract(64, 56, 48)
    assert prep.decode(buffer.getvalue()).size == (200, 150)
    assert prep.resize(prep.decode(buffer.getvalue())).size == (85, 64)
    array = prep(buffer.getvalue())
    assert_array_equal(array, np.asarray(prep.crop(prep.resize(prep.decode(buffer.getvalue())))))
    assert (array.shape, array.dtype, array.flags.c_contiguous, array.flags.writeable) == (
        (56, 48, 3),
        np.uint8,
        True,
        True,
    )


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = noise(256, 256)
    assert contract(256).resize(image) is image
    assert contract(256, 256, 256).crop(image) is image
    assert_array_equal(contract(256, 256, 256)(image), np.asarray(image))


def test_decodes_as_the_contract_says(tmp_path: Path) -> None:
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (32, 32), (255, 0, 0, 0)).save(clear)
    assert_array_equal(contract(32, 32, 32, background=(10, 20, 30))(clear)[0, 0], (10, 20, 30))
    assert_array_equal(contract(32, 32, 32)(str(clear))[0, 0], (255, 255, 255))
    large = tmp_path / "large.jpg"
    noise(512, 512).save(large)
    assert contract(64, jpeg_draft=True).decode(large).size == (128, 128)
    assert contract(64, jpeg_draft=False).decode(large).size == (512, 512)
    assert_array_equal(np.asarray(contract(64, jpeg_draft=False).decode(large)), np.asarray(decode(large)))
    with pytest.raises(ImageError, match="512 × 512"):
        contract().decode(large, max_pixels=1000)
    with pytest.raises(ImageError, match="gone"):
        contract()(tmp_path / "gone.jpg")


@pytest.mark.parametrize("size", [(20000, 1), (1, 20000), (8000, 10), (10, 8000), (60000, 100)])
def test_extreme_shapes_cost_little(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (1, 2, 3))
    prep = contract(interpolation="bicubic")
    resized = prep.resize(image)
    assert resized.width * resized.height <= 32_000_000
    assert_array_equal(prep.crop(resized), np.full((224, 224, 3), (1, 2, 3)))


@pytest.mark.parametrize("interpolation", sorted(FILTERS))
@pytest.mark.parametrize(
    ("size", "crop_px"), [((503, 1), 221), ((1, 505), 222), ((1509, 3), 223), ((6, 3001), 224), ((260, 130003), 221)]
)
def test_extreme_shapes_give_what_the_whole_resize_gives(
    size: tuple[int, int], crop_px: int, interpolation: str
) -> None:
    image = noise(*size)
    prep = contract(256, crop_px, crop_px, interpolation=interpolation)
    resized = prep.resize(image)
    assert max(resized.size) < 300
    assert np.abs(prep(image).astype(int) - reference(image, prep)).max() <= 1


def test_python_memory_stays_small() -> None:
    tracemalloc.start()
    try:
        contract()(Image.new("RGB", (20000, 1)))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"resize_px": 0}, "resize_px"),
        ({"resize_px": 5000}, "resize_px"),
        ({"resize_px": 224.0}, "resize_px"),
        ({"height_px": -1}, "height_px"),
        ({"width_px": 4097}, "width_px"),
        ({"width_px": True}, "width_px"),
        ({"interpolation": "lanczos"}, "interpolation"),
        ({"interpolation": ["bilinear"]}, "interpolation"),
        ({"background": (255, 255)}, "background"),
        ({"background": (0, 0, 256)}, "background"),
        ({"background": "white"}, "background"),
        ({"jpeg_draft": 1}, "jpeg_draft"),
    ],
)
def test_senseless_settings_are_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named) as refused:
        contract(**options)
    assert refused.value.hint


def test_json_is_spelled_for_people_and_comes_back() -> None:
    prep = Preprocessing(256, 224, 192, "bilinear", background=(1, 2, 3))
    text = json.dumps(prep.to_json())
    assert json.loads(text) == {
        "orientation": "exif",
        "alpha_background": [1, 2, 3],
        "color": "RGB",
        "resize_short_side": 256,
        "interpolation": "bilinear",
        "antialias": True,
        "crop": "center",
        "height": 224,
        "width": 192,
        "jpeg_draft": True,
        "to_srgb": True,
    }
    assert Preprocessing.from_json(json.loads(text)) == prep
    assert Preprocessing.from_json({**json.loads(text), "from_the_future": 1}) == prep


@given(
    sides=st.tuples(*[st.integers(1, 4096)] * 3),
    interpolation=st.sampled_from(sorted(FILTERS)),
    background=st.tuples(*[st.integers(0, 255)] * 3),
    jpeg_draft=st.booleans(),
    to_srgb=st.booleans(),
)
def test_every_contract_survives_json(
    sides: tuple[int, int, int], interpolation: Any, background: tuple[int, int, int], jpeg_draft: bool, to_srgb: bool
) -> None:
    prep = Preprocessing(*sides, interpolation, background, jpeg_draft, to_srgb)
    assert Preprocessing.from_json(json.loads(json.dumps(prep.to_json()))) == prep


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"resize_short_side": "256"}, "resize_short_side"),
        ({"resize_short_side": None}, "resize_short_side"),
        ({"height": 0}, "height"),
        ({"width": 10**9}, "width"),
        ({"interpolation": "nearest"}, "interpolation"),
        ({"interpolation": {}}, "interpolation"),
        ({"alpha_background": [1, 2]}, "alpha_background"),
        ({"alpha_background": [1, 2, "x" * 1000]}, "alpha_background"),
        ({"jpeg_draft": "yes"}, "jpeg_draft"),
        ({"to_srgb": 1}, "to_srgb"),
        ({"orientation": "ignored"}, "orientation"),
        ({"color": "BGR"}, "color"),
        ({"antialias": False}, "antialias"),
        ({"crop": "random"}, "crop"),
    ],
)
def test_malformed_json_is_refused_by_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named) as refused:
        Preprocessing.from_json({**contract().to_json(), **change})
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("field", ["resize_short_side", "height", "width", "interpolation"])
def test_a_missing_field_is_named(field: str) -> None:
    value = contract().to_json()
    del value[field]
    with pytest.raises(ModelError, match=field):
        Preprocessing.from_json(value)


@pytest.mark.parametrize("value", [None, [], "256", 3])
def test_json_that_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(ModelError, match="preprocessing"):
        Preprocessing.from_json(value)


@given(
    st.dictionaries(
        st.sampled_from(sorted(contract().to_json())),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab"), st.lists, max_leaves=4),
    )
)
def test_no_json_whatever_gives_anything_but_a_model_error(value: dict[str, Any]) -> None:
    try:
        prep = Preprocessing.from_json({**contract().to_json(), **value})
    except ModelError:
        return
    assert prep == Preprocessing.from_json(prep.to_json())

"""int8 and half precision: the file keeps its promises, computes the same, and is made of int8 kernels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

pytest.importorskip("torch")

from edge_export.precision.fp16 import to_fp16
from edge_export.precision.int8 import CALIBRATION_METHODS, CalibrationMethod, Quantizer, to_int8
from edge_export.precision.int8_graph import prepare_graph
from edge_runtime import Classifier, ModelError, UsageError
from quantized_nets import LABELS, batches, colours, point, write_easy, write_net


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_easy(tmp_path_factory.mktemp("nets") / "easy.onnx")


def optimised(path: Path, folder: Path) -> Counter[str]:
    """The kernels that onnxruntime runs for a file on this CPU."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


@pytest.mark.parametrize("method", CALIBRATION_METHODS)
def test_int8_answers_nearly_as_fp32_does(easy: Path, tmp_path: Path, method: CalibrationMethod) -> None:
    pixels, labels = colours()
    to_int8(easy, tmp_path / "int8.onnx", [pixels[:16]], method=method, threads=1)
    found = Classifier(tmp_path / "int8.onnx", threads=1).probabilities(pixels)
    expected = Classifier(easy, threads=1).probabilities(pixels)
    assert (found.argmax(axis=1) == labels).all()
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).max() > 0
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_file_keeps_what_the_format_promises(easy: Path, tmp_path: Path) -> None:
    pixels, _ = colours()
    for write in (lambda out: to_int8(easy, out, [pixels[:8]], threads=1), lambda out: to_fp16(easy, out)):
        path = tmp_path / "made.onnx"
        write(path)
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version <= 10
        assert [entry.domain for entry in model.opset_import] == [""]
        assert model.opset_import[0].version <= 20
        assert all(not node.domain for node in model.graph.node)
        assert [entry.key for entry in model.metadata_props] == ["edge"]
        classifier = Classifier(path, threads=1)
        assert classifier.labels == LABELS
        assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert classifier.probabilities(pixels[:1]).dtype == np.float32
        whole = classifier.probabilities(pixels[:5])
        for size in (1, 2, 5):
            assert np.abs(classifier.probabilities(pixels[:size]) - whole[:size]).max() < 1e-6


def test_only_int8_kernels_are_left_between_the_image_and_the_softmax(tmp_path: Path) -> None:
    weights = [np.full((16, 3, 3, 3), 0.05, np.float32), np.full((3, 16, 3, 3), 0.02, np.float32)]
    write_net(tmp_path / "clip.onnx", weights, strides=2, clip=True, height=32, width=32)
    pixels, _ = colours(4, height=32, width=32)
    to_int8(tmp_path / "clip.onnx", tmp_path / "int8.onnx", [pixels], threads=1)
    kernels = optimised(tmp_path / "int8.onnx", tmp_path)
    assert kernels["QLinearConv"] == 2
    assert kernels["QLinearGlobalAveragePool"] == 1
    assert kernels["QGemm"] == 1
    assert not {"Conv", "Clip", "Gemm", "ReduceMean", "FusedConv"} & set(kernels)
    assert (kernels["QuantizeLinear"], kernels["DequantizeLinear"]) == (1, 0)


def test_weights_have_a_scale_for_each_channel(tmp_path: Path) -> None:
    uneven = np.diag([1.0, 10.0, 40.0])
    undone = np.diag([1.0, 0.1, 0.025])
    write_net(tmp_path / "uneven.onnx", [point(uneven @ np.ones((3, 3))), point(undone)])
    to_int8(tmp_path / "uneven.onnx", tmp_path / "int8.onnx", [colours(4)[0]], threads=1)
    model = onnx.load(tmp_path / "int8.onnx")
    (scale,) = [t for t in model.graph.initializer if "conv0.weight" in t.name and t.name.endswith("_scale")]
    values = onnx.numpy_helper.to_array(scale)
    assert values.shape == (3,)
    assert values[1] / values[0] == pytest.approx(10, rel=0.05)
    assert values[2] / values[0] == pytest.approx(40, rel=0.05)


def test_a_layer_named_in_keep_float_stays_in_float(easy: Path, tmp_path: Path) -> None:
    pixels, _ = colours(8)
    to_int8(easy, tmp_path / "int8.onnx", [pixels], keep_float={"conv1", "conv2"}, threads=1)
    names = {tensor.name: tensor.data_type for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    floats = {name for name, kind in names.items() if kind == onnx.TensorProto.FLOAT and name.endswith(".weight")}
    assert floats == {"network.backbone.conv1.weight", "network.backbone.conv2.weight"}
    assert optimised(tmp_path / "int8.onnx", tmp_path)["QLinearConv"] == 3


def test_mixed_spares_the_last_layer_and_the_hard_swishes(tmp_path: Path) -> None:
    net = write_net(tmp_path / "swish.onnx", [point(np.eye(3)) for _ in range(4)], swish=True)
    pixels, _ = colours(8)
    to_int8(net, tmp_path / "mixed.onnx", [pixels], mixed=True, threads=1)
    kernels = optimised(tmp_path / "mixed.onnx", tmp_path)
    # A float convolution in front would answer by the processor.
    assert kernels["QLinearConv"] == 4
    assert kernels["QLinearMul"] == 0
    assert "QGemm" not in kernels


def test_wrong_names_and_missing_images_are_said(easy: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    with pytest.raises(UsageError, match="no layer conv9"):
        to_int8(easy, out, [colours(4)[0]], keep_float={"conv9"}, threads=1)
    with pytest.raises(UsageError, match="images to calibrate on"):
        to_int8(easy, out, [], threads=1)
    everything = {"conv0", "conv1", "conv2", "conv3", "conv4", "fc"}
    with pytest.raises(UsageError, match="no layer left"):
        to_int8(easy, out, [colours(4)[0]], keep_float=everything, threads=1)
    assert not out.exists()


def test_one_calibration_image_is_enough_and_an_odd_one_does_no_harm(easy: Path, tmp_path: Path) -> None:
    pixels, labels = colours(12)
    for images in ([pixels[:1]], [pixels[:3], pixels[3:4]]):
        for method in CALIBRATION_METHODS:
            to_int8(easy, tmp_path / "int8.onnx", images, method=method, threads=1)
            found = Classifier(tmp_path / "int8.onnx", threads=1).probabilities(pixels)
            assert found.argmax(axis=1).tolist() == labels.tolist()


def test_nothing_is_printed(easy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Quantizer(easy, (pixels for pixels, _ in batches()()), threads=1) as quantizer:
        assert quantizer.calibration_images == 48
        for method in CALIBRATION_METHODS:
            quantizer.write(tmp_path / "int8.onnx", method=method)
    assert capfd.readouterr() == ("", "")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    taps=st.integers(1, 7),
    pad=st.integers(0, 3),
    uneven=st.booleans(),
    stride=st.integers(1, 2),
    height=st.integers(15, 24),
    width=st.integers(15, 24),
)
def test_the_rearranged_graph_computes_the_same(
    tmp_path: Path, *, taps: int, pad: int, uneven: bool, stride: int, height: int, width: int
) -> None:
    draw = np.random.default_rng(taps)
    weight = draw.normal(size=(3, 3, taps, taps)).astype(np.float32)
    pads = [pad, pad, max(0, pad - uneven), pad]
    net = write_net(
        tmp_path / "net.onnx",
        [weight, point(np.eye(3))],
        height=height,
        width=width,
        strides=stride,
        pads=pads,
        bias=np.array([0.5, -1.0, 2.0], np.float32) if uneven else None,
    )
    prepare_graph(net, tmp_path / "prepared.onnx")
    pixels = draw.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    found = Classifier(tmp_path / "prepared.onnx", threads=1).probabilities(pixels)
    assert np.abs(found - Classifier(net, threads=1).probabilities(pixels)).max() < 1e-4


@pytest.mark.parametrize("activation", ["Relu", "Clip", "HardSwish"])
def test_a_stem_of_stride_two_reads_four_pixels_at_a_time(tmp_path: Path, activation: str) -> None:
    weight = np.random.default_rng(0).normal(0, 0.1, size=(8, 3, 7, 7)).astype(np.float32)
    kind = {"clip": activation == "Clip", "swish": activation == "HardSwish"}
    net = write_net(tmp_path / "net.onnx", [weight, point(np.eye(8))], strides=2, pads=[3, 3, 3, 3], **kind)
    prepare_graph(net, tmp_path / "prepared.onnx")
    shapes = [tuple(tensor.dims) for tensor in onnx.load(tmp_path / "prepared.onnx").graph.initializer]
    assert (16, 12, 7, 3) in shapes
    assert (8, 3, 7, 7) not in shapes
    pixels, _ = colours(3)
    found = Classifier(tmp_path / "prepared.onnx", threads=1).probabilities(pixels)
    assert np.abs(found - Classifier(net, threads=1).probabilities(pixels)).max() < 1e-5
    to_int8(net, tmp_path / "int8.onnx", [pixels], threads=1)
    kernels = optimised(tmp_path / "int8.onnx", tmp_path)
    # The places are read apart without moving a number: one transpose is left, of what was pooled.
    assert kernels["Transpose"] == (1 if activation != "HardSwish" else kernels["Transpose"])


@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (8, 1, 1), (1, 1, 12, 12), (1, 8, 12, 12), (12,), (1,), ()])
def test_constants_of_each_channel_or_place_may_stand_behind_the_stem(shape: tuple[int, ...], tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    weight = draw.normal(0, 0.1, size=(8, 3, 3, 3)).astype(np.float32)
    scale, shift = (draw.uniform(0.5, 2, shape).astype(np.float32) for _ in range(2))
    head = draw.normal(0, 2, (3, 8)).astype(np.float32)
    behind = [("Mul", scale), ("Add", shift), ("Mul", scale)]
    convs = [weight, point(np.eye(8))]
    net = write_net(tmp_path / "net.onnx", convs, strides=2, pads=[1] * 4, behind=behind, head=head)
    prepare_graph(net, tmp_path / "prepared.onnx")
    pixels, _ = colours(4)
    expected = Classifier(net, threads=1).probabilities(pixels)
    assert np.abs(Classifier(tmp_path / "prepared.onnx", threads=1).probabilities(pixels) - expected).max() < 1e-5
    to_int8(net, tmp_path / "int8.onnx", [pixels], threads=1)
    assert np.abs(Classifier(tmp_path / "int8.onnx", threads=1).probabilities(pixels) - expected).max() < 0.05
    if shape[-3:] == (8, 1, 1):
        # They became part of the stem.
        assert Counter(node.op_type for node in onnx.load(tmp_path / "prepared.onnx").graph.node)["Add"] == 0


def test_what_onnxruntime_cannot_load_is_said_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = write_easy(tmp_path / "net.onnx")
    model = onnx.load(net)
    (last,) = (each for each in model.graph.initializer if each.name.endswith("fc.weight"))
    last.CopyFrom(onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32), last.name))
    onnx.save(model, net)
    with pytest.raises(ModelError, match=r"net\.onnx cannot be made int8: .*its rearranged graph") as caught:
        Quantizer(net, [colours(2)[0]], threads=1)
    assert "prepared.onnx" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_a_mean_over_the_last_axes_of_what_is_no_map_stays_one(tmp_path: Path) -> None:
    net = write_easy(tmp_path / "net.onnx")
    model = onnx.load(net)
    nodes, constants = model.graph.node, model.graph.initializer
    (mean,) = (node for node in nodes if node.op_type == "ReduceMean")
    constants.append(onnx.numpy_helper.from_array(np.array([0, 3, -1]), "rows"))
    rows = onnx.helper.make_node("Reshape", [mean.input[0], "rows"], ["of_rows"], name="of_rows")
    # Of each picture one mean, which all of the three channels that come next are.
    mean.input[0] = "of_rows"
    constants.append(onnx.numpy_helper.from_array(np.zeros((1, 3, 1), np.float32), "three"))
    added = onnx.helper.make_node("Add", [mean.output[0], "three"], ["thrice"], name="thrice")
    (flat,) = (node for node in nodes if node.op_type == "Reshape")
    flat.input[0] = "thrice"
    at = list(nodes).index(mean)
    nodes.insert(at + 1, added)
    nodes.insert(at, rows)
    onnx.save(model, net)
    prepare_graph(net, tmp_path / "prepared.onnx")
    pixels, _ = colours(4)
    found = Classifier(tmp_path / "prepared.onnx", threads=1).probabilities(pixels)
    assert np.abs(found - Classifier(net, threads=1).probabilities(pixels)).max() < 1e-5


def test_half_precision_halves_the_weights_and_keeps_the_probabilities_single(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    weights = [draw.normal(0, 0.2, (64, 3, 3, 3)), draw.normal(0, 0.05, (64, 64, 3, 3))]
    head = draw.normal(size=(10, 64)).astype(np.float32)
    net = write_net(tmp_path / "net.onnx", [weight.astype(np.float32) for weight in weights], head=head)
    to_fp16(net, tmp_path / "fp16.onnx")
    assert (tmp_path / "fp16.onnx").stat().st_size < 0.53 * net.stat().st_size
    pixels, _ = colours(8)
    found = Classifier(tmp_path / "fp16.onnx", threads=1).probabilities(pixels)
    assert np.abs(found - Classifier(net, threads=1).probabilities(pixels)).max() < 5e-3
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-6
    kinds = {t.name: t.data_type for t in onnx.load(tmp_path / "fp16.onnx").graph.initializer if len(t.dims) > 1}
    assert kinds.pop("mean") == kinds.pop("std") == onnx.TensorProto.FLOAT
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT16}


def test_a_weight_beyond_half_precision_is_refused(tmp_path: Path) -> None:
    net = write_net(tmp_path / "net.onnx", [point(np.eye(3) * 1e5)])
    with pytest.raises(ModelError, match=r"conv0\.weight.*beyond 65504"):
        to_fp16(net, tmp_path / "fp16.onnx")
    assert not (tmp_path / "fp16.onnx").exists()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_torchvision_backbone_becomes_all_int8(name: str, tmp_path: Path) -> None:
    import torch

    from edge_export import write_onnx
    from edge_runtime import ModelCard, Preprocessing
    from edge_train import DeployedNetwork, Network, build, find_backbone

    torch.manual_seed(0)
    network = Network(build(find_backbone(name), classes=3), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    contract = Preprocessing(resize_px=64, height_px=64, width_px=64, interpolation="bilinear")
    card = ModelCard(labels=LABELS, preprocessing=contract, backbone=name, strategy="scratch")
    write_onnx(DeployedNetwork(network, 2.0), card, tmp_path / "fp32.onnx")
    pixels, _ = colours(6, height=64, width=64)
    to_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", [pixels], threads=1)
    convolutions = sum(node.op_type == "Conv" for node in onnx.load(tmp_path / "fp32.onnx").graph.node)
    kernels = optimised(tmp_path / "int8.onnx", tmp_path)
    assert kernels["QLinearConv"] == convolutions
    assert not {"Conv", "Clip", "Relu", "Add", "Gemm", "ReduceMean"} & set(kernels)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.3 * (tmp_path / "fp32.onnx").stat().st_size
    found = Classifier(tmp_path / "int8.onnx", threads=1).probabilities(pixels)
    expected = Classifier(tmp_path / "fp32.onnx", threads=1).probabilities(pixels)
    assert np.abs(found - expected).max() < 0.05
    exact = Classifier(tmp_path / "int8.onnx", threads=1, exact=True).probabilities(pixels)
    assert np.abs(found - exact).max() < 2e-6
    with Quantizer(tmp_path / "fp32.onnx", [pixels], threads=1) as quantizer:
        assert len(quantizer.quantizable()) == convolutions + 1
        assert quantizer.quantizable()[0].name == {"resnet18": "conv1", "mobilenet_v2": "features.0.0"}[name]


def test_the_layers_of_an_attention_are_lowered_too(tmp_path: Path) -> None:
    import torch
    from torch import Tensor, nn

    from edge_export import write_onnx
    from edge_runtime import ModelCard, Preprocessing
    from edge_train import DeployedNetwork, Network

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 32, 8, 8)
            self.blocks = nn.ModuleList(nn.Linear(32, 96) for _ in range(2))
            self.fc = nn.Linear(32, 3)

        def forward(self, pixels: Tensor) -> Tensor:
            tokens = self.patches(pixels).flatten(2).transpose(1, 2)
            for block in self.blocks:
                query, key, value = block(tokens).chunk(3, dim=2)
                tokens = tokens + torch.softmax(query @ key.transpose(1, 2) / 6, dim=2) @ value
            answer: Tensor = self.fc(tokens.mean(1))
            return answer

    torch.manual_seed(0)
    contract = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
    card = ModelCard(labels=LABELS, preprocessing=contract, backbone="attending", strategy="scratch")
    fp32, int8, fp16 = (tmp_path / f"{name}.onnx" for name in ("fp32", "int8", "fp16"))
    network = Network(Attending(), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    write_onnx(DeployedNetwork(network, 2.0), card, fp32)
    pixels, _ = colours(8, height=32, width=32)
    to_int8(fp32, int8, [pixels], threads=1)
    to_fp16(fp32, fp16)
    for path, kind in ((int8, onnx.TensorProto.INT8), (fp16, onnx.TensorProto.FLOAT16)):
        weights = [each for each in onnx.load(path).graph.initializer if sum(side > 1 for side in each.dims) > 1]
        assert len(weights) == 4 and {each.data_type for each in weights} == {kind}
        found = Classifier(path, threads=1).probabilities(pixels)
        assert np.abs(found - Classifier(fp32, threads=1).probabilities(pixels)).max() < 0.05
        assert np.abs(found.sum(axis=1) - 1).max() < 1e-6
    with Quantizer(fp32, [pixels], threads=1) as quantizer:
        assert len(quantizer.layers.layers) == 4 and not quantizer.layers.floats


def test_an_own_network_may_enlarge_its_maps_and_count_in_doubles(tmp_path: Path) -> None:
    import torch
    from torch import Tensor, nn

    from edge_export import write_onnx
    from edge_runtime import ModelCard, Preprocessing
    from edge_train import DeployedNetwork, Network

    class Enlarging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.fc = nn.Conv2d(3, 16, 3, 2, 1), nn.Linear(16, 3)
            self.grouped = nn.ConvTranspose2d(16, 16, 2, 2, groups=4)

        def forward(self, pixels: Tensor) -> Tensor:
            maps = torch.relu(self.stem(pixels))
            maps = nn.functional.interpolate(maps, scale_factor=2, mode="bilinear")
            maps = torch.relu(self.grouped(maps.double().sqrt().float()))
            answer: Tensor = self.fc(maps.mean((2, 3)))
            return answer

    torch.manual_seed(0)
    contract = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
    card = ModelCard(labels=LABELS, preprocessing=contract, backbone="enlarging", strategy="scratch")
    fp32 = tmp_path / "fp32.onnx"
    write_onnx(DeployedNetwork(Network(Enlarging(), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), 2.0), card, fp32)
    pixels, _ = colours(8, height=32, width=32)
    expected = Classifier(fp32, threads=1).probabilities(pixels)
    to_fp16(fp32, tmp_path / "fp16.onnx")
    found = Classifier(tmp_path / "fp16.onnx", threads=1).probabilities(pixels)
    assert 0 < np.abs(found - expected).max() < 5e-3
    to_int8(fp32, tmp_path / "int8.onnx", [pixels], threads=1)
    assert np.abs(Classifier(tmp_path / "int8.onnx", threads=1).probabilities(pixels) - expected).max() < 0.05
    with Quantizer(fp32, [pixels], threads=1) as quantizer:
        # The convolution in groups has no int8, and the file does not call it so.
        assert [layer.op for layer in quantizer.quantizable()] == ["Conv", "Gemm"] and quantizer.layers.floats == 1

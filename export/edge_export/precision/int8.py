"""int8: onnxruntime's static quantization of a float file, QDQ, weights of 7 bits per channel, activations in uint8.

Quantization replaces numbers by 256 steps between a lowest and a highest value. For weights these are known; for
activations they are measured on calibration images, by one of three methods: `minmax` takes the extremes,
`percentile` leaves out the outermost 0.01 %, `entropy` takes the range that loses least information (Migacz, "8-bit
inference with TensorRT", GTC 2017).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.precision.entropy_range import entropy_range
from edge_export.precision.int8_biases import correct_biases, mean_inputs
from edge_export.precision.int8_gates import clip_in_integers
from edge_export.precision.int8_graph import keep_logits, prepare_graph
from edge_export.precision.int8_layers import QUANTIZED_OPS, Layer, Layers, has_int8, read_layers
from edge_export.precision.int8_scales import LARGEST_WEIGHT, RoundingScales
from edge_export.precision.valid_file import keep_promises, own_words
from edge_runtime import INPUT_NAME, UsageError, open_session

CalibrationMethod: TypeAlias = Literal["minmax", "percentile", "entropy"]
# From the cheapest to the costliest.
CALIBRATION_METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)

# Histograms keep all activations of a batch at once: some 50 MB an image for a ResNet at 224 pixels.
CALIBRATION_BATCH = 2

# onnxruntime's own settings, but for `symmetric`: after a ReLU it would waste half of the steps.
_CALIBRATION_SETTINGS: dict[str, dict[str, Any]] = {
    "minmax": {},
    "percentile": {"percentile": 99.99, "num_bins": 2048, "symmetric": False},
    "entropy": {"num_bins": 256, "num_quantized_bins": 128, "symmetric": False},
}


def to_int8(
    fp32_path: Path,
    out_path: Path,
    calibration_pixels: Iterable[NDArray[np.uint8]],
    *,
    method: CalibrationMethod = "minmax",
    keep_float: Collection[str] = (),
    mixed: bool = False,
    threads: int | None = None,
) -> None:
    """Write the model file at `fp32_path` with int8 layers to `out_path`; its metadata stays as it is.

    `calibration_pixels` are batches, uint8 `[N, H, W, 3]`. Layers named in `keep_float` stay in float, and so do the
    image's scaling and the softmax; with `mixed`, also the last layer, squeeze-excite and hard swishes.

    Raises:
        UsageError: there is no calibration image, or no layer of a name in `keep_float`.
        ModelError: onnxruntime cannot quantise this graph.
    """
    with Quantizer(fp32_path, calibration_pixels, threads=threads) as quantizer:
        quantizer.write(out_path, method=method, keep_float=keep_float, mixed=mixed)


class Quantizer:
    """Turns one float file into int8 files: prepared once, calibrated once for each method, written as often as asked.

    Used as a context: it keeps its intermediate files in a temporary folder.

    Raises:
        UsageError: there is no calibration image.
        ModelError: `fp32_path` cannot be prepared.
    """

    layers: Layers

    def __init__(
        self, fp32_path: Path, calibration_pixels: Iterable[NDArray[np.uint8]], *, threads: int | None = None
    ) -> None:
        self.fp32_path = fp32_path
        self.threads = threads
        self.calibration = _rebatch(calibration_pixels)
        self._folder = TemporaryDirectory(prefix="edge-int8-")
        self._ranges: dict[CalibrationMethod, Any] = {}
        self._means: dict[str, NDArray[np.float64]] | None = None
        self._prepared = Path(self._folder.name) / "prepared.onnx"
        try:
            with own_words(fp32_path, "int8"):
                prepare_graph(fp32_path, self._prepared)
                self.layers = read_layers(self._prepared)
                self._model = onnx.load_model(str(self._prepared))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the intermediate files."""
        self._folder.cleanup()

    @property
    def calibration_images(self) -> int:
        """How many images ranges are measured on."""
        return sum(len(batch) for batch in self.calibration)

    def quantizable(self, *, mixed: bool = False) -> tuple[Layer, ...]:
        """The layers that can be int8, in the order of the graph; with `mixed`, without those it spares."""
        allowed = self._allowed(mixed=mixed)
        return tuple(layer for layer in self.layers.layers if allowed.intersection(layer.nodes))

    def _allowed(self, *, mixed: bool) -> frozenset[str]:
        """The nodes that may be int8."""
        spared = self.layers.delicate if mixed else frozenset()
        return frozenset(node.name for node in self._model.graph.node if has_int8(node) and node.name not in spared)

    def write(
        self,
        out_path: Path,
        *,
        method: CalibrationMethod = "minmax",
        keep_float: Collection[str] = (),
        mixed: bool = False,
        only: str | None = None,
    ) -> None:
        """Write an int8 file; parameters as in `to_int8`. With `only`, nothing but the layer of that name is int8.

        Raises:
            UsageError: there is no layer of a name in `keep_float`, or none that may be int8 is left.
            ModelError: onnxruntime cannot quantise this graph.
        """
        layers = self.layers
        known = {layer.name for layer in layers.layers}
        unknown = sorted({*keep_float, *([only] if only else [])} - known)
        if unknown:
            raise UsageError(f"{self.fp32_path} has no layer {unknown[0]}", "edge export prints the layers it ranks")
        wanted = layers.nodes_of({only} if only else known - set(keep_float)) & self._allowed(mixed=mixed)
        chosen = [node.name for node in self._model.graph.node if node.name in wanted]
        if not chosen:
            raise UsageError(f"{self.fp32_path} has no layer left to quantise", "`precision` fp32 leaves all in float")
        with own_words(self.fp32_path, "int8"):
            ranges = self._measure_ranges(method)
            if self._means is None:
                augmented = Path(self._folder.name) / "means.onnx"
                self._means = mean_inputs(self._model, self.calibration, augmented, threads=self.threads)
            model = _quantize(self._model, ranges, chosen, self._means)
            keep_promises(model, self._model)
        onnx.save_model(model, str(out_path))

    def _measure_ranges(self, method: CalibrationMethod) -> Any:
        """Lowest and highest value of every activation, onnxruntime's `TensorsData`; measured once for each method."""
        from onnxruntime.quantization import calibrate

        if method not in self._ranges:
            kind = calibrate.CalibrationMethod[{"minmax": "MinMax"}.get(method, method.capitalize())]
            augmented = Path(self._folder.name) / f"{method}.onnx"
            # The calibrators report on stdout, which belongs to the command's result.
            with contextlib.redirect_stdout(io.StringIO()):
                calibrator = calibrate.create_calibrator(
                    self._prepared,
                    list(QUANTIZED_OPS),
                    str(augmented),
                    calibrate_method=kind,
                    extra_options=_CALIBRATION_SETTINGS[method],
                )
                # Its own session takes all cores, spins on them, and runs an unoptimised graph.
                calibrator.infer_session = open_session(augmented, threads=self.threads)
                for batch in self.calibration:
                    calibrator.collect_data(_OneBatch(batch))
                if method == "entropy":
                    calibrator.collector.get_entropy_threshold = entropy_range
                self._ranges[method] = calibrator.compute_data()
            augmented.unlink()
        return self._ranges[method]


class _OneBatch:
    """A calibration data reader, as onnxruntime wants it, over one batch."""

    def __init__(self, batch: NDArray[np.uint8]) -> None:
        self._left: list[dict[str, NDArray[np.uint8]]] = [{INPUT_NAME: batch}]

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The batch, then None."""
        return self._left.pop() if self._left else None

    def __len__(self) -> int:
        return len(self._left)


def _rebatch(batches: Iterable[NDArray[np.uint8]]) -> Sequence[NDArray[np.uint8]]:
    small = [batch[at : at + CALIBRATION_BATCH] for batch in batches for at in range(0, len(batch), CALIBRATION_BATCH)]
    if not small:
        raise UsageError("int8 needs images to calibrate on, and there is none", "name their folder with `data`")
    # The histograms stack what they are given, so every batch has the same length; an odd image is left out.
    full = [batch for batch in small if len(batch) == CALIBRATION_BATCH]
    return full or small[:1]


def _quantize(
    prepared: onnx.ModelProto, ranges: Any, nodes: list[str], means: Mapping[str, NDArray[np.float64]]
) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    ends = {name: [float(np.ravel(end)[0]) for end in ranges[name].range_value] for name in ranges}
    bounds = {name: (low, high) for name, (low, high) in ends.items()}
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    correct_biases(model.graph, RoundingScales(model.graph, bounds, nodes), means)
    # Anew: a weight's steps heed how large its bias is.
    scales = RoundingScales(model.graph, bounds, nodes)
    overrides: dict[str, list[dict[str, Any]]] = {
        name: [{"scale": np.array(steps.size, np.float32), "zero_point": np.array(steps.zero, np.uint8)}]
        for name, steps in scales.steps()
    }
    for name, axis, sizes in scales.weights():
        halves = [LARGEST_WEIGHT * size for size in sizes.astype(np.float32)]
        overrides[name] = [{"axis": axis, "rmin": -half, "rmax": half, "reduce_range": True} for half in halves]
    # The quantizer would give a mean over windows the steps of what it is taken of: every fourth were a half.
    pools = {node.name for node in prepared.graph.node if node.op_type == "AveragePool"}
    quantizer = QDQQuantizer(
        model,
        True,  # weights per channel
        True,  # of 7 bits
        QuantType.QInt8,
        QuantType.QUInt8,
        ranges,
        [name for name in nodes if name not in pools],
        [],
        list(QUANTIZED_OPS),
        {"TensorQuantOverrides": overrides, "QDQDisableWeightAdjustForInt32Bias": True},
    )
    quantized: onnx.ModelProto = quantizer.quantize_model()
    clip_in_integers(quantized.graph)
    keep_logits(quantized.graph)
    return quantized

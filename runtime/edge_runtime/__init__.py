"""Classify images with an exported model file: numpy, Pillow and onnxruntime, nothing else.

    from edge_runtime import Classifier
    print(Classifier("model.onnx").predict("x.jpg").label)

Names are loaded on first use, so that `from edge_runtime import decode` does not pay for onnxruntime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.lazy import lazy_door

if TYPE_CHECKING:
    from edge_runtime.atomic import atomic_path, write_json, write_text
    from edge_runtime.card import EMBEDDING_NAME, FORMAT_VERSION, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard
    from edge_runtime.classifier import Classifier, ImageSource
    from edge_runtime.errors import (
        CheckpointError,
        DataError,
        EdgeError,
        ImageError,
        MissingExtraError,
        ModelError,
        OutputError,
        ParityError,
        UsageError,
        WeightsError,
    )
    from edge_runtime.evaluation import Evaluation, evaluate
    from edge_runtime.folders import ClassFolders, Sample, find_images, is_image, scan
    from edge_runtime.images import MAX_PIXELS, decode
    from edge_runtime.machine import available_memory_bytes, cpu_model, usable_cores
    from edge_runtime.metrics import ClassMetrics, Metrics, expected_calibration_error, measure, wilson_interval
    from edge_runtime.onnx_bytes import graph_sha256, read_header, with_metadata
    from edge_runtime.prediction import LabelProbability, Prediction
    from edge_runtime.preprocess import Preprocessing
    from edge_runtime.quick_load import find_quick_load, quick_load_paths, remove_quick_load, write_quick_load_note
    from edge_runtime.runs import RUNS_FOLDER, Run, find_run, newest_run
    from edge_runtime.session import open_session

__all__ = [
    "EMBEDDING_NAME",
    "FORMAT_VERSION",
    "INPUT_NAME",
    "MAX_PIXELS",
    "METADATA_KEY",
    "OUTPUT_NAME",
    "RUNS_FOLDER",
    "CheckpointError",
    "ClassFolders",
    "ClassMetrics",
    "Classifier",
    "DataError",
    "EdgeError",
    "Evaluation",
    "ImageError",
    "ImageSource",
    "LabelProbability",
    "Metrics",
    "MissingExtraError",
    "ModelCard",
    "ModelError",
    "OutputError",
    "ParityError",
    "Prediction",
    "Preprocessing",
    "Run",
    "Sample",
    "UsageError",
    "WeightsError",
    "atomic_path",
    "available_memory_bytes",
    "cpu_model",
    "decode",
    "evaluate",
    "expected_calibration_error",
    "find_images",
    "find_quick_load",
    "find_run",
    "graph_sha256",
    "is_image",
    "lazy_door",
    "measure",
    "newest_run",
    "open_session",
    "quick_load_paths",
    "read_header",
    "remove_quick_load",
    "scan",
    "usable_cores",
    "wilson_interval",
    "with_metadata",
    "write_json",
    "write_quick_load_note",
    "write_text",
]

_HOMES = {
    "atomic": ["atomic_path", "write_json", "write_text"],
    "card": ["EMBEDDING_NAME", "FORMAT_VERSION", "INPUT_NAME", "METADATA_KEY", "ModelCard", "OUTPUT_NAME"],
    "classifier": ["Classifier", "ImageSource"],
    "errors": [
        "CheckpointError",
        "DataError",
        "EdgeError",
        "ImageError",
        "MissingExtraError",
        "ModelError",
        "OutputError",
        "ParityError",
        "UsageError",
        "WeightsError",
    ],
    "evaluation": ["Evaluation", "evaluate"],
    "folders": ["ClassFolders", "Sample", "find_images", "is_image", "scan"],
    "images": ["MAX_PIXELS", "decode"],
    "lazy": ["lazy_door"],
    "machine": ["available_memory_bytes", "cpu_model", "usable_cores"],
    "metrics": ["ClassMetrics", "Metrics", "expected_calibration_error", "measure", "wilson_interval"],
    "onnx_bytes": ["graph_sha256", "read_header", "with_metadata"],
    "prediction": ["LabelProbability", "Prediction"],
    "preprocess": ["Preprocessing"],
    "quick_load": ["find_quick_load", "quick_load_paths", "remove_quick_load", "write_quick_load_note"],
    "runs": ["RUNS_FOLDER", "Run", "find_run", "newest_run"],
    "session": ["open_session"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
